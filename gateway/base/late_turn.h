// SPDX-License-Identifier: MIT
/*
 * Late turns of the loop. When the process was stopped, the host slept, or something kept the loop busy, what lies in
 * sockets and pipes came at any time since the turn before, and the program that sent it may have gone. No order among
 * it is carried out: whoever takes orders watches for late turns, and closes its clients before it reads from them.
 * They connect again.
 *
 * A loop that has nothing to do turns once a second, by a timer of this file. A turn that begins more than LATE_TURN_S
 * later than that is late, by the clock that runs while the host sleeps. Watchers are called before everything else in
 * that turn. A stop can also fall into a turn that began in time, between the event and the look into the socket:
 * late_turn_is_on tells, and the next turn is late in any case.
 */
#ifndef PACKGATE_BASE_LATE_TURN_H
#define PACKGATE_BASE_LATE_TURN_H

#include "queue.h"

#include <ev.h>
#include <stdbool.h>

#define LATE_TURN_S                                                                                \
    2.0 /* longer than a busy machine keeps a turn waiting; nobody expects an order to take longer */

/* Embedded in whoever takes orders, who fills in `late` and `data`. */
struct late_turn_watcher {
    /** A late turn begins, at `now`; what is read in it may have come at any time after `since`, when the turn before
     * began (clock_now). Must not end other watchers. */
    void (*late)(void *data, double since, double now);
    void *data;
    TAILQ_ENTRY(late_turn_watcher) entry;
};

/** Calls `late` from now on. False: out of memory, which only the first call for a loop needs. */
bool late_turn_watch(struct ev_loop *loop, struct late_turn_watcher *watcher);

/** Ends that. One that does not watch, all zeros, is fine. */
void late_turn_unwatch(struct ev_loop *loop, struct late_turn_watcher *watcher);

/** Whether this turn, which began in time, has lasted for longer than LATE_TURN_S at `now`: what was read in it may be
 * old. To be asked after the look into a socket, with a look at the clock that comes after it, too. False where nobody
 * watches. */
bool late_turn_is_on(struct ev_loop *loop, double now);

#endif
