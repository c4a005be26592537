// SPDX-License-Identifier: MIT
/* The file of the history as SQLite opens it. */
#ifndef PACKGATE_OUTLETS_HISTORY_FILE_H
#define PACKGATE_OUTLETS_HISTORY_FILE_H

#include <sqlite3.h>

/** As sqlite3_open_v2, for regular files only: opening a pipe or a device in its place, or in that of its log, would wait for as
 * long as it likes. Locks of others are waited for so long in all. */
int file_open(const char *path, sqlite3 **db, int flags, int busy_ms);

/** Why SQLite did not open it, in words. */
const char *file_why(const char *path, sqlite3 *db);

#endif
