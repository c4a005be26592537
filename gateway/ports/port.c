// SPDX-License-Identifier: MIT
/* The connection to a far end: what all kinds have in common. */
#include "port_kind.h"

#include "base/alloc.h"
#include "base/timer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct port_kind *const kinds[] = {&port_serial_kind, &port_tcp_kind, &port_ble_kind,
                                                &port_sim_kind};

static void on_start(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct port *port = timer->data;
    port->kind->open(port);
}

struct port *port_new(struct ev_loop *loop, const char *address,
                      const struct port_settings *settings, const struct port_simulated *simulated,
                      const struct port_events *events, void *data)
{
    const struct port_kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(address, kinds[i]->prefix, strlen(kinds[i]->prefix)) == 0)
            kind = kinds[i];
    if (!kind)
        return NULL;
    if (kind == &port_ble_kind && settings->advertises)
        kind = &port_adverts_kind;
    struct port *port = alloc_zeroed(1, kind->size);
    *port = (struct port){.kind = kind,
                          .loop = loop,
                          .settings = *settings,
                          .events = *events,
                          .data = data,
                          .fd = -1,
                          .far = -1};
    snprintf(port->text, sizeof port->text, "%s", address);
    port->address = port->text + strlen(kind->prefix);
    ev_timer_init(&port->start, on_start, 0, 0);
    port->start.data = port;
    if (!kind->create || kind->create(port, simulated))
        return port;
    free(port);
    return NULL;
}

void port_free(struct port *port)
{
    if (!port)
        return;
    port_close(port);
    if (port->kind->destroy)
        port->kind->destroy(port);
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
    if (port->kind->close)
        port->kind->close(port);
    port_end_pair(port);
    if (port->fd >= 0)
        close(port->fd);
    port->fd = -1;
}

bool port_make_pair(struct port *port)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        port_failed(port, strerror(errno));
        return false;
    }
    port->fd = ends[0];
    port->far = ends[1];
    return true;
}

void port_end_pair(struct port *port)
{
    if (port->far >= 0)
        close(port->far);
    port->far = -1;
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
    char kept[200]; /* the reason may be in what is closed */
    snprintf(kept, sizeof kept, "%s", why);
    port_close(port);
    port->events.failed(port->data, kept);
}
