// SPDX-License-Identifier: MIT
/* TCP serial servers: raw bytes over one connection. */
#include "port_kind.h"

#include "base/dial.h"

struct tcp {
    struct port port;
    struct dial dial;
};

static bool create(struct port *port, const struct port_simulated *simulated)
{
    static const struct dial_events events = {.opened = port_opened, .failed = port_failed};
    return dial_init(&((struct tcp *) port)->dial, port->loop, port->address, &events, port);
}

static void open_tcp(struct port *port)
{
    dial_start(&((struct tcp *) port)->dial);
}

static void close_tcp(struct port *port)
{
    dial_stop(&((struct tcp *) port)->dial);
}

const struct port_kind port_tcp_kind = {
    .prefix = "tcp://",
    .traits = {.forgets = true, .stores = true},
    .size = sizeof(struct tcp),
    .create = create,
    .open = open_tcp,
    .close = close_tcp,
};
