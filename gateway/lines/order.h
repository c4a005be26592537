// SPDX-License-Identifier: MIT
/*
 * An order switches the charge or discharge MOS of a pack, or writes one of its settings, by
 * requests that its driver builds. The orders of a line are carried out one after another. Pure;
 * asker.c sends them before the next poll.
 *
 * The answer of the BMS confirms an order if it cannot be the answer to another order, nor an echo,
 * which is possible until the pack has answered. After an unanswered order, later answers confirm
 * nothing, because the first of them may be the late one. Then the state is read back. If the state
 * does not show the order, it is sent once more within ORDER_VALID_S.
 *
 * A setting is stored in a memory that wears out, and undoing it needs its old value. So the
 * setting is read first: if it already has the value, or cannot be read, it is not written. Only
 * reading it back confirms it.
 *
 * Some settings take several requests, and the last one takes the device out of a mode that it must
 * not stay in. That one is always sent, repeatedly if unanswered. If it stays unanswered, or the
 * line is lost before, the driver sends it as a part of its plan.
 */
#pragma once

#include "poller.h"
#include "reply.h"

#include "base/queue.h"
#include "bms/switching.h"

#define ORDER_LOOKS 3 /* cycles until the new state must show */
#define SETTING_LOOKS 5
#define SETTING_RETURNS 3 /* how often the last of its requests is sent while nothing answers it */

/* One order. Its owner keeps it until `done` is called. */
struct order {
    struct poller *poller;
    struct switches switches; /* those that are not confirmed yet */
    void (*done)(void *data, enum order_result result);
    void *data;
    double queued_at;           /* by line_order; after ORDER_VALID_S nothing is sent any more */
    struct bms_request request; /* the last one sent; empty: none yet */
    double sent_at;
    unsigned part; /* of a setting that takes several requests: the one that is next, or was sent */
    unsigned returns;         /* how often the last of them was sent */
    enum order_result fault;  /* of an earlier part; ORDER_PENDING: none */
    bool looking;             /* at the state that is read back */
    bool repeated;            /* the request was sent twice */
    unsigned looks;           /* cycles since it was sent */
    TAILQ_ENTRY(order) entry; /* in the line's queue */
};

/* The orders of a line, first come, first served. */
TAILQ_HEAD(order_queue, order);

/** ORDER_PENDING if a pack of this driver can carry it out, else why not. Rounds the value to the step. */
enum order_result order_check(const struct bms_driver *driver, struct switches *switches);

/** Builds the next request into order->request. ORDER_PENDING: send it. ORDER_LOOK: poll the pack first. After
 * ORDER_VALID_S: ORDER_TOO_LATE, or ORDER_UNANSWERED if a part of the order was sent already. `local` is the local time.
 * `open`: an earlier order may still be carried out. */
enum order_result order_build(struct order *order, const struct bms_moment *local, bool open,
                              double now);

/** Processes the answer to its request; REPLY_WAITING: none was received. `single`: no other
 * request can have that answer. ORDER_PENDING: go on with order_build. ORDER_LOOK: poll the pack. */
enum order_result order_settle(struct order *order, enum reply_state answer, bool single,
                               double now);

/** A cycle of its pack is over, whether it brought values or not. ORDER_PENDING: go on with
 * order_build; ORDER_LOOK: poll once more. */
enum order_result order_look(struct order *order, bool open, double now);

/** The next one that can be sent; NULL: none. */
struct order *order_queue_next(const struct order_queue *queue);

/** Acts on a result: the order goes on, or its state is read back, or it ends with `done`. */
void order_queue_go_on(struct order_queue *queue, struct order *order, enum order_result result,
                       double now);

/** After a cycle of the pack: checks the state that its order waits for. `open`: as order_look. */
void order_queue_look_back(struct order_queue *queue, const struct poller *poller, bool open,
                           double now);

/** Ends all. */
void order_queue_end(struct order_queue *queue, double now);
