// SPDX-License-Identifier: MIT
/*
 * Rows of history as CSV (RFC 4180): the first column is the time as ISO 8601 with its zone, the
 * others have the names of the map. Unknown values are empty, and there are no rows in gaps.
 */
#pragma once

#include "query.h"

#define CSV_LINE_MOST 4096

/** A row, or the heading (NULL), with its line end: how many bytes; `line` has room for CSV_LINE_MOST. */
size_t csv_line(const struct query_ask *ask, const struct history_row *row, char *line);
