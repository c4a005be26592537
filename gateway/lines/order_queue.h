// SPDX-License-Identifier: MIT
/*
 * The orders of a line, in the order in which they came: which one is next, and what follows on what became of its
 * request. Pure.
 */
#ifndef PACKGATE_LINES_ORDER_QUEUE_H
#define PACKGATE_LINES_ORDER_QUEUE_H

#include "order.h"

/* Zeroed is empty. */
struct order_queue {
    struct order *first;
};

void order_queue_add(struct order_queue *queue, struct order *order, double now);

/** The next one that can be sent; NULL: none. */
struct order *order_queue_next(const struct order_queue *queue);

/** The order goes on, or its state is to be read back, or it is through and whoever gave it hears. */
void order_queue_go_on(struct order_queue *queue, struct order *order, enum order_result result,
                       double now);

/** A cycle of a pack is over: its order may have been waiting for that. `open`: another one may still be carried out. */
void order_queue_look_back(struct order_queue *queue, const struct poller *poller, bool open,
                           double now);

/** Ends all. */
void order_queue_end(struct order_queue *queue, double now);

#endif
