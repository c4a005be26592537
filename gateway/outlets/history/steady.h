// SPDX-License-Identifier: MIT
/*
 * Whether the time of day can be believed when old rows are to be deleted. A clock that is wrong by
 * years, as that of a board without a battery may be, would make all of them old at once. So one that
 * has just jumped, or that is far from the newest row at the start, has to go on steadily for a day
 * first; meanwhile somebody or a time server sets it right. Pure.
 */
#ifndef PACKGATE_OUTLETS_HISTORY_STEADY_H
#define PACKGATE_OUTLETS_HISTORY_STEADY_H

#include <stdbool.h>

#define STEADY_JUMP_S 3600.0 /* by hand, or daylight saving time where the clock has local time */
#define STEADY_AWAY_S (30 * 86400.0) /* switched off for so long is rare */
#define STEADY_AFTER_S 86400.0

struct steady {
    double offset; /* of the time of day to the clock that never jumps */
    double until;  /* of that clock: it is not believed so long */
};

/** Call at the start. `wall` is the time of day, `now` that of clock_now, `newest` that of the
 * newest row; 0: none. */
void steady_begin(struct steady *steady, double wall, double now, double newest);

/** Whether the time of day can be trusted now. */
bool steady_clock(struct steady *steady, double wall, double now);

#endif
