// SPDX-License-Identifier: MIT
/* In place of port_ble.c in a build without Bluetooth. */
#include "lines/port_kind.h"

static void *create(struct port *port, const struct port_simulated *simulated)
{
    (void) simulated;
    return port;
}

static void leave(void *state)
{
    (void) state;
}

static void open_none(void *state)
{
    port_failed(state, "this packgate was built without Bluetooth");
}

const struct port_kind port_ble_kind = {
    .prefix = "ble:", .create = create, .destroy = leave, .open = open_none, .close = leave};
