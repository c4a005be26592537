// SPDX-License-Identifier: MIT
/*
 * A TCP connection to "host:port" that is opened without blocking: neither the name look-up nor
 * connecting holds up the loop. All addresses of a name are tried in turn. Keep-alive and a limit
 * on unacknowledged data detect a peer that vanished without closing.
 */
#pragma once

#include "address.h"
#include "resolver.h"

#include <ev.h>

/* dial_start calls exactly one of them, maybe before it returns. */
struct dial_events {
    void (*opened)(void *data, int fd); /* non-blocking; dial_stop closes it */
    void (*failed)(void *data, const char *why);
};

struct dial {
    struct ev_loop *loop;
    struct resolver resolver;
    struct resolver_address addresses[RESOLVER_MAX];
    unsigned count, next;
    double known_until; /* until then the addresses of the name need no new look-up */
    int fd;             /* -1: none */
    ev_io connecting;
    ev_timer timeout;
    struct endpoint to;
    char service[6];
    struct dial_events events;
    void *data;
};

/** Prepares to connect to "host:port" or "[v6]:port". False: the text has neither form. */
bool dial_init(struct dial *dial, struct ev_loop *loop, const char *address,
               const struct dial_events *events, void *data);

/** Starts to connect. */
void dial_start(struct dial *dial);

/** Closes the connection, or stops connecting. Neither callback is called afterwards. */
void dial_stop(struct dial *dial);
