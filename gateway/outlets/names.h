// SPDX-License-Identifier: MIT
/*
 * Host names to addresses for an outlet, which has no sockets of this host. The C library may need one to look a name up: .local
 * names are asked of avahi, others of a cache or of systemd-resolved. A process of its own does it, which can do little else.
 *
 * The libraries of an outlet notice nothing: getaddrinfo and freeaddrinfo of its program are those in names.c.
 */
#ifndef PACKGATE_OUTLETS_NAMES_H
#define PACKGATE_OUTLETS_NAMES_H

/** Starts that process, which ends with this one. To be called while there is one thread, before rights are given up. Where it
 * cannot be started, names are looked up here, by what needs no such socket. */
void names_begin(void);

#endif
