// SPDX-License-Identifier: MIT
/*
 * Resolves host names without blocking the loop. Each look-up runs in a child process, because
 * getaddrinfo may wait for minutes and is the only function that respects the whole set-up of the
 * host (hosts file, DNS, mDNS).
 */
#pragma once

#include "child.h"

#include <ev.h>
#include <sys/socket.h>

#define RESOLVER_MAX 8

struct resolver_address {
    struct sockaddr_storage address;
    socklen_t size;
};

/** The addresses that were found; `count` 0: none. */
typedef void resolver_done(void *data, const struct resolver_address *addresses, unsigned count);

/* One look-up, embedded in its user. */
struct resolver {
    struct child child; /* its fd is -1: no look-up runs */
    resolver_done *done;
    void *data;
};

void resolver_init(struct resolver *resolver, struct ev_loop *loop, resolver_done *done,
                   void *data);

/** Starts to look up a TCP host and port. `done` is called later, never before this returns. 0, or
 * -1 with errno. */
int resolver_start(struct resolver *resolver, const char *host, const char *port);

/** Cancels a running look-up; `done` is not called afterwards. */
void resolver_stop(struct resolver *resolver);
