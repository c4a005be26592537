// SPDX-License-Identifier: MIT
/*
 * Tunnels: they connect the maker's own program to a line that is polled. A tunnel is closed until
 * it is opened for a limited time; then one program at a time connects by TCP, and its bytes are
 * sent as loans of the line (lines/loan.h), each between two polls. With `share = no` the program
 * has the line to itself as long as it is connected.
 *
 * If a program sends faster than the line can carry, the oldest bytes are dropped. A program that
 * floods, does not read, sends nothing for too long, or connects from an address outside of
 * allow_write is disconnected. So are all when a turn of the loop begins late (base/late_turn.h).
 */
#pragma once

#include "status.h"

#include <ev.h>
#include <jansson.h>

#define TUNNEL_LONGEST_S 86400.0

struct tunnels;

/** All are closed at first. `overview` is kept by reference. */
struct tunnels *tunnels_new(struct ev_loop *loop, const struct overview *overview);
void tunnels_free(struct tunnels *tunnels);

/** To be called after a reload: closes tunnels whose sections were removed or changed. */
void tunnels_renew(struct tunnels *tunnels);

/** Opens a tunnel for `for_s` seconds, or extends an open one to `for_s` seconds from now; 0 closes
 * it. `by` is for the log: "root", "web 192.0.2.7". Returns its status, or a refusal. */
json_t *tunnels_set(struct tunnels *tunnels, const char *name, double for_s, const char *by);

/** The status of all tunnels of the configuration. */
json_t *tunnels_status(const struct tunnels *tunnels, double now);
