// SPDX-License-Identifier: MIT
/*
 * The Modbus TCP server: listening sockets, clients and their limits, on libev. A client is refused
 * when its address is not allowed, and dropped when it
 *   - closes its side, or its connection is lost (TCP keep-alive finds that out),
 *   - asks nothing for the idle time-out,
 *   - does not read its answers, so that its socket would block,
 *   - sends what cannot be Modbus TCP,
 *   - is the longest idle one while all places are taken and another client comes; while more than
 *     half of the places are held by clients that never asked anything, the oldest of these.
 * All are dropped when a turn of the loop begins late (late_turn.h), and so is a client that has sent more while its order
 * took longer than LATE_TURN_S: nobody knows how old that is.
 * A client that waits for the end of its order is not idle. When it goes all the same, the order is
 * carried out nevertheless.
 * All memory is got by server_new.
 */
#ifndef PACKGATE_MODBUS_SERVER_H
#define PACKGATE_MODBUS_SERVER_H

#include "answer.h"
#include "units.h"

#include "config/config.h"

#include <ev.h>

struct server_counters {
    uint32_t accepted;   /* clients let in */
    uint32_t refused;    /* clients closed at once, not in `allow` */
    uint32_t dropped;    /* clients that we closed */
    uint32_t requests;   /* frames answered */
    uint32_t exceptions; /* of these, with an exception */
    uint32_t discarded;  /* frames of another protocol */
};

struct server;

/** Listens on all of `config->listen`. `units` is kept by reference, of `config` nothing is. NULL
 * when any address cannot be listened on (which is then logged), or without memory. */
struct server *server_new(struct ev_loop *loop, const struct gateway_config *config,
                          const struct units *units);

/** Serves other units from now on; the clients stay. */
void server_set_units(struct server *server, const struct units *units);

/** Takes over `allow` and `idle_timeout` of a changed configuration. Clients that are not
 * allowed any more go. */
void server_set_policy(struct server *server, const struct gateway_config *config);

/** Who carries out what the clients in `allow_write` (by reference) want switched. */
void server_set_orders(struct server *server, const struct allow_list *allow_write,
                       answer_switch *carry_out, void *data);

/** An order is over: done (0) or the exception code for its client, if that is still there. The
 * next order never comes from within. */
void server_order_over(struct server *server, uint64_t ticket, uint8_t exception);

/** The port that `config->listen.at[listen_index]` is bound to: of use where it asked for any. */
unsigned server_port(const struct server *server, unsigned listen_index);

/** Clients connected at this moment. */
unsigned server_clients(const struct server *server);

/* One of them. */
struct server_client {
    const struct sockaddr *address;
    double since;
    uint32_t requests;
};

/** Goes through them; `*at` is 0 at the first call. False: no more. */
bool server_next_client(const struct server *server, unsigned *at, struct server_client *state);

struct server_counters server_counters(const struct server *server);

/** Closes everything. NULL is fine. */
void server_free(struct server *server);

#endif
