// SPDX-License-Identifier: MIT
/*
 * What a master that is only listened to reads of one pack, round by round: the answers to its questions become one set
 * of values when it has asked everything again that it asks. A set is as old as the oldest answer in it. Pure.
 */
#ifndef PACKGATE_LINES_ROUNDS_H
#define PACKGATE_LINES_ROUNDS_H

#include "lines/poller.h"

#define ROUNDS_KINDS 24 /* different questions to one pack */

/* What one question has brought. */
struct rounds_kind {
    uint32_t asked; /* the question, as a hash */
    struct pack part;
    double at;
    double every_s;    /* since the answer before it; INFINITY: it is the first */
    struct pack good;  /* of the same question, as it was believed last, */
    double good_at;    /* and when it was; -INFINITY: never */
    double doubted_at; /* the answer that is in doubt; NaN: none is */
    unsigned doubts;   /* answers in a row that were */
    bool renewed;      /* in this round of the master */
    bool before;       /* in the round before */
    bool expected;     /* once all that are are renewed, the round is over */
};

/* One pack, as its master reads it. */
struct rounds {
    struct poller *poller;
    struct rounds_kind kinds[ROUNDS_KINDS];
    unsigned count;
    unsigned anew;           /* that a question began anew, up to ROUNDS_FIRST */
    uint32_t last;           /* the question that was answered last, */
    unsigned repeats;        /* and how often it was asked again with no other between */
    double told_at, round_s; /* last; NaN: not yet */
};

void rounds_init(struct rounds *rounds, struct poller *poller);

/** Takes the answer to a question (`asked`: its hash) that was put at `at`. True: poller->values are new. */
bool rounds_take(struct rounds *rounds, uint32_t asked, const struct pack *part, double at,
                 double now);

#endif
