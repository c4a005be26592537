// SPDX-License-Identifier: MIT
/*
 * The clock of everything that waits or ages. Wall time jumps when a host without a battery-backed
 * clock gets its time from the network; values must not become stale, or fresh again, by that.
 * While the host is suspended they do grow old.
 */
#ifndef PACKGATE_BASE_CLOCK_H
#define PACKGATE_BASE_CLOCK_H

/** Seconds of a clock that never jumps and does not stop. */
double clock_now(void);

/** Unix time in seconds, for people and files: it jumps. */
double clock_wall(void);

#endif
