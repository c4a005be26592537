// SPDX-License-Identifier: MIT
/* TCP serial servers: raw bytes over one connection. */
#include "port_kind.h"

#include "base/alloc.h"
#include "base/dial.h"

static void *create(struct port *port, const struct port_simulated *simulated)
{
    static const struct dial_events events = {.opened = port_opened, .failed = port_failed};
    struct dial *dial = alloc_zeroed(1, sizeof *dial);
    if (!dial_init(dial, port->loop, port->address, &events, port)) {
        free(dial);
        return NULL;
    }
    return dial;
}

static void open_tcp(void *state)
{
    dial_start(state);
}

static void close_tcp(void *state)
{
    dial_stop(state);
}

const struct port_kind port_tcp_kind = {
    .prefix = "tcp://",
    .traits = {.forgets = true, .stores = true},
    .create = create,
    .destroy = free,
    .open = open_tcp,
    .close = close_tcp,
};
