// SPDX-License-Identifier: MIT
/*
 * Switching the charge and discharge MOS of a pack: what a client ordered, as the requests that its
 * driver builds. Pure; the line sends them before its next poll.
 */
#ifndef PACKGATE_LINES_ORDER_H
#define PACKGATE_LINES_ORDER_H

#include "poller.h"
#include "reply.h"

#define CONTROL_SWITCHES 2 /* enum bms_switch */

#define ORDER_VALID_S 5.0 /* after that nobody expects to see something switched */

/* Which switches are to be put into which position. */
struct switches {
    bool wanted[CONTROL_SWITCHES];
    bool on[CONTROL_SWITCHES];
};

enum control_result {
    CONTROL_PENDING,
    CONTROL_DONE,       /* confirmed by the BMS */
    CONTROL_REFUSED,    /* it said no */
    CONTROL_UNANSWERED, /* whether it was carried out is not known */
    CONTROL_TOO_LATE,   /* the line was not free in time, or is gone: nothing was sent */
    CONTROL_NOT_NOW     /* the state that the request builds on is not known yet */
};

/* One order. Whoever gives it keeps it until `done` is called. */
struct control {
    struct poller *poller;
    struct switches switches; /* what is still to be done */
    void (*done)(void *data, enum control_result result);
    void *data;
    double given_at;
    struct bms_request request; /* the last one sent; empty: none yet */
    struct control *next;       /* in the line's queue */
};

/** Builds the next request into control->request. CONTROL_PENDING: send it. */
enum control_result control_build(struct control *control);

/** What came of it; FEED_WAITING: nothing. CONTROL_PENDING: go on with control_build. */
enum control_result control_settle(struct control *control, enum feed_state answer);

/** "charge on, discharge off", for the log. */
#define SWITCHES_TEXT 40
const char *switches_format(const struct switches *switches, char out[SWITCHES_TEXT]);

#endif
