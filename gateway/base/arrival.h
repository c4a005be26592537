// SPDX-License-Identifier: MIT
/*
 * How long ago what is read from a socket may have come. The kernel does not say: it may have lain there while the
 * process was stopped or the host slept. What is known is when the socket was seen empty; and that a socket which the
 * loop watches is read in the turn after something came, unless that turn is late.
 *
 * So what is read came after the turn before this one began. Where a turn is late, all sockets are looked at: what is in
 * them then came after the last turn that was in time, however many turns it takes to read it, and is not believed to be
 * younger until the socket was empty.
 */
#ifndef PACKGATE_BASE_ARRIVAL_H
#define PACKGATE_BASE_ARRIVAL_H

#include <math.h>
#include <stdbool.h>

/* Of one socket. */
struct arrival {
    double since; /* clock_now: what will be read came later than that */
    bool left;    /* something may have been in it when nobody read: `since` is all that is known */
};

/** What is read now came no earlier than this. `seen_at`: what had come by then to a socket that is watched has been
 * read; when the turn before this one began. */
static inline double arrival_since(const struct arrival *arrival, double seen_at)
{
    return arrival->left ? arrival->since : fmax(arrival->since, seen_at);
}

/** Nothing was in it at `now`. */
static inline void arrival_emptied(struct arrival *arrival, double now)
{
    *arrival = (struct arrival){.since = now};
}

/** Something stays in it that is not read in this turn. `seen_at`: -INFINITY when the socket was not watched. */
static inline void arrival_left(struct arrival *arrival, double seen_at)
{
    *arrival = (struct arrival){.since = arrival_since(arrival, seen_at), .left = true};
}

#endif
