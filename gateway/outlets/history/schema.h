// SPDX-License-Identifier: MIT
/*
 * The tables of the history: one per level, with a column for each value and each cell. All functions return false where
 * SQLite reports an error, which sqlite3_errmsg tells.
 */
#pragma once

#include "past/rows.h"

#include <sqlite3.h>
#include <stdbool.h>

/** Creates what is missing of tables and views, also in a file of an older version. Sets how many cells each table has
 * columns for. */
bool schema_create(sqlite3 *db, unsigned cells[HISTORY_LEVELS]);

bool schema_add_column(sqlite3 *db, enum history_level level, enum history_value value);

/** The view of a table for people, with so many cells: the map's names and units. */
bool schema_view(sqlite3 *db, enum history_level level, unsigned cells);

/** Prepares the statement that writes a row, or adds to the one of the same time, in place of *put. */
bool schema_prepare(sqlite3 *db, enum history_level level, unsigned cells, sqlite3_stmt **put);
