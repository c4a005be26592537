// SPDX-License-Identifier: MIT
/*
 * The running gateway: polls the lines, encodes the packs' values into the registers of their
 * units, answers clients from these registers, and pushes them to other devices.
 */
#pragma once

#include "control/status.h"

#include <ev.h>

struct gateway;

/** Opens the server's sockets and allocates all memory that running needs. `config` must outlive
 * the gateway, which stores in it what it finds for `protocol = auto`. `file` and `host` are kept by
 * reference, for the control socket. NULL if that fails (the reason is logged). */
struct gateway *gateway_new(struct ev_loop *loop, struct config *config,
                            const struct config_file *file, const struct overview_host *host);

/** Starts to poll. */
void gateway_start(struct gateway *gateway);

/** Switches to another configuration, which must outlive the gateway in place of the previous one.
 * Lines and packs with unchanged settings are not interrupted, clients stay connected. Changes
 * that need a restart (addresses to listen on, number of clients, state file) are logged. False:
 * it cannot listen for a view; the previous configuration is then still needed. */
bool gateway_reload(struct gateway *gateway, struct config *config);

/** The TCP port that listen[index] is bound to. */
unsigned gateway_port(const struct gateway *gateway, unsigned index);

/** Saves the state file and frees everything. */
void gateway_free(struct gateway *gateway);
