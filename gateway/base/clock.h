// SPDX-License-Identifier: MIT
/*
 * The clock for everything that waits or ages. Wall time jumps when a host without a battery-
 * backed clock gets its time from the network; that must not make values stale, or fresh again.
 * While the host is suspended, values do age.
 */
#pragma once

/** Seconds of a clock that never jumps and that runs while the host is suspended. */
double clock_now(void);

/** Unix time in seconds, for people and files. It jumps when the clock is set. */
double clock_wall(void);

/** How many seconds the host's time zone is east of UTC at a Unix time. */
long clock_zone(double wall);
