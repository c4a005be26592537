// SPDX-License-Identifier: MIT
/* Commands of packgate-outlet-history. Each returns the exit status. */
#pragma once

/** `packgate export` as far as it touches the history, because packgate itself knows no database: prints rows as CSV. */
int history_export(int argc, char **argv);
/** Writes a history that nobody has lived. */
int history_simulate(int argc, char **argv);
