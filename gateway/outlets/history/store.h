// SPDX-License-Identifier: MIT
/*
 * The database of the history: SQLite, one table per level, one row per pack and interval. It is
 * written in one transaction per commit, so that readers (web, export) see whole transactions only.
 *
 * No error of the file ends the outlet: a damaged file is set aside as .bad and created again, that
 * of another program is not touched, a file that was deleted or replaced is noticed at the next
 * commit, and after a full disk writing is retried while the last hour stays in memory.
 */
#pragma once

#include "past/health.h"
#include "past/rows.h"

#include <stdbool.h>
#include <stddef.h>

#define HISTORY_VERSION 1 /* PRAGMA user_version */

struct store;

struct store_event {
    int64_t t;
    const char *pack; /* NULL: of the gateway */
    const char *kind; /* "alarm", "stale", "back", "switched", "started" */
    const char *name; /* of an alarm, of a switch */
    int level;        /* of an alarm: 1 warning, 2 protection; of a switch: 1 confirmed, 0 not */
    const char *text; /* "on", "off", the client that switched */
};

#define EVENT_NO_LEVEL (-1)

/** For a file that may not exist yet. `keep_s`: for how many seconds rows of each level but days are kept; 0 and days: for ever. */
struct store *store_new(const char *path, const int64_t keep_s[LEVEL_DAY]);
void store_free(struct store *store);

/** Keeps a row or an event until the next commit, of a row the pack's name by reference. If writing fails for an hour, the oldest rows of
 * ten seconds are dropped first. */
void store_row(struct store *store, const char *pack, enum history_level level,
               const struct history_row *row);
void store_event(struct store *store, const struct store_event *event);

/** States that all rows that begin before `upto` (UTC seconds, of all packs) are in the next commit
 * or in an earlier one; see query_complete. */
void store_complete(struct store *store, int64_t upto);

/** Writes what is kept. False: it failed; everything is kept, and the first failure and the
 * recovery are logged. */
bool store_commit(struct store *store);

/** Writes the findings of a day at once. False: it failed. */
bool store_health(struct store *store, const char *pack, const struct health_day *day);

/** Unix time of the newest minute; 0: there is none. */
int64_t store_newest(struct store *store);

/* Decades of a few alarms a day; some 30 MB of one that comes and goes each second. */
#define EVENTS_KEPT 200000

/** Deletes at most some thousand old rows, and of the events all but the newest EVENTS_KEPT. True: there are more. */
bool store_prune(struct store *store, int64_t now);

/** The number of rows that wait to be written, and how often writing failed. */
size_t store_waiting(const struct store *store);
unsigned store_failures(const struct store *store);

/*
 * Whether the time of day can be trusted when old rows are to be deleted. A clock that is wrong by years, as on a board without a
 * battery, would make all rows old at once. Therefore a clock that has just jumped, or is far from the newest row at the start,
 * must run steadily for a day first; meanwhile a time server or a person sets it right. Pure.
 */

#define STEADY_JUMP_S 3600.0 /* set by hand, or daylight saving time if the clock is local */
#define STEADY_AWAY_S (30 * 86400.0) /* few gateways are switched off for that long */
#define STEADY_AFTER_S 86400.0

struct steady {
    double offset; /* of the time of day to the monotonic clock */
    double until;  /* monotonic time until which the time of day is not trusted */
};

/** Call at the start. `wall` is the time of day, `now` that of clock_now, `newest` that of the
 * newest row; 0: none. */
void steady_begin(struct steady *steady, double wall, double now, double newest);

/** Whether the time of day can be trusted now. */
bool steady_clock(struct steady *steady, double wall, double now);
