// SPDX-License-Identifier: MIT
#pragma once

#include <ev.h>

/** Makes a timer fire once, `seconds` from now, whether it runs already or not. */
static inline void timer_restart(struct ev_loop *loop, ev_timer *timer, double seconds)
{
    ev_timer_stop(loop, timer);
    ev_timer_set(timer, seconds, 0);
    ev_timer_start(loop, timer);
}
