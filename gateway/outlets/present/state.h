// SPDX-License-Identifier: MIT
/*
 * Whether a presented pack may be spoken of. One rule: nothing before its first whole fresh poll cycle; then its values while they are
 * fresh; PRESENT_STOP_S of explicit stop from the moment on at which they were fresh last; then nothing. Pure: only the clock and that
 * moment decide, so that it holds without the gateway, without a timer, and after a sleep.
 */
#ifndef PACKGATE_OUTLETS_PRESENT_STATE_H
#define PACKGATE_OUTLETS_PRESENT_STATE_H

#include "packs/limits.h"

#include <math.h>
#include <stdbool.h>

#define PRESENT_STOP_S LIMITS_STOP_S /* inverters wait as long for a battery that is silent */

enum present_state { PRESENT_WAITING, PRESENT_RUNNING, PRESENT_STOPPING, PRESENT_SILENT };

/** Updates until when the values were, or will be, fresh. It starts as NaN. `fresh`: they are now, and until `good_until`. */
static inline void present_update(double *until, bool fresh, double good_until, double now)
{
    if (fresh)
        *until = good_until;
    else if (*until > now)
        *until = now;
}

static inline enum present_state present_state(double until, double now)
{
    if (isnan(until))
        return PRESENT_WAITING;
    if (now <= until)
        return PRESENT_RUNNING;
    return now <= until + PRESENT_STOP_S ? PRESENT_STOPPING : PRESENT_SILENT;
}

#endif
