// SPDX-License-Identifier: MIT
/*
 * Collects what another master reads of one pack, round by round: the answers become one set of
 * values when the master has repeated all its requests. spike.h judges each answer by itself. A set
 * is as old as its oldest answer. Stale answers are omitted, except for values that never change.
 * Pure.
 */
#pragma once

#include "lines/poller.h"

#define ROUNDS_KINDS BMS_PLAN_MAX /* different requests to one pack */

/* The answers to one request. */
struct rounds_kind {
    uint32_t asked;     /* hash of the request */
    struct pack part;   /* the last accepted answer, */
    double at;          /* and the time of its request; -INFINITY: none yet */
    struct spike spike; /* answers that were not accepted */
    double asked_at;    /* time of the last request, accepted or not; -INFINITY: never */
    double every_s;     /* between the last two requests; INFINITY: there was one only */
    bool renewed;       /* answered in this round of the master */
    bool before;        /* in the round before */
    bool expected;      /* a round ends when all expected kinds are renewed */
};

/* One pack, as its master reads it. */
struct rounds {
    struct poller *poller;
    struct rounds_kind kinds[ROUNDS_KINDS];
    unsigned count;
};

/** Adds the answer to a request (`asked`: its hash) that was sent at `at`. True: poller->values are
 * new. */
bool rounds_take(struct rounds *rounds, uint32_t asked, const struct pack *part, double at,
                 double now);
