// SPDX-License-Identifier: MIT
/*
 * The running gateway: lines are polled, what the packs say goes into the registers of their units,
 * the server answers from there, and pushes write it elsewhere.
 */
#ifndef PACKGATE_DAEMON_GATEWAY_H
#define PACKGATE_DAEMON_GATEWAY_H

#include "config/config.h"
#include "config/file.h"

#include <ev.h>

struct gateway;

/** Opens the server's sockets and gets all memory that running will need; `config` must outlive
 * it, and what is found for `protocol = auto` is put into it. `file`, for whoever asks, is kept by
 * reference. NULL when that fails (the reason is logged). */
struct gateway *gateway_new(struct ev_loop *loop, struct config *config,
                            const struct config_file *file);

/** Starts to poll. */
void gateway_start(struct gateway *gateway);

/** Goes on with another configuration, which must outlive the gateway in place of the one
 * before. Lines and packs whose settings are the same are not interrupted, clients stay
 * connected. What only a restart can change (addresses to listen on, number of clients, state
 * file) is logged. False: out of memory; the configuration before is then still needed. */
bool gateway_reload(struct gateway *gateway, struct config *config);

/** The TCP port that listen[index] is bound to. */
unsigned gateway_port(const struct gateway *gateway, unsigned index);

/** Writes what is kept over a restart and ends everything. */
void gateway_free(struct gateway *gateway);

#endif
