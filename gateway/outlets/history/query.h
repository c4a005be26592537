// SPDX-License-Identifier: MIT
/*
 * Reads the history while it is written: whole transactions only, and never a write. For the page,
 * for CSV files and for `packgate export`.
 */
#ifndef PACKGATE_OUTLETS_HISTORY_QUERY_H
#define PACKGATE_OUTLETS_HISTORY_QUERY_H

#include "health.h"
#include "rows.h"

#include <stdbool.h>
#include <stddef.h>

struct query;

/** Opens the file for reading; it may wait for one that has locked it. NULL: `why` says what is wrong. */
struct query *query_open(const char *path, char *why, size_t size);
void query_close(struct query *query);

/* What is asked for: rows of one pack and level whose interval begins in from … to (without it). */
struct query_ask {
    const char *pack;
    enum history_level level;
    int64_t from, to; /* UTC in seconds; of days the local day that they lie in */
    bool wanted[ROW_VALUES];
    bool extremes;
};

/** All values with the first `cells` cells, and what was allowed where there were `limits`. */
void query_want_all(struct query_ask *ask, unsigned cells, bool limits);

/** Calls `each` for every row, the oldest first; false from it ends the walk. What was not wanted, or
 * is not kept at that level, is ROW_UNKNOWN. Returns how many rows there were; -1: `why` says what
 * is wrong. */
long query_rows(struct query *query, const struct query_ask *ask,
                bool (*each)(void *data, const struct history_row *row), void *data, char *why,
                size_t size);

/** When the oldest row of a pack and level begins; INT64_MAX: there is none. */
int64_t query_first(struct query *query, const char *pack, enum history_level level);

/** When the newest one begins; INT64_MIN: there is none. */
int64_t query_last(struct query *query, const char *pack, enum history_level level);
/** The newest that begins before a time, as a clock that was wrong may have left rows of the future. Not of days. */
int64_t query_last_before(struct query *query, const char *pack, enum history_level level,
                          int64_t before);

/** Up to when (UTC seconds) no row of any pack is still to come: what began earlier is in the file or was lost. After a
 * clock was set back it may lie ahead until the next commit. INT64_MIN: not known yet. */
int64_t query_complete(struct query *query);

/** How many cells a pack has in the rows asked for, and whether it has `*limits` in them. */
unsigned query_cells(struct query *query, const struct query_ask *ask, bool *limits);

/** The n-th pack of the file by its name; false: no more. */
bool query_pack(struct query *query, unsigned n, char *name, size_t size);

/* Something that happened; texts are valid during the call, NULL where there is none. */
struct query_event {
    int64_t t;
    const char *pack, *kind, *name, *level, *text; /* as in struct store_event */
};

/** Calls `each` for the last events before `before`, at most `count`, the newest first. */
void query_events(struct query *query, int64_t before, unsigned count,
                  void (*each)(void *data, const struct query_event *event), void *data);

/** The midnight (UTC seconds) of the last day up to that of `now` that health was looked at; INT64_MIN: none. */
int64_t query_checked(struct query *query, const char *pack, int64_t now);

/** Calls `each` for the days (yyyymmdd) from `from` on that health was looked at, the oldest first; false from it ends
 * the walk. */
void query_health(struct query *query, const char *pack, int64_t from,
                  bool (*each)(void *data, const struct health_day *day), void *data);

/** Steps of a level in seconds. */
int64_t history_step(enum history_level level);
const char *history_level_name(enum history_level level);
/** False: no level has this name. */
bool history_level_find(const char *name, enum history_level *level);

#endif
