// SPDX-License-Identifier: MIT
/*
 * Back-off for peers that may be away: pauses that double with each failure, and one message when
 * the trouble begins and one when it ends.
 */
#pragma once

#include <math.h>
#include <stdbool.h>

/** Grows the pause after another failure: `first_s` at first, then twice the previous one, up to
 * `most_s`. `*pause_s` is the previous pause and is updated; set it to 0 to start over. */
static inline double backoff_grow(double *pause_s, double first_s, double most_s)
{
    *pause_s = *pause_s > 0 ? fmin(2 * *pause_s, most_s) : first_s;
    return *pause_s;
}

/* A trouble that is logged once. All zeros: no trouble. */
struct trouble {
    bool told;
    double since;
};

/** Records the trouble. True: it is new, so log it. */
static inline bool trouble_begins(struct trouble *trouble, double now)
{
    const bool first = !trouble->told;
    if (first)
        *trouble = (struct trouble){.told = true, .since = now};
    return first;
}

/** Ends the trouble. True if it was logged: log the recovery, after `*lasted_s` seconds. */
static inline bool trouble_ends(struct trouble *trouble, double now, double *lasted_s)
{
    const bool told = trouble->told;
    *lasted_s = now - trouble->since;
    trouble->told = false;
    return told;
}
