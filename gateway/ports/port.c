// SPDX-License-Identifier: MIT
/* The connection to a far end: what all kinds have in common. */
#include "port_kind.h"

#include "base/alloc.h"
#include "base/timer.h"

#include <string.h>

static const struct port_kind *const kinds[] = {&port_serial_kind, &port_tcp_kind, &port_ble_kind,
                                                &port_sim_kind};

static void on_start(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct port *port = timer->data;
    port->kind->open(port->state);
}

struct port *port_new(struct ev_loop *loop, const char *address,
                      const struct port_settings *settings, const struct port_simulated *simulated,
                      const struct port_events *events, void *data)
{
    struct port *port = alloc_zeroed(1, sizeof *port);
    snprintf(port->text, sizeof port->text, "%s", address);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(port->text, kinds[i]->prefix, strlen(kinds[i]->prefix)) == 0)
            port->kind = kinds[i];
    if (port->kind == &port_ble_kind && settings->advertises)
        port->kind = &port_adverts_kind;
    if (port->kind) {
        port->loop = loop;
        port->address = port->text + strlen(port->kind->prefix);
        port->settings = *settings;
        port->events = *events;
        port->data = data;
        ev_timer_init(&port->start, on_start, 0, 0);
        port->start.data = port;
        port->state = port->kind->create(port, simulated);
    }
    if (!port->state) {
        free(port);
        return NULL;
    }
    return port;
}

void port_free(struct port *port)
{
    if (!port)
        return;
    port_close(port);
    port->kind->destroy(port->state);
    free(port);
}

void port_open(struct port *port)
{
    port_close(port);
    port->active = true;
    timer_restart(port->loop, &port->start, 0);
}

void port_close(struct port *port)
{
    if (!port->active)
        return;
    port->active = false;
    ev_timer_stop(port->loop, &port->start);
    port->kind->close(port->state);
}

const struct port_traits *port_traits(const struct port *port)
{
    return &port->kind->traits;
}

int port_signal_dbm(const struct port *port)
{
    return port->signal_dbm;
}

void port_opened(void *data, int fd)
{
    struct port *port = data;
    port->events.opened(port->data, fd);
}

void port_failed(void *data, const char *why)
{
    struct port *port = data;
    port_close(port);
    port->events.failed(port->data, why);
}
