// SPDX-License-Identifier: MIT
/*
 * One at a time: a Bluetooth adapter that looks for a device or connects to one can do nothing else
 * of that kind, and BlueZ refuses it. Whoever wants to waits for its turn, first come, first served.
 */
#ifndef PACKGATE_LINES_BLE_TURN_H
#define PACKGATE_LINES_BLE_TURN_H

#include "base/queue.h"

#include <ev.h>
#include <stdbool.h>

struct turn {
    struct ev_loop *loop;
    void (*begins)(void *data); /* from the loop, never from within the functions below */
    void *data;
    char adapter[32]; /* empty: neither waiting nor having it */
    ev_timer wake;
    TAILQ_ENTRY(turn) entry;
};

void turn_init(struct turn *turn, struct ev_loop *loop, void (*begins)(void *data), void *data);

/** Waits for the adapter; `begins` follows. Nothing, when it waits or has its turn already. */
void turn_want(struct turn *turn, const char *adapter);

/** Ends it, or the wait. */
void turn_end(struct turn *turn);

#endif
