// SPDX-License-Identifier: MIT
/* The ports of views. */
#include "view_ports.h"

#include "base/log.h"
#include "base/queue.h"

#include <stdlib.h>
#include <string.h>

struct port {
    char at[LISTEN_SIZE];
    struct server *server;
    struct units units;
    bool fresh, wanted;
    TAILQ_ENTRY(port) entry;
};

TAILQ_HEAD(port_list, port);

struct view_ports {
    struct ev_loop *loop;
    struct port_list list;
};

struct view_ports *view_ports_new(struct ev_loop *loop)
{
    struct view_ports *ports = calloc(1, sizeof *ports);
    if (!ports)
        return NULL;
    ports->loop = loop;
    TAILQ_INIT(&ports->list);
    return ports;
}

static void close_port(struct view_ports *ports, struct port *port)
{
    TAILQ_REMOVE(&ports->list, port, entry);
    server_free(port->server);
    free(port);
}

/* Frees those that are not wanted, or those that are new. */
static void close_some(struct view_ports *ports, bool fresh)
{
    for (struct port *port = TAILQ_FIRST(&ports->list), *next; port; port = next) {
        next = TAILQ_NEXT(port, entry);
        if (fresh ? port->fresh : !port->wanted)
            close_port(ports, port);
    }
}

void view_ports_free(struct view_ports *ports)
{
    if (!ports)
        return;
    while (!TAILQ_EMPTY(&ports->list))
        close_port(ports, TAILQ_FIRST(&ports->list));
    free(ports);
}

static struct port *find_port(const struct view_ports *ports, const char *at)
{
    struct port *port;
    TAILQ_FOREACH(port, &ports->list, entry)
    if (strcmp(port->at, at) == 0)
        break;
    return port;
}

static bool open_view_port(struct view_ports *ports, const struct gateway_config *gateway,
                           const char *at)
{
    struct gateway_config here = *gateway;
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        return false;
    here.listen = (struct listen_list){.count = 1};
    snprintf(here.listen.at[0], sizeof here.listen.at[0], "%s", at);
    snprintf(port->at, sizeof port->at, "%s", at);
    port->fresh = true;
    port->server = server_new(ports->loop, &here, &port->units);
    if (!port->server) {
        free(port);
        return false;
    }
    TAILQ_INSERT_TAIL(&ports->list, port, entry);
    return true;
}

bool view_ports_open(struct view_ports *ports, const struct config *config)
{
    for (unsigned i = 0; i < config->view_count; i++) {
        const struct listen_list *listen = &config->views[i].listen;
        for (unsigned n = 0; n < listen->count; n++)
            if (!find_port(ports, listen->at[n]) &&
                !open_view_port(ports, &config->gateway, listen->at[n])) {
                close_some(ports, true);
                return false;
            }
    }
    return true;
}

void view_ports_serve(struct view_ports *ports, const struct config *config, struct unit *units)
{
    struct port *port;
    TAILQ_FOREACH(port, &ports->list, entry)
    {
        port->wanted = false;
        port->units = (struct units){0};
        server_set_policy(port->server, &config->gateway);
    }
    for (unsigned i = 0; i < config->view_count; i++) {
        const struct view_config *view = &config->views[i];
        for (unsigned n = 0; n < view->listen.count; n++) {
            port = find_port(ports, view->listen.at[n]);
            port->wanted = true;
            units_add_view(&port->units, &units[i]);
        }
    }
    close_some(ports, false);
    TAILQ_FOREACH(port, &ports->list, entry)
    {
        if (port->fresh)
            log_info("listening on %.*s:%u for views", (int) (strrchr(port->at, ':') - port->at),
                     port->at, server_port(port->server, 0));
        port->fresh = false;
    }
}
