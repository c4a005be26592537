// SPDX-License-Identifier: MIT
/*
 * The Modbus TCP server: listening sockets, clients and their limits, on libev. A client is
 * refused if its address is not allowed, and disconnected if it
 *   - closes its side, or its connection is lost (TCP keep-alive detects that),
 *   - sends no request within the idle time-out,
 *   - does not read its answers, so that its socket would block,
 *   - sends what cannot be Modbus TCP,
 *   - is the longest idle one while all places are taken and another client connects; while more
 *     than half of the places are held by clients that never sent a request, the oldest of these.
 * All are disconnected when a turn of the loop begins late (late_turn.h), and so is a client that
 * has sent more while its order took longer than LATE_TURN_S: the age of these bytes is unknown. A
 * client that waits for the end of its order is not idle. If it disconnects, the order is carried
 * out all the same. All memory is allocated by server_new.
 */
#pragma once

#include "answer.h"
#include "units.h"

#include "config/config.h"

#include <ev.h>
#include <jansson.h>

struct server_counters {
    uint32_t accepted;   /* accepted clients */
    uint32_t refused;    /* clients closed at once, because they are not in `allow` */
    uint32_t dropped;    /* clients that we disconnected */
    uint32_t requests;   /* answered frames */
    uint32_t exceptions; /* of these, with an exception */
    uint32_t discarded;  /* frames of another protocol */
};

struct server;

/** Listens on all of `config->listen`; keeps only `units`. NULL: an address fails (logged). */
struct server *server_new(struct ev_loop *loop, const struct gateway_config *config,
                          const struct units *units);

/** Applies `allow` and `idle_timeout`; disconnects clients that are not allowed any more. */
void server_set_policy(struct server *server, const struct gateway_config *config);

/** Sets the function that carries out what clients in `allow_write` (by reference) want switched.
 */
void server_set_orders(struct server *server, const struct allow_list *allow_write,
                       answer_switch *carry_out, void *data);

/** Ends an order: done (0) or the exception code for its client, if that is still connected. The
 * next order is never started from within. */
void server_order_over(struct server *server, uint64_t ticket, uint8_t exception);

/** The port that `config->listen.at[listen_index]` is bound to: of use if it was configured as 0.
 */
unsigned server_port(const struct server *server, unsigned listen_index);

/** The number of connected clients. */
unsigned server_clients(const struct server *server);

/** Its part of docs/status.md; `config` is the one that it was created with, or a newer one. */
json_t *server_status(const struct server *server, const struct gateway_config *config, double now);

struct server_counters server_counters(const struct server *server);

/** Closes everything. NULL is fine. */
void server_free(struct server *server);
