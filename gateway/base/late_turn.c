// SPDX-License-Identifier: MIT
#include "late_turn.h"

#include "alloc.h"
#include "clock.h"

#include <math.h>
#include <stdlib.h>

#define IDLE_S 1.0 /* s: an idle loop turns at least this often */

/* One per loop, stored as the loop's user data. */
struct turns {
    ev_check check;
    ev_timer idle;
    double began_at; /* when this turn began (clock_now); INFINITY: none yet */
    bool late;       /* this turn began in time and has become late since */
    TAILQ_HEAD(, late_turn_watcher) watchers;
};

/* Runs first in each turn of the loop. */
static void on_turn(struct ev_loop *loop, ev_check *check, int revents)
{
    struct turns *turns = check->data;
    const double now = clock_now(), since = turns->began_at;
    const bool late = turns->late || now - since > IDLE_S + LATE_TURN_S;
    turns->began_at = now;
    turns->late = false;
    ev_timer_again(loop, &turns->idle);
    if (!late)
        return;
    struct late_turn_watcher *watcher, *next;
    for (watcher = TAILQ_FIRST(&turns->watchers); watcher; watcher = next) {
        next = TAILQ_NEXT(watcher, entry);
        watcher->late(watcher->data, since, now);
    }
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int revents)
{
}

void late_turn_watch(struct ev_loop *loop, struct late_turn_watcher *watcher)
{
    struct turns *turns = ev_userdata(loop);
    if (!turns) {
        turns = alloc_zeroed(1, sizeof *turns);
        TAILQ_INIT(&turns->watchers);
        turns->began_at = INFINITY;
        /* Neither watcher keeps the loop from ending. */
        ev_check_init(&turns->check, on_turn);
        ev_set_priority(&turns->check, EV_MAXPRI);
        turns->check.data = turns;
        ev_check_start(loop, &turns->check);
        ev_unref(loop);
        ev_init(&turns->idle, on_idle);
        turns->idle.repeat = IDLE_S;
        ev_timer_again(loop, &turns->idle);
        ev_unref(loop);
        ev_set_userdata(loop, turns);
    }
    TAILQ_INSERT_TAIL(&turns->watchers, watcher, entry);
}

void late_turn_unwatch(struct ev_loop *loop, struct late_turn_watcher *watcher)
{
    struct turns *turns = ev_userdata(loop);
    if (!turns || !watcher->entry.link)
        return;
    TAILQ_REMOVE(&turns->watchers, watcher, entry);
    watcher->entry.link = NULL;
    if (!TAILQ_EMPTY(&turns->watchers))
        return;
    ev_ref(loop);
    ev_check_stop(loop, &turns->check);
    ev_ref(loop);
    ev_timer_stop(loop, &turns->idle);
    ev_set_userdata(loop, NULL);
    free(turns);
}

bool late_turn_is_on(struct ev_loop *loop, double now)
{
    struct turns *turns = ev_userdata(loop);
    if (!turns)
        return false;
    turns->late |= now - turns->began_at > LATE_TURN_S;
    return turns->late;
}
