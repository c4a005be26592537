// SPDX-License-Identifier: MIT
#include "served.h"

#include "base/address.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/queue.h"

#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>

/* Where views are served that have ports of their own. */
struct port {
    char at[LISTEN_SIZE];
    struct server *server;
    struct units units;
    bool fresh, wanted;
    TAILQ_ENTRY(port) entry;
};

struct served {
    struct ev_loop *loop;
    struct packs *packs;
    struct server *server; /* its clients send orders; NULL: it does not listen yet */
    TAILQ_HEAD(, port) ports;
    struct observer observer;
    struct units units;
    struct unit *list;
    unsigned count;
    struct unit *views; /* in the order of the configuration */
    unsigned view_count;
};

static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct served *served = data;
    struct unit *unit = served->units.by_id[source->unit];
    for (unsigned i = 0; i < served->view_count; i++)
        view_update(served->views[i].view);
    if (unit && unit->source == source)
        unit_update(unit, changes & SOURCE_PUBLISHED, now);
}

static void close_units(struct served *served)
{
    for (unsigned i = 0; i < served->count; i++)
        unit_close(&served->list[i]);
    for (unsigned i = 0; i < served->view_count; i++)
        unit_close(&served->views[i]);
    free(served->list);
    free(served->views);
    served->list = served->views = NULL;
    served->count = served->view_count = 0;
    served->units = (struct units){0};
}

static void open_units(struct served *served, double now)
{
    const struct config *config = packs_config(served->packs);
    const struct source *source;
    struct unit *first = NULL;
    unsigned count = 0;
    while (packs_at(served->packs, count))
        count++;
    served->list = alloc_zeroed(count, sizeof *served->list);
    while ((source = packs_at(served->packs, served->count))) {
        struct unit *unit = &served->list[served->count++];
        unit_open(unit, source->unit, source, &config->gateway.map, config->gateway.on_stale);
        unit->writable = source->writable;
        unit->settable = source->settable;
        unit_update(unit, !isnan(source->good_until), now);
        units_add(&served->units, unit);
        /* The first bank takes the place of the first pack for clients that address no unit. */
        if (!first || (source->members && !first->source->members))
            first = unit;
    }
    served->units.by_id[0] = served->units.by_id[MODBUS_TCP_SLAVE] = first;
    served->views = alloc_zeroed(config->view_count, sizeof *served->views);
    for (unsigned i = 0; i < config->view_count; i++) {
        unit_open_view(&served->views[served->view_count++],
                       view_new(&config->views[i], packs_find, served->packs,
                                packs_started_at(served->packs), now));
        if (config->views[i].listen.count == 0)
            units_add_view(&served->units, &served->views[i]);
    }
}

static void on_renewed(void *data, double now)
{
    struct served *served = data;
    close_units(served);
    open_units(served, now);
}

struct served *served_new(struct ev_loop *loop, struct packs *packs, double now)
{
    struct served *served = alloc_zeroed(1, sizeof *served);
    served->loop = loop;
    served->packs = packs;
    TAILQ_INIT(&served->ports);
    served->observer =
        (struct observer){.changed = on_changed, .renewed = on_renewed, .data = served};
    open_units(served, now);
    packs_observe(packs, &served->observer);
    return served;
}

static void close_port(struct served *served, struct port *port)
{
    TAILQ_REMOVE(&served->ports, port, entry);
    server_free(port->server);
    free(port);
}

void served_free(struct served *served)
{
    server_free(served->server);
    while (!TAILQ_EMPTY(&served->ports))
        close_port(served, TAILQ_FIRST(&served->ports));
    packs_unobserve(served->packs, &served->observer);
    close_units(served);
    free(served);
}

struct server *served_server(const struct served *served)
{
    return served->server;
}

static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    const struct served *served = data;
    server_order_over(served->server, ticket, switches_exception(result));
}

/* An answer_switch. */
static uint8_t carry_out(void *data, struct unit *unit, const struct switches *switches,
                         const struct sockaddr *client, uint64_t ticket)
{
    struct served *served = data;
    char address[ADDRESS_TEXT], from[ADDRESS_TEXT + 8];
    snprintf(from, sizeof from, "client %s", address_format(client, address));
    return switches_exception(
        packs_order(served->packs, unit->source,
                    &(struct order_request){*switches, from, on_order_over, served, ticket}));
}

static struct port *find_port(const struct served *served, const char *at)
{
    struct port *port;
    TAILQ_FOREACH(port, &served->ports, entry)
    if (strcmp(port->at, at) == 0)
        break;
    return port;
}

/* Closes those that are not wanted, or those that are new. */
static void close_some(struct served *served, bool fresh)
{
    for (struct port *port = TAILQ_FIRST(&served->ports), *next; port; port = next) {
        next = TAILQ_NEXT(port, entry);
        if (fresh ? port->fresh : !port->wanted)
            close_port(served, port);
    }
}

bool served_listen(struct served *served, const struct config *config)
{
    if (!served->server)
        served->server = server_new(served->loop, &config->gateway, &served->units);
    bool good = served->server != NULL;
    for (unsigned i = 0; i < config->view_count; i++) {
        const struct listen_list *listen = &config->views[i].listen;
        for (unsigned n = 0; good && n < listen->count; n++) {
            if (find_port(served, listen->at[n]))
                continue;
            struct gateway_config here = config->gateway;
            struct port *port = alloc_zeroed(1, sizeof *port);
            here.listen = (struct listen_list){.count = 1};
            snprintf(here.listen.at[0], sizeof here.listen.at[0], "%s", listen->at[n]);
            snprintf(port->at, sizeof port->at, "%s", listen->at[n]);
            port->fresh = true;
            port->server = server_new(served->loop, &here, &port->units);
            good = port->server != NULL;
            if (good)
                TAILQ_INSERT_TAIL(&served->ports, port, entry);
            else
                free(port);
        }
    }
    if (!good)
        close_some(served, true);
    return good;
}

void served_apply(struct served *served, const struct config *config)
{
    struct port *port;
    server_set_policy(served->server, &config->gateway);
    server_set_orders(served->server, &config->gateway.allow_write, carry_out, served);
    TAILQ_FOREACH(port, &served->ports, entry)
    {
        port->wanted = false;
        port->units = (struct units){0};
        server_set_policy(port->server, &config->gateway);
    }
    for (unsigned i = 0; i < config->view_count; i++) {
        const struct listen_list *listen = &config->views[i].listen;
        for (unsigned n = 0; n < listen->count; n++) {
            port = find_port(served, listen->at[n]);
            port->wanted = true;
            units_add_view(&port->units, &served->views[i]);
        }
    }
    close_some(served, false);
    TAILQ_FOREACH(port, &served->ports, entry)
    {
        if (port->fresh)
            log_info("listening on %.*s:%u for views", (int) (strrchr(port->at, ':') - port->at),
                     port->at, server_port(port->server, 0));
        port->fresh = false;
    }
}
