// SPDX-License-Identifier: MIT
/*
 * Messages on their way: in their order, five tries within an hour each, and no more messages an hour
 * than the section allows; what comes beyond is counted and told by one message. Pure: time is an
 * argument, sending is somebody else's.
 */
#ifndef PACKGATE_OUTLETS_NOTIFY_DELIVERY_H
#define PACKGATE_OUTLETS_NOTIFY_DELIVERY_H

#include "message.h"

#define DELIVERY_TRIES 5
#define DELIVERY_QUEUE 64   /* messages at one time */
#define DELIVERY_TITLES 6   /* that the message about further ones lists */
#define DELIVERY_LIMIT 1000 /* the highest that a section can have */
#define DELIVERY_HOUR_S 3600.0

struct parcel {
    struct message message;
    unsigned pack, watch; /* what it is about, for who notes that it was told */
    unsigned tries;
    double due; /* what it is about, for the note that it was reported */
    struct parcel *next;
};

struct delivery {
    struct parcel *first;
    unsigned count;
    double accepted[DELIVERY_LIMIT]; /* clock, of the last ones; a ring */
    unsigned at, limit;
    unsigned held;                                    /* beyond the limit, not told yet */
    double held_since;                                /* Unix seconds */
    char titles[DELIVERY_TITLES][MESSAGE_TITLE_SIZE]; /* of the last of them; a ring */
    uint32_t sent, dropped, failed;
};

void delivery_init(struct delivery *delivery, unsigned limit);
void delivery_free(struct delivery *delivery);

/** Takes over a message, with what it has on the heap. False: it exceeds the limit, and is only
 * counted. */
bool delivery_add(struct delivery *delivery, struct message *message, unsigned pack, unsigned watch,
                  double now);

/** Once there is room again, queues one message about those beyond the limit. `time` in Unix
 * seconds. */
void delivery_tell_held(struct delivery *delivery, const char *gateway, double now, double time);

/** The next message that is due; NULL: none. It stays in the queue. */
struct parcel *delivery_next(struct delivery *delivery, double now);

enum outcome {
    OUTCOME_SENT,
    OUTCOME_AGAIN,  /* it may go well later */
    OUTCOME_REFUSED /* it never will */
};

/** Records the result of a try. True: it is retried after `*pause_s`; false: the parcel is gone. */
bool delivery_settle(struct delivery *delivery, struct parcel *parcel, enum outcome outcome,
                     double now, double *pause_s);

#endif
