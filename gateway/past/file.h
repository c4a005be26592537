// SPDX-License-Identifier: MIT
/* The file of the history as SQLite opens it. */
#pragma once

#include <sqlite3.h>

/** As sqlite3_open_v2, for regular files only: opening a pipe or a device in place of the file or
 * its log could block for ever. Waits at most `busy_ms` in all for locks of other processes. */
int file_open(const char *path, sqlite3 **db, int flags, int busy_ms);

/** Why SQLite could not open it, as text. */
const char *file_why(const char *path, sqlite3 *db);
