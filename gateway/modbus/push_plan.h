// SPDX-License-Identifier: MIT
/*
 * Which registers of a push are due, and what goes into its next request. Pure: push.c sends it,
 * and time is an argument.
 *
 * Nothing queues up. What is due is only marked; a request takes its values at the moment in which
 * it is made, those of one source all from one poll cycle. A target that is slow gets fewer writes,
 * never old ones.
 */
#ifndef PACKGATE_MODBUS_PUSH_PLAN_H
#define PACKGATE_MODBUS_PUSH_PLAN_H

#include "push_encode.h"

#include "config/config.h"
#include "packs/source.h"

/** Finds a source by its name in the configuration; NULL: there is none. */
typedef const struct source *push_find(const void *data, const char *name);

/* One write and what is at the target already. */
struct push_item {
    const struct push_write *write;
    const struct source *source; /* NULL: the gateway itself */
    bool due;
    bool ever_known;
    bool sent;    /* the target has `sent_value`, in the form of `sent_words` */
    bool clipped; /* the value did not fit when it was sent last */
    double sent_value;
    uint16_t sent_words[2];
    bool told_refused, told_clipped; /* in the log; push.c */
};

struct push_plan {
    const struct push_config *config;
    struct push_item *items; /* by address */
    unsigned count;
    unsigned cursor; /* where the search for what is due goes on: all get their turn */
    double started_at;
    double counts_from; /* of the counter of seconds */
};

/* Neighbours that are written with one request. */
struct push_span {
    unsigned first, count; /* items */
    unsigned address, size;
    uint16_t words[PUSH_REGISTERS_MAX];
};

/** Finds all sources. `counts_from` is when the gateway's counter of seconds was 0. False: out
 * of memory, or a source is not there. */
bool push_plan_init(struct push_plan *plan, const struct push_config *config, push_find *find,
                    const void *data, double counts_from, double now);
void push_plan_close(struct push_plan *plan);

/** The interval is over, or a connection is new: everything is due. */
void push_plan_all(struct push_plan *plan);

/** Values of a source are new or have become stale: what has changed is due. Where only the interval
 * counts, that is what became known or unknown, fresh or stale. NULL: all sources. */
void push_plan_changes(struct push_plan *plan, const struct source *source, double now);

/** Takes what is due, as much as goes into one request. What is to be skipped stays due until it
 * is known. */
bool push_plan_take(struct push_plan *plan, double now, struct push_span *span);

/** The span never reached the target, or nobody knows: it is due again. */
void push_plan_lost(struct push_plan *plan, const struct push_span *span);

#endif
