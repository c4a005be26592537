// SPDX-License-Identifier: MIT
/*
 * Host names to addresses, and connections to them, for an outlet, which has no sockets of this host and may not connect. A process
 * of its own, which can do little else, does both:
 *   - the C library may need a socket of this host to look a name up: .local names are asked of avahi, others of a cache or of
 *     systemd-resolved;
 *   - an outlet that somebody has taken over would connect to the gateway's own Modbus port, or a tunnel's, which `allow_write` lets
 *     this host do. That process connects to the ports only that the outlet has named before its first connection.
 *
 * The libraries of an outlet notice nothing: getaddrinfo, freeaddrinfo and connect of its program are those in names.c.
 */
#ifndef PACKGATE_OUTLETS_NAMES_H
#define PACKGATE_OUTLETS_NAMES_H

#include <stdbool.h>

/** Starts that process, which ends with this one. To be called while there is one thread, before rights are given up. Should it end
 * by itself, this process is asked to end as well (SIGTERM). False: it cannot be started. */
bool names_begin(void);

/** Lets this process connect to a port, of whatever host. Without effect once there was a connection. */
void names_permit(unsigned port);

#endif
