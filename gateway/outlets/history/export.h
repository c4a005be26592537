// SPDX-License-Identifier: MIT
/* `packgate export` as far as it touches the history: packgate itself knows no database, so it hands
 * this to packgate-outlet-history. */
#ifndef PACKGATE_OUTLETS_HISTORY_EXPORT_H
#define PACKGATE_OUTLETS_HISTORY_EXPORT_H

/** Prints rows as CSV on standard output. Returns the exit status. */
int history_export(int argc, char **argv);

#endif
