// SPDX-License-Identifier: MIT
/*
 * The rule of what masters get for a presented pack: no answer before its first whole fresh poll cycle; its values while they are
 * fresh; an explicit stop for PRESENT_STOP_S after they turned stale; then no answer. Pure: only the clock and the end of freshness
 * decide, so the rule holds without the gateway, without a timer, and after the host has slept.
 */
#pragma once

#include "packs/limits.h"

#include <math.h>
#include <stdbool.h>

#define PRESENT_STOP_S LIMITS_STOP_S /* s; inverters wait about as long for a silent battery */

enum present_state { PRESENT_WAITING, PRESENT_RUNNING, PRESENT_STOPPING, PRESENT_SILENT };

/** Updates `*until`, the time until which the values are or were fresh; it starts as NaN. `fresh`: they are fresh now, and until
 * `good_until`. */
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
