// SPDX-License-Identifier: MIT
/*
 * A pack as it is served: what its poller publishes goes into the registers of its unit, energy is
 * counted, the day's highest SOC kept, changes of state go to the log, and orders to switch to its
 * line.
 */
#ifndef PACKGATE_PACKS_PACK_SOURCE_H
#define PACKGATE_PACKS_PACK_SOURCE_H

#include "kept.h"
#include "summary.h"

#include "modbus/server.h"
#include "modbus/units.h"
#include "lines/line.h"
#include "lines/order.h"
#include "base/address.h"

/* What all services share of the gateway. */
struct service_host {
    struct server *server;
    double started_at;
    uint16_t memory_mib; /* available on the host */
};

/* Its unit points into itself: a service stays where it was made. */
struct pack_source {
    const struct service_host *host;
    struct poller *poller;
    struct line *line; /* NULL: the pack is still to be found */
    struct unit unit;
    struct kept_entry *kept;  /* over a restart */
    struct summary summary;   /* what the log last said */
    double power_w, power_at; /* of the cycle before, for the energy counters */
    struct order order;       /* an order to switch, under way while `ticket` is not 0 */
    struct switches ordered;
    uint64_t ticket; /* of the client who waits for it */
    char client[ADDRESS_TEXT];
};

/** The part of a unit's status that is the gateway's own. */
struct map_status service_host_status(const struct service_host *host, const struct tm *local,
                                      double now);

/** The local time now. */
struct tm service_local_time(void);

/** For a poller that runs on a line; all pointers are kept. NULL: out of memory. */
struct pack_source *pack_source_new(const struct service_host *host, struct poller *poller,
                                    struct line *line, struct kept_entry *kept);
void pack_source_free(struct pack_source *source);

/** (Re)makes its unit by the configuration of its poller, with the values that it has. 0, or -1
 * with errno. */
int pack_source_open_unit(struct pack_source *source, const struct gateway_config *gateway,
                          double now);

/** The poller has new values. */
void pack_source_publish(struct pack_source *source, double now);

/** Once a second: age and counters go on, and values may have become stale. */
void pack_source_tick(struct pack_source *source, double now);

/** Carries out what a client wants switched: 0, and the client hears by server_order_over, or
 * the exception code. */
uint8_t pack_source_switch(struct pack_source *source, const struct switches *switches,
                           const struct sockaddr *client, uint64_t ticket);

#endif
