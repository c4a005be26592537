// SPDX-License-Identifier: MIT
/*
 * Tunnels: the maker's own program on a line that is polled. One is closed until somebody opens it for a
 * while; then one program at a time connects by TCP, and what it sends goes out as loans of the bus
 * (lines/lend.h), each between two polls. With `share = no` it has the line for itself, as long as it is connected.
 *
 * Of what a program sends faster than the line takes it, the oldest is dropped; one that floods, does not read, says nothing for too long,
 * or comes from elsewhere than allow_write is disconnected. So is each when a turn of the loop begins late (base/late_turn.h).
 */
#ifndef PACKGATE_CONTROL_TUNNEL_H
#define PACKGATE_CONTROL_TUNNEL_H

#include "overview.h"

#include <ev.h>
#include <jansson.h>

#define TUNNEL_LONGEST_S 86400.0

struct tunnels;

/** All are closed. `overview` is kept by reference. NULL: out of memory. */
struct tunnels *tunnels_new(struct ev_loop *loop, const struct overview *overview);
void tunnels_free(struct tunnels *tunnels);

/** After a reload: tunnels whose sections are gone or have changed are closed. */
void tunnels_renew(struct tunnels *tunnels);

/** Opens a tunnel for so many seconds, or leaves it open for so long from now. `by` is for the log: "root", "web
 * 192.0.2.7". Returns what there is to tell of it. NULL with the reason in `why`. */
json_t *tunnels_open(struct tunnels *tunnels, const char *name, double for_s, const char *by,
                     char *why, size_t size);

/** Closes it; the same. One that is closed already is no mistake. */
json_t *tunnels_close(struct tunnels *tunnels, const char *name, const char *by, char *why,
                      size_t size);

/** All tunnels of the configuration. */
json_t *tunnels_status(const struct tunnels *tunnels, double now);

#endif
