// SPDX-License-Identifier: MIT
/* The file of the history as SQLite opens it. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/** As sqlite3_open_v2, for regular files only: opening a pipe or a device in place of the file or
 * its log could block for ever. Waits at most `busy_ms` in all for locks of other processes. */
int file_open(const char *path, sqlite3 **db, int flags, int busy_ms);

/** Why SQLite could not open it, as text. */
const char *file_why(const char *path, sqlite3 *db);

/** Prepares a statement; NULL: error. */
sqlite3_stmt *file_prepare(sqlite3 *db, const char *sql);
/** The first number that a statement selects, with `name` for its ?1 unless NULL; `otherwise` if there is none. */
int64_t file_number(sqlite3_stmt *statement, const char *name, int64_t otherwise);
/** The same for a statement that is used once. */
int64_t file_ask(sqlite3 *db, const char *sql, const char *name, int64_t otherwise);

/** Runs statements. False: error. */
bool file_run(sqlite3 *db, const char *sql);
bool file_has_column(sqlite3 *db, const char *table, const char *column);
