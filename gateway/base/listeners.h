// SPDX-License-Identifier: MIT
/*
 * Listening sockets on several addresses, IPv4 and IPv6 each by itself, and the accepting of
 * clients.
 */
#ifndef PACKGATE_BASE_LISTENERS_H
#define PACKGATE_BASE_LISTENERS_H

#include "arrival.h"

#include <ev.h>
#include <sys/socket.h>

#define MAX_LISTEN 8
#define LISTEN_SIZE 64 /* "0.0.0.0:502", "[::]:502"; port 0: any free one */

/* Addresses to listen on, as they are configured. */
struct listen_list {
    char at[MAX_LISTEN][LISTEN_SIZE];
    unsigned count;
};

struct listeners {
    struct ev_loop *loop;
    ev_io sockets[MAX_LISTEN];
    struct arrival arrivals[MAX_LISTEN]; /* of clients that wait to be accepted */
    double seen_at; /* who had come by then was accepted; -INFINITY: not known */
    double since;   /* within `accepted`: the client came no earlier */
    unsigned count;
    ev_timer pause; /* runs while nobody can be accepted, for want of descriptors */
    bool starved;   /* and so it was when it was last tried */
    /** Takes over the socket of a new client: non-blocking, with keep-alive, without delay. */
    void (*accepted)(void *data, int fd, const struct sockaddr_storage *address);
    void *data;
};

/** Listens on all addresses of the list. 0, or -1 when one of them cannot be listened on (logged; none is left
 * open). */
int listeners_open(struct listeners *listeners, struct ev_loop *loop,
                   const struct listen_list *list,
                   void (*accepted)(void *data, int fd, const struct sockaddr_storage *address),
                   void *data);

/** A turn of the loop begins; `seen_at` is when the one before did. `late`: by so much that who waits now may have
 * waited since then. Where nobody calls it, `since` is of no use. */
void listeners_turn(struct listeners *listeners, double seen_at, bool late, double now);

/** Ends a pause early: a descriptor has become free. */
void listeners_resume(struct listeners *listeners);

/** The port that the socket is bound to; 0: none such. */
unsigned listeners_port(const struct listeners *listeners, unsigned index);

void listeners_close(struct listeners *listeners);

#endif
