// SPDX-License-Identifier: MIT
/*
 * A TCP connection to "host:port" without blocking: neither the name look-up nor connecting holds
 * up the loop. All addresses of a name are tried in turn. A peer that vanished without a word is
 * noticed by keep-alive and by the limit on unacknowledged data.
 */
#ifndef PACKGATE_BASE_DIAL_H
#define PACKGATE_BASE_DIAL_H

#include "address.h"
#include "resolver.h"

#include <ev.h>

/* One of them follows each dial_start, maybe from within it. */
struct dial_events {
    void (*opened)(void *data, int fd); /* non-blocking; dial_stop closes it */
    void (*failed)(void *data, const char *why);
};

struct dial {
    struct ev_loop *loop;
    struct resolver resolver;
    struct resolver_address addresses[RESOLVER_MAX];
    unsigned count, next;
    double known_until; /* the addresses of a name */
    int fd;             /* -1: none */
    ev_io connecting;
    ev_timer timeout;
    struct endpoint to;
    char service[6];
    struct dial_events events;
    void *data;
};

/** Prepares to connect to "host:port" or "[v6]:port". False: the text has none of these forms. */
bool dial_init(struct dial *dial, struct ev_loop *loop, const char *address,
               const struct dial_events *events, void *data);

/** Starts to connect. */
void dial_start(struct dial *dial);

/** Closes the connection, or stops connecting; no event follows any more. */
void dial_stop(struct dial *dial);

#endif
