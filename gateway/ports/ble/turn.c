// SPDX-License-Identifier: MIT
/* Turns at a Bluetooth adapter. */
#include "turn.h"

#include "base/timer.h"

#include <stdio.h>
#include <string.h>

/* All turns, waiting or not, of all adapters, in the order of their requests. Adapters belong to
 * the host, not to a line: all Bluetooth lines share this list. */
static TAILQ_HEAD(, turn) turns = {NULL, &turns.first};

static bool waits_for(const struct turn *turn, const char *adapter)
{
    return strcmp(turn->adapter, adapter) == 0;
}

/* The first one has the adapter. */
static void wake_first(const char *adapter)
{
    struct turn *turn;
    TAILQ_FOREACH(turn, &turns, entry)
    {
        if (!waits_for(turn, adapter))
            continue;
        timer_restart(turn->loop, &turn->wake, 0);
        return;
    }
}

static void on_wake(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct turn *turn = timer->data;
    turn->begins(turn->data);
}

void turn_init(struct turn *turn, struct ev_loop *loop, void (*begins)(void *data), void *data)
{
    *turn = (struct turn){.loop = loop, .begins = begins, .data = data};
    ev_init(&turn->wake, on_wake);
    turn->wake.data = turn;
}

void turn_want(struct turn *turn, const char *adapter)
{
    if (turn->adapter[0])
        return;
    bool taken = false;
    struct turn *other;
    TAILQ_FOREACH(other, &turns, entry)
    taken |= waits_for(other, adapter);
    snprintf(turn->adapter, sizeof turn->adapter, "%s", adapter);
    TAILQ_INSERT_TAIL(&turns, turn, entry);
    if (!taken)
        wake_first(adapter);
}

void turn_end(struct turn *turn)
{
    if (!turn->adapter[0])
        return;
    char adapter[sizeof turn->adapter];
    memcpy(adapter, turn->adapter, sizeof adapter);
    bool first = true;
    for (struct turn *other = TAILQ_FIRST(&turns); other && other != turn;
         other = TAILQ_NEXT(other, entry))
        first &= !waits_for(other, adapter);
    ev_timer_stop(turn->loop, &turn->wake);
    TAILQ_REMOVE(&turns, turn, entry);
    turn->adapter[0] = '\0';
    if (first)
        wake_first(adapter);
}
