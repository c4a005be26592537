// SPDX-License-Identifier: MIT
#include "turn.h"

#include "base/timer.h"

#include <stdio.h>
#include <string.h>

/* All turns, waiting or not, of all adapters, in the order of their requests. Adapters belong to
 * the host, not to a line: all Bluetooth lines share this list. */
static TAILQ_HEAD(, turn) turns = {NULL, &turns.first};

/* The one that has the adapter; NULL: it is free. */
static struct turn *first_at(const char *adapter)
{
    struct turn *turn = TAILQ_FIRST(&turns);
    while (turn && strcmp(turn->adapter, adapter) != 0)
        turn = TAILQ_NEXT(turn, entry);
    return turn;
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
    snprintf(turn->adapter, sizeof turn->adapter, "%s", adapter);
    TAILQ_INSERT_TAIL(&turns, turn, entry);
    if (first_at(turn->adapter) == turn)
        timer_restart(turn->loop, &turn->wake, 0);
}

void turn_end(struct turn *turn)
{
    if (!turn->adapter[0])
        return;
    const bool had_it = first_at(turn->adapter) == turn;
    ev_timer_stop(turn->loop, &turn->wake);
    TAILQ_REMOVE(&turns, turn, entry);
    struct turn *next = had_it ? first_at(turn->adapter) : NULL;
    if (next)
        timer_restart(next->loop, &next->wake, 0);
    turn->adapter[0] = '\0';
}
