// SPDX-License-Identifier: MIT
/* A pack as a source: counts energy, keeps the day's highest SOC, logs changes, sends orders. */
#pragma once

#include "kept.h"
#include "outlook.h"
#include "seen.h"
#include "source.h"
#include "summary.h"

#include "lines/line.h"

#include <time.h>

#define ORDER_FROM_SIZE 80

/* An order in progress. */
struct pack_order {
    struct order order;
    struct order_request request; /* its `from` is in here: */
    char from[ORDER_FROM_SIZE];
    bool pending;
};

struct pack_source;

/** An order has ended. */
typedef void pack_source_over(void *data, struct pack_source *source,
                              const struct order_report *report);

struct pack_source {
    struct source source;
    struct poller *poller;
    struct line *line;        /* NULL: the pack is still to be found */
    struct kept_entry *kept;  /* its entry in the state file */
    struct summary summary;   /* what was logged last */
    struct alarms alarms;     /* as last read */
    int32_t bms;              /* of struct map_status, without its sign */
    struct seen seen;         /* what was published: a bank needs it again */
    double power_w, power_at; /* of the previous cycle, for the energy counters */
    struct outlook outlook;
    struct pack before; /* values of the previous cycle, if the pack is watched for frozen values */
    double changed_at;  /* when they last changed, or no current flowed */
    bool watched, frozen;
    struct pack_order order;
    unsigned orders, others; /* outcomes since `logs_since` that were logged, and that were not */
    double logs_since;
    pack_source_over *over;
    void *data;
};

/** For a poller that runs on a line; keeps all pointers. Calls `over` at the end of each order.
 */
struct pack_source *pack_source_new(struct poller *poller, struct line *line,
                                    struct kept_entry *kept, pack_source_over *over, void *data);
void pack_source_free(struct pack_source *source);

/** Publishes the poller's new values. `host` contains the gateway's own values; `local` is the
 * local time. Returns enum source_change. */
unsigned pack_source_publish(struct pack_source *source, const struct map_status *host,
                             const struct tm *local, double now);

/** Updates age and counters; values may have become stale. Same parameters and result. */
unsigned pack_source_tick(struct pack_source *source, const struct map_status *host,
                          const struct tm *local, double now);

/** See packs_order. */
enum order_result pack_source_order(struct pack_source *source,
                                    const struct order_request *request);
