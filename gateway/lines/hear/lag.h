// SPDX-License-Identifier: MIT
/*
 * How late bytes may come on a line where nobody is asked by us. Pure.
 *
 * Only silence tells: what comes behind a silence that is longer than usual may be as old as the silence was long, and so
 * may all that follows. The port is opened anew then, as a new connection brings nothing that was said before. If that
 * begins with as long a silence as the one before it, the delay is always there: it is no use to open it again, and what
 * comes is that old.
 *
 * A device that talks pauses for a known time. A master that has its rounds is silent between them: two pauses that were
 * alike, with less than their length between them, are its habit and no delay.
 */
#ifndef PACKGATE_LINES_LAG_H
#define PACKGATE_LINES_LAG_H

#include <stdbool.h>

struct lag {
    bool learns;           /* the usual pause, of a master */
    double usual_s;        /* the usual pause, at least */
    double pause_s;        /* the last one, */
    double pause_ended_at; /* and its end; NaN: there was none */
    double heard_at;       /* the last byte, or the opening */
    bool opening;          /* nothing was heard since */
    double first_s; /* the silence behind the last opening, if it was too long; NaN: it was not */
    double constant_s; /* a delay that is always there; 0: none */
    double late_s;     /* bytes may be so old */
};

/** `usual_s`: the longest pause that means nothing. `learns`: there may be a longer one. */
void lag_init(struct lag *lag, double usual_s, bool learns);

void lag_opened(struct lag *lag, double now);

/** Bytes came, which may be lag->late_s old. True: to open the port anew would help. */
bool lag_heard(struct lag *lag, double now);

#endif
