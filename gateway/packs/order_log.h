// SPDX-License-Identifier: MIT
/*
 * Who switched what, in the log. A client that gives orders without end must not fill it: within a
 * minute the first ones of a pack are told one by one, the others with how many there were, by
 * client, order and outcome.
 */
#ifndef PACKGATE_PACKS_ORDER_LOG_H
#define PACKGATE_PACKS_ORDER_LOG_H

#include "lines/order.h"

#define ORDER_FROM_SIZE 80
#define ORDER_LOG_TOLD 10 /* in a minute, one by one */
#define ORDER_LOG_KINDS 8 /* that are told apart of the others */

/* What is repeated. */
struct order_log_kind {
    char from[ORDER_FROM_SIZE]; /* a client without its port */
    struct switches ordered;
    enum order_result result;
    unsigned times;
};

/* Embedded; zeroed is empty. */
struct order_log {
    struct order_log_kind kinds[ORDER_LOG_KINDS];
    unsigned count;
    unsigned others; /* that found no room among the kinds */
    unsigned told;   /* in the minute that began then */
    double since;
};

/** An order to the pack is over. */
void order_log_add(struct order_log *log, const char *pack, const char *from,
                   const struct switches *ordered, enum order_result result, double now);

/** Now and then: tells the orders of a minute that is over. */
void order_log_tick(struct order_log *log, const char *pack, double now);

/** Tells all that was not told. */
void order_log_end(struct order_log *log, const char *pack);

#endif
