// SPDX-License-Identifier: MIT
/*
 * Late turns of the loop. If the process was stopped, the host slept, or something kept the loop
 * busy, bytes in sockets and pipes may have arrived at any time since the previous turn, and their
 * sender may be gone. No order among them may be carried out: each part that accepts orders
 * watches for late turns and closes its clients before it reads from them. They reconnect.
 *
 * An idle loop turns once a second, by a timer of this file. A turn is late if it begins more than
 * LATE_TURN_S after that was due, by the clock that also runs while the host sleeps. Watchers are
 * called before everything else in that turn. The process can also be stopped within a turn that
 * began in time, between the event and the read from the socket: late_turn_is_on detects this, and
 * the next turn then counts as late.
 */
#pragma once

#include "queue.h"

#include <ev.h>
#include <stdbool.h>

/* In seconds: a busy machine delays a turn by less, and no client expects an order to take longer. */
#define LATE_TURN_S 2.0

/* Embedded in each part that accepts orders, which fills in `late` and `data`. */
struct late_turn_watcher {
    /** A late turn begins, at `now`. What is read in it may have arrived at any time after `since`,
     * when the previous turn began (clock_now). Must not stop other watchers. */
    void (*late)(void *data, double since, double now);
    void *data;
    TAILQ_ENTRY(late_turn_watcher) entry;
};

/** Calls `late` from now on. Only the first call for a loop allocates. */
void late_turn_watch(struct ev_loop *loop, struct late_turn_watcher *watcher);

/** Stops watching. A watcher that is all zeros is fine. */
void late_turn_unwatch(struct ev_loop *loop, struct late_turn_watcher *watcher);

/** Whether this turn began in time but has lasted longer than LATE_TURN_S at `now`: what was read
 * in it may be old. Call it after reading from the socket, with a clock value taken after the
 * read. False if the loop has no watcher. */
bool late_turn_is_on(struct ev_loop *loop, double now);
