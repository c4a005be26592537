// SPDX-License-Identifier: MIT
/*
 * Resolves host names and opens connections for an outlet, which has no sockets of this host and
 * must not connect. A separate process, which can do little else, does both:
 *   - the C library may need a socket of this host to resolve a name: it asks avahi for .local names, and a cache or systemd-resolved
 *     for others;
 *   - a compromised outlet could connect to the gateway's own Modbus port, or a tunnel's, where `allow_write` accepts this host. The
 *     process only connects to the ports that the outlet has named before its first connection.
 *
 * The libraries of an outlet need no change: names.c has getaddrinfo, freeaddrinfo and connect.
 */
#pragma once

#include <stdbool.h>

/** Starts that process; to be called before there are threads, and before rights are dropped. Each of
 * the two processes ends with the other, this one by SIGTERM. False: it cannot be started. */
bool names_begin(void);

/** Permits connections to a port, of any host. Without effect after the first connection. */
void names_permit(unsigned port);
