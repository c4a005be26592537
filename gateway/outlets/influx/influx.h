// SPDX-License-Identifier: MIT
/*
 * Parts of the outlet for time series databases. backlog.c reads the rows that are sent later: those of a span of time, of all packs, from the database of
 * the history up to a time, and from memory after it, at the finest level that still exists (ten
 * seconds, minutes, hours), but no finer than values are sent anyway.
 */
#pragma once

#include "batch.h"
#include "gaps.h"
#include "points.h"

#include "past/query.h"
#include "past/recent.h"
#include "outlets/outlet.h"

/* A pack as seen by this outlet. */
struct influx_pack {
    struct outlet_pack *pack;
    struct recent recent; /* its last rows of ten seconds */
    char tags[POINTS_TAGS];
    struct alarms told, live; /* alarms that the database has, and in the row in flight */
    uint32_t sequence;        /* of the last message; 0: none yet */
    double polled;            /* time of day of the last poll cycle received; 0: none yet */
};

struct backlog {
    const struct influx_config *config;
    struct influx_pack *packs;
    unsigned count;
    int64_t now; /* UTC in seconds */
    int64_t
        memory_from; /* memory has all rows that begin then or later; a multiple of the interval */
    struct influx_pack *pack; /* whose rows are read, */
    struct batch *batch;      /* to here */
};

/** Appends the rows of from … to to `batch`, and returns the time that it reached: it stops after
 * `most` bytes. `query` NULL: of memory only. -1: `why` has the error. */
int64_t backlog_read(struct backlog *backlog, struct query *query, int64_t from, int64_t to,
                     size_t most, struct batch *batch, char *why, size_t size);

/** The oldest row of any pack; INT64_MAX: none. */
int64_t backlog_first(const struct backlog *backlog, struct query *query);

/** Joins the rows of ten seconds of one pack in memory, in from … to. False: it was silent. */
bool backlog_join(const struct influx_pack *pack, int64_t from, int64_t to,
                  struct history_row *row);

/* daily.c sends the health figures and findings of past days (docs/health.md), a few days in each request. */

struct daily {
    struct batch batch;
    int64_t
        done; /* midnight of the last day that the database has completely once the batch is confirmed */
    bool waits; /* there are more days */
};

/** Fills the batch with the days of all packs after `confirmed`, up to now. `query`: the history; NULL: none. */
void daily_write(struct daily *daily, struct query *query, const struct backlog *of,
                 int64_t confirmed);
