// SPDX-License-Identifier: MIT
/*
 * Estimates how late bytes are on a line that packgate does not poll. Pure.
 *
 * Only silence shows a delay: bytes after an unusually long silence, and all later ones, may
 * be as old as it was long. The port is then reopened, because a new connection delivers no earlier
 * bytes. If a silence of the same length follows, the delay is constant: reopening does not help,
 * and the bytes are that old.
 *
 * A device that sends by itself pauses for a known time. A master is silent between its
 * rounds: two similar pauses, with less than their length between them, are its habit and no delay.
 */
#pragma once

#include <stdbool.h>

struct lag {
    bool learns;           /* the usual pause, of a master */
    double usual_s;        /* the usual pause, at least */
    double pause_s;        /* the last one, */
    double pause_ended_at; /* and its end; NaN: there was none */
    double heard_at;       /* the last byte, or the opening */
    bool opening;          /* nothing was heard since */
    double first_s;        /* the silence after the last opening, if it was too long; else NaN */
    double constant_s;     /* a delay that is always there; 0: none */
    double late_s;         /* how old bytes may be */
};

/** `usual_s`: the longest normal pause. `learns`: longer ones may be normal. */
void lag_init(struct lag *lag, double usual_s, bool learns);

void lag_opened(struct lag *lag, double now);

/** Bytes came, which may be lag->late_s old. True: reopening the port would help. */
bool lag_heard(struct lag *lag, double now);
