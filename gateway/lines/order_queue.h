// SPDX-License-Identifier: MIT
/*
 * The orders of a line, first come, first served. Pure.
 */
#pragma once

#include "order.h"

/* Zeroed is empty. */
struct order_queue {
    struct order *first;
};

void order_queue_add(struct order_queue *queue, struct order *order, double now);

/** The next one that can be sent; NULL: none. */
struct order *order_queue_next(const struct order_queue *queue);

/** Acts on a result of order.h: the order goes on, or its state is read back, or it ends with `done`. */
void order_queue_go_on(struct order_queue *queue, struct order *order, enum order_result result,
                       double now);

/** After a cycle of the pack: checks the state that its order waits for. `open`: as order_look. */
void order_queue_look_back(struct order_queue *queue, const struct poller *poller, bool open,
                           double now);

/** Ends all. */
void order_queue_end(struct order_queue *queue, double now);
