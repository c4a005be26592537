// SPDX-License-Identifier: MIT
/*
 * Host names to addresses without blocking the loop. The look-up runs in a child process of its
 * own, as getaddrinfo may wait for minutes and is the only one that knows all that the host is set
 * up for (hosts file, DNS, mDNS).
 */
#ifndef PACKGATE_BASE_RESOLVER_H
#define PACKGATE_BASE_RESOLVER_H

#include <ev.h>
#include <sys/socket.h>

#define RESOLVER_MAX 8

struct resolver_address {
    struct sockaddr_storage address;
    socklen_t size;
};

/* One look-up, embedded in whoever wants to know. */
struct resolver {
    struct ev_loop *loop;
    ev_io io;
    ev_child child;
    int fd; /* pipe from the child; -1: no look-up under way */
    struct resolver_address found[RESOLVER_MAX];
    size_t received; /* bytes of `found` */
    void (*done)(void *data, const struct resolver_address *addresses,
                 unsigned count); /* count 0: not found */
    void *data;
};

void resolver_init(struct resolver *resolver, struct ev_loop *loop,
                   void (*done)(void *data, const struct resolver_address *addresses,
                                unsigned count),
                   void *data);

/** Starts a look-up of a TCP host and port; `done` follows, never from within. 0, or -1 with
 * errno. */
int resolver_start(struct resolver *resolver, const char *host, const char *port);

/** Ends a look-up under way; `done` is not called any more. */
void resolver_stop(struct resolver *resolver);

#endif
