// SPDX-License-Identifier: MIT
/*
 * Switching the charge and discharge MOS of a pack, or writing one of its settings: what a client
 * ordered, as the requests that its driver builds. Pure; the line sends them before its next poll.
 *
 * The answer of the BMS confirms an order as long as it can be that of no other one, and no echo: while
 * nothing is known of the pack, it is not known either whether its line echoes. When an order
 * is left unanswered, neither its silence nor the answers to the next ones say anything, as the
 * first of these may be its own: then only the state counts that is read back. An order that it
 * does not show is sent once more while anybody expects it.
 *
 * A setting is kept in a memory that wears out, and has to be put back by somebody who knows what it
 * was. So it is read first, at the latest a few seconds before: what is set already is not written, and
 * what cannot be read is not written either. What confirms it is always that it is read back.
 *
 * Some settings take several requests, the last of which takes the device out of a mode that it must not stay
 * in. Whatever becomes of the others, that one is sent, several times if need be; where that was in vain, or
 * the line is lost before, the driver goes on with it as a part of its plan.
 */
#ifndef PACKGATE_LINES_ORDER_H
#define PACKGATE_LINES_ORDER_H

#include "poller.h"
#include "reply.h"

#define ORDER_SWITCHES 2 /* enum bms_switch */

#define ORDER_VALID_S 5.0 /* after that nobody expects to see something switched */
#define ORDER_LOOKS 3     /* cycles in which the state may still be that before the order */
#define SETTING_VALID_S (2 * ORDER_VALID_S) /* a setting is read before it is written */
#define SETTING_LOOKS 5
#define SETTING_RETURNS 3 /* how often the last of its requests is sent while nothing answers it */

/* Which switches are to be put into which position, or which setting is to be what. */
struct switches {
    bool wanted[ORDER_SWITCHES];
    bool on[ORDER_SWITCHES];
    bool sets; /* no switch is wanted, but this setting: */
    enum pack_value setting;
    double value;
    double before; /* what it was, once that is known; NaN: not yet */
};

enum order_result {
    ORDER_PENDING,
    ORDER_LOOK,        /* the state has to be read back: order_look follows */
    ORDER_DONE,        /* confirmed by the BMS */
    ORDER_REFUSED,     /* it said no */
    ORDER_UNANSWERED,  /* it was not carried out, or that is not known */
    ORDER_TOO_LATE,    /* the line was not free in time, or is gone: nothing was sent */
    ORDER_NOT_NOW,     /* the state that the request builds on is not known yet */
    ORDER_BUSY,        /* another order for this pack is under way */
    ORDER_NO_LINE,     /* the line is down, or the pack is still to be found */
    ORDER_NOT_ALLOWED, /* a bank, or a pack that is not writable */
    ORDER_NO_SETTING,  /* its protocol cannot write that one */
    ORDER_OUT_OF_RANGE /* it must not be set to that */
};
#define ORDER_RESULTS (ORDER_OUT_OF_RANGE + 1)

/* One order. Whoever gives it keeps it until `done` is called. */
struct order {
    struct poller *poller;
    struct switches switches; /* what is still to be done */
    void (*done)(void *data, enum order_result result);
    void *data;
    double queued_at;           /* by line_order; after ORDER_VALID_S nothing is sent any more */
    struct bms_request request; /* the last one sent; empty: none yet */
    double sent_at;
    unsigned part; /* of a setting that takes several requests: the one that is next, or was sent */
    unsigned returns;        /* how often the last of them was sent */
    enum order_result fault; /* what became of one of them; ORDER_PENDING: nothing */
    bool looking;            /* at the state that is read back */
    bool repeated;           /* the request was sent twice */
    unsigned looks;          /* cycles since it was sent */
    struct order *next;      /* in the line's queue */
};

/** Whether a pack of this driver can be ordered that, and the value as it is written: a multiple of the
 * protocol's step. ORDER_PENDING: it can. */
enum order_result order_check(const struct bms_driver *driver, struct switches *switches);

/** Builds the next request into order->request. ORDER_PENDING: send it. ORDER_LOOK: poll the pack first. When nobody
 * expects it any more: ORDER_TOO_LATE, or ORDER_UNANSWERED when a part of the order was sent already. `local` is the
 * local time. `open`: an order before this one may still be carried out. */
enum order_result order_build(struct order *order, const struct bms_moment *local, bool open,
                              double now);

/** What came of it; REPLY_WAITING: nothing. `single`: the answer can be that to no other request. ORDER_PENDING: go on
 * with order_build. ORDER_LOOK: poll the pack. */
enum order_result order_settle(struct order *order, enum reply_state answer, bool single,
                               double now);

/** A cycle of its pack is over, whether it brought values or not. ORDER_PENDING: go on with
 * order_build; ORDER_LOOK: poll once more. */
enum order_result order_look(struct order *order, bool open, double now);

/** "charge on, discharge off", "soc_percent 80.5 instead of 63.4", for the log. */
#define SWITCHES_TEXT 80
const char *switches_format(const struct switches *switches, char out[SWITCHES_TEXT]);

#endif
