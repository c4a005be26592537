// SPDX-License-Identifier: MIT
/*
 * A pack as a source: energy is counted, the day's highest SOC kept, changes of state go to the log,
 * and orders go to its line.
 */
#ifndef PACKGATE_PACKS_PACK_SOURCE_H
#define PACKGATE_PACKS_PACK_SOURCE_H

#include "kept.h"
#include "order_log.h"
#include "source.h"
#include "summary.h"

#include "lines/line.h"

#include <time.h>

/* An order under way. */
struct pack_order {
    struct order order;
    struct order_request request; /* its `from` is in here: */
    char from[ORDER_FROM_SIZE];
    bool pending;
};

struct pack_source {
    struct source source;
    struct poller *poller;
    struct line *line;        /* NULL: the pack is still to be found */
    struct kept_entry *kept;  /* over a restart */
    struct summary summary;   /* what was last told */
    double power_w, power_at; /* of the cycle before, for the energy counters */
    struct pack_order order;
    struct order_log orders; /* how they ended */
    void (*over)(void *data, struct pack_source *source, const struct order_report *report);
    void *data;
};

/** For a poller that runs on a line; all pointers are kept. `over` hears of the end of each order.
 * NULL: out of memory. */
struct pack_source *pack_source_new(struct poller *poller, struct line *line,
                                    struct kept_entry *kept,
                                    void (*over)(void *data, struct pack_source *source,
                                                 const struct order_report *report),
                                    void *data);
void pack_source_free(struct pack_source *source);

/** The poller has new values. `host` has what the gateway itself knows filled in; `local` is the
 * local time. Returns enum source_change. */
unsigned pack_source_publish(struct pack_source *source, const struct map_status *host,
                             const struct tm *local, double now);

/** Age and counters go on, and values may have become stale. The same. */
unsigned pack_source_tick(struct pack_source *source, const struct map_status *host,
                          const struct tm *local, double now);

/** As packs_order. */
enum order_result pack_source_order(struct pack_source *source,
                                    const struct order_request *request);

#endif
