// SPDX-License-Identifier: MIT
/*
 * The queue for a Bluetooth adapter: while it searches for a device or connects to one, BlueZ
 * rejects other searches and connections. Lines wait for their turn, first come, first served.
 */
#pragma once

#include "base/queue.h"

#include <ev.h>
#include <stdbool.h>

struct turn {
    struct ev_loop *loop;
    void (*begins)(void *data); /* from the loop, never from within the functions below */
    void *data;
    char adapter[32]; /* empty: neither waiting nor having a turn */
    ev_timer wake;
    TAILQ_ENTRY(turn) entry;
};

void turn_init(struct turn *turn, struct ev_loop *loop, void (*begins)(void *data), void *data);

/** Waits for the adapter; `begins` follows. Does nothing if it already waits or has its turn. */
void turn_want(struct turn *turn, const char *adapter);

/** Ends the turn, or the wait. */
void turn_end(struct turn *turn);
