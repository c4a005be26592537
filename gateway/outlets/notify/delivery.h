// SPDX-License-Identifier: MIT
/*
 * The queue of messages: sent in order, except that a message does not wait for an earlier one that is to be retried; five
 * attempts within an hour each, and no more messages per hour than the section permits; further ones are counted and
 * summarized in one message. Pure: time is an argument, and the caller sends.
 */
#pragma once

#include "message.h"

#include "base/queue.h"

#define DELIVERY_TRIES 5
#define DELIVERY_QUEUE 64   /* messages at one time */
#define DELIVERY_TITLES 6   /* titles listed in the message about further ones */
#define DELIVERY_LIMIT 1000 /* the highest that a section can have */
#define DELIVERY_HOUR_S 3600.0

struct parcel {
    TAILQ_ENTRY(parcel) entry;
    struct message message;
    unsigned pack, watch; /* the event that it reports, for its note */
    unsigned tries;
    double due; /* when to send it next */
};

struct delivery {
    TAILQ_HEAD(, parcel) parcels;
    unsigned count;
    double accepted[DELIVERY_LIMIT]; /* clock times of the last ones; a ring */
    unsigned at, limit;
    unsigned held;                                    /* beyond the limit, not reported yet */
    double held_since;                                /* Unix seconds */
    char titles[DELIVERY_TITLES][MESSAGE_TITLE_SIZE]; /* of the last of them; a ring */
    uint32_t sent, dropped, failed;
};

void delivery_init(struct delivery *delivery, unsigned limit);

/** Takes over a message with what it has on the heap. False: above the limit, only counted. */
bool delivery_add(struct delivery *delivery, struct message *message, unsigned pack, unsigned watch,
                  double now);

/** Queues one message about those held, if there is room again. `time` in Unix seconds. */
void delivery_tell_held(struct delivery *delivery, const char *gateway, double now, double time);

/** The next message that is due; NULL: none. It stays in the queue. */
struct parcel *delivery_next(struct delivery *delivery, double now);

enum outcome {
    OUTCOME_SENT,
    OUTCOME_AGAIN,  /* it may go well later */
    OUTCOME_REFUSED /* it never will */
};

/** Records the result of a try. True: it is retried after `*pause_s`; false: the parcel is gone, and if it was sent, so are older
 * ones about the same event. */
bool delivery_settle(struct delivery *delivery, struct parcel *parcel, enum outcome outcome,
                     double now, double *pause_s);
