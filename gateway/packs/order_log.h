// SPDX-License-Identifier: MIT
/*
 * Logs orders: which client switched what. A client that sends orders without end must not fill
 * the log: within a minute the first ones of a pack are logged one by one, the others as counts by
 * client, order and outcome.
 */
#pragma once

#include "bms/switching.h"

#define ORDER_FROM_SIZE 80
#define ORDER_LOG_TOLD 10 /* orders logged one by one, per minute */
#define ORDER_LOG_KINDS 8 /* kinds of further orders that are counted separately */

/* A kind of repeated order. */
struct order_log_kind {
    char from[ORDER_FROM_SIZE]; /* the client without its port */
    struct switches ordered;
    enum order_result result;
    unsigned times;
};

/* Embedded. All zeros: empty. */
struct order_log {
    struct order_log_kind kinds[ORDER_LOG_KINDS];
    unsigned count;
    unsigned others; /* further orders that match none of the kinds */
    unsigned told;   /* orders logged in the minute that began at `since` */
    double since;
};

/** Records a finished order to the pack. */
void order_log_add(struct order_log *log, const char *pack, const char *from,
                   const struct switches *ordered, enum order_result result, double now);

/** To be called now and then: logs the counts of a minute that has passed. */
void order_log_tick(struct order_log *log, const char *pack, double now);

/** Logs the counts that are left. */
void order_log_end(struct order_log *log, const char *pack);
