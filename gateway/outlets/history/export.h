// SPDX-License-Identifier: MIT
/* `packgate export` as far as it touches the history: packgate itself knows no database, so it hands
 * this to packgate-outlet-history. */
#pragma once

/** Prints rows as CSV on standard output. Returns the exit status. */
int history_export(int argc, char **argv);
