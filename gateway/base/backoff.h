// SPDX-License-Identifier: MIT
/*
 * Two small things that go together wherever something out there may be away: pauses that grow
 * while it is, and one message when that begins and one when it ends.
 */
#ifndef PACKGATE_BASE_BACKOFF_H
#define PACKGATE_BASE_BACKOFF_H

#include <math.h>
#include <stdbool.h>

/** The pause after one more failure: `first_s`, then twice the one before, at most `most_s`.
 * `*pause_s` is the one before and becomes the new one; 0 begins anew. */
static inline double backoff_grow(double *pause_s, double first_s, double most_s)
{
    *pause_s = *pause_s > 0 ? fmin(2 * *pause_s, most_s) : first_s;
    return *pause_s;
}

/* A trouble as the log tells of it; zeroed: there is none. */
struct trouble {
    bool told;
    double since;
};

/** It is there. True: for the first time, so say it. */
static inline bool trouble_begins(struct trouble *trouble, double now)
{
    const bool first = !trouble->told;
    if (first)
        *trouble = (struct trouble){.told = true, .since = now};
    return first;
}

/** It is over. True: it had been told, so say how long it was, `*lasted_s`. */
static inline bool trouble_ends(struct trouble *trouble, double now, double *lasted_s)
{
    const bool told = trouble->told;
    *lasted_s = now - trouble->since;
    trouble->told = false;
    return told;
}

#endif
