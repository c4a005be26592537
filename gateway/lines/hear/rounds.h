// SPDX-License-Identifier: MIT
/*
 * What another master reads of one pack, round by round: the answers become one set of values when the master has repeated
 * all its questions. spike.h judges each answer by itself. A set is as old as its oldest answer. Stale answers are left
 * out, except for values that never change. Pure.
 */
#ifndef PACKGATE_LINES_ROUNDS_H
#define PACKGATE_LINES_ROUNDS_H

#include "lines/poller.h"

#define ROUNDS_KINDS BMS_PLAN_MAX /* different questions to one pack */

/* What one question brings. */
struct rounds_kind {
    uint32_t asked;     /* the question, as a hash */
    struct pack part;   /* the answer that was believed last, */
    double at;          /* and when it was asked for; -INFINITY: none yet */
    struct spike spike; /* answers that were not */
    double asked_at;    /* the last time, believed or not; -INFINITY: never */
    double every_s;     /* since the time before that; INFINITY: it was the first */
    bool renewed;       /* answered in this round of the master */
    bool before;        /* in the round before */
    bool expected;      /* once all that are are renewed, the round is over */
};

/* One pack, as its master reads it. */
struct rounds {
    struct poller *poller;
    struct rounds_kind kinds[ROUNDS_KINDS];
    unsigned count;
};

/** Takes the answer to a question (`asked`: its hash) that was put at `at`. True: poller->values are new. */
bool rounds_take(struct rounds *rounds, uint32_t asked, const struct pack *part, double at,
                 double now);

#endif
