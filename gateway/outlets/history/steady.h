// SPDX-License-Identifier: MIT
/*
 * Decides whether the time of day can be trusted when old rows are to be deleted. A clock that is
 * wrong by years, as on a board without a battery, would make all rows old at once. Therefore a
 * clock that has just jumped, or is far from the newest row at the start, must run steadily for a
 * day first; meanwhile a time server or a person sets it right. Pure.
 */
#pragma once

#include <stdbool.h>

#define STEADY_JUMP_S 3600.0 /* set by hand, or daylight saving time if the clock is local */
#define STEADY_AWAY_S (30 * 86400.0) /* few gateways are switched off for that long */
#define STEADY_AFTER_S 86400.0

struct steady {
    double offset; /* of the time of day to the monotonic clock */
    double until;  /* monotonic time until which the time of day is not trusted */
};

/** Call at the start. `wall` is the time of day, `now` that of clock_now, `newest` that of the
 * newest row; 0: none. */
void steady_begin(struct steady *steady, double wall, double now, double newest);

/** Whether the time of day can be trusted now. */
bool steady_clock(struct steady *steady, double wall, double now);
