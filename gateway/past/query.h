// SPDX-License-Identifier: MIT
/*
 * Reads the history while it is written: sees whole transactions only, and never writes. For the
 * page, for CSV files and for `packgate export`.
 */
#pragma once

#include "health.h"
#include "rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct query;

/** Opens the file for reading; may wait for a lock. NULL: `why` has the error. */
struct query *query_open(const char *path, char *why, size_t size);
void query_close(struct query *query);
/** Until it is closed all is read as it is in the file at the first read. */
void query_hold(struct query *query);

/* The request: rows of one pack and level whose interval begins in from … to (exclusive). */
struct query_ask {
    const char *pack;
    enum history_level level;
    int64_t from, to; /* UTC in seconds; for days the local day that contains them */
    bool wanted[ROW_FIELDS];
    bool extremes;
};

/** Requests all values and the energy, with the first `cells` cells and, if there were `limits`, the allowed
 * currents and voltage. */
void query_want_all(struct query_ask *ask, unsigned cells, bool limits);

/* The rows of a request while they are read. */
struct query_rows {
    struct query *query;
    const struct query_ask *ask;
    struct sqlite3_stmt *statement;
    struct {
        enum history_value value;
        int n;
    } columns[3 * ROW_FIELDS]; /* that are read: of which field, and the how many-th of it */
    int count;
    struct history_row row;
};

/** Begins to read; both must outlive it. */
void query_begin(struct query_rows *rows, struct query *query, const struct query_ask *ask);
/** The next row, the oldest first; valid until the call after it. Values that were not requested, or are not kept at that level,
 * are ROW_UNKNOWN. NULL: no more, or they cannot be read. */
const struct history_row *query_next(struct query_rows *rows);
/** Why rows could not be read; empty: all could. */
const char *query_why(const struct query *query);

/** Prints a row as CSV (RFC 4180), or the heading (NULL), with its line end. The first column is the time as ISO 8601 with
 * its zone, the others have the names of the map. Unknown values are empty. */
void csv_print(FILE *out, const struct query_ask *ask, const struct history_row *row);

/** Start of the oldest row of a pack and level; INT64_MAX: none. */
int64_t query_first(struct query *query, const char *pack, enum history_level level);

/** Start of the newest row of a pack, or of any (NULL), that begins before a time, as a wrong clock may have left rows
 * in the future; INT64_MIN: none. Not for days. */
int64_t query_last_before(struct query *query, const char *pack, enum history_level level,
                          int64_t before);

/** The time (UTC seconds) before which no more rows of any pack will be written: earlier ones are
 * in the file or were lost. After a clock was set back it may be in the future until the next
 * commit. INT64_MIN: unknown yet. */
int64_t query_complete(struct query *query);

/** The number of cells of a pack in these rows, and whether they have `*limits`. */
unsigned query_cells(struct query *query, const struct query_ask *ask, bool *limits);

/** The n-th pack of the file by its name; false: no more. */
bool query_pack(struct query *query, unsigned n, char *name, size_t size);

/* An event; texts are valid during the call, NULL if there is none. */
struct query_event {
    int64_t t;
    const char *pack, *kind, *name, *level, *text; /* as in struct store_event */
};

/** Calls `each` for the last events before `before`, at most `count`, the newest first. If the gateway has started since, events of
 * the second `before` are included that were recorded before that start. */
void query_events(struct query *query, int64_t before, unsigned count,
                  void (*each)(void *data, const struct query_event *event), void *data);

/* A period in which an alarm was active. */
struct query_alarm {
    enum pack_alarm alarm;
    int level;     /* the worst enum alarm_level in it */
    int64_t since; /* UTC seconds */
    int64_t until; /* 0: no end was noted */
};

/** Calls `each` for the periods of a pack's alarms that touch from … to (exclusive), alarm by
 * alarm, the newest first, at most `most` of each alarm. */
void query_alarms(struct query *query, const char *pack, int64_t from, int64_t to, unsigned most,
                  void (*each)(void *data, const struct query_alarm *spell), void *data);

/** Calls `each` with the packs and banks whose alarm began, or changed its level, at from … to
 * (inclusive), the newest first. */
void query_began(struct query *query, enum pack_alarm alarm, int64_t from, int64_t to,
                 void (*each)(void *data, const char *pack), void *data);

/** The midnight (UTC seconds) of the last day up to that of `now` whose health was checked;
 * INT64_MIN: none. */
int64_t query_checked(struct query *query, const char *pack, int64_t now);

/** The checked days of a pack that began from `from` to `to` (UTC seconds), the oldest first, the last `most` of them; returns
 * how many. */
unsigned query_health(struct query *query, const char *pack, int64_t from, int64_t to,
                      struct health_day *days, unsigned most);
