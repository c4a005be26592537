// SPDX-License-Identifier: MIT
/*
 * The tables of the history: one per level, with a column for each value and each cell. All functions return false where
 * SQLite reports an error, which sqlite3_errmsg tells.
 */
#pragma once

#include "past/rows.h"

#include <sqlite3.h>
#include <stdbool.h>

/** Creates what is missing of tables and views, also in a file of an older version, which can still use it since it names
 * its columns. Call it in a transaction, so that a crash leaves no half of them. Sets how many cells each table has columns
 * for, and prepares the statements that write a row. */
bool schema_create(sqlite3 *db, unsigned cells[HISTORY_LEVELS], sqlite3_stmt *put[HISTORY_LEVELS]);

/** Adds the columns that a table lacks for so many cells, renews its view, and prepares the statement that writes a row, or adds
 * to the one of the same time, in place of *put. */
bool schema_fit(sqlite3 *db, enum history_level level, unsigned cells, sqlite3_stmt **put);
