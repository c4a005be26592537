// SPDX-License-Identifier: MIT
/* Finds the protocol, address and baud rate that answer on a port: tries the usual requests of one
 * driver after another (search_attempts.h), which only read. Runs in the loop. */
#pragma once

#include "search_attempts.h"

#include <ev.h>

struct search;

/* What answered. */
struct search_found {
    const struct bms_driver *driver;
    struct bms_options options;
    unsigned baud;
    const char *framing;
    const struct pack *values; /* of one poll */
};

struct search_events {
    /** One attempt begins. May be NULL. */
    void (*trying)(void *data, const struct attempt *attempt);
    /** A pack was found, in a search for more than the first one. */
    void (*found)(void *data, const struct search_found *found);
    /** The usual addresses were tried; all others take so long at most. May be NULL. */
    void (*widening)(void *data, double seconds);
    /** It is over, and may be freed from within: what answered, or NULL and why not. A search for more
     * than the first pack ends with NULL; `why` is NULL, too, if any was found and nothing failed. */
    void (*done)(void *data, const struct search_found *found, const char *why);
};

enum search_extent {
    SEARCH_FIRST, /* ends with the first answer, after 20 s at the latest */
    SEARCH_LINE,  /* the same, and then the other addresses of its protocol */
    SEARCH_ALL    /* every pack on the port: the usual addresses first, then all others */
};

#define SEARCH_ADDRESSES 64

/* The only addresses to try; none: all. */
struct search_only {
    int addresses[SEARCH_ADDRESSES];
    unsigned count;
};

/** Starts on the port of `line`, at its baud rate and framing if these are set. `only` may be NULL. */
struct search *search_new(struct ev_loop *loop, const struct line_config *line,
                          enum search_extent extent, const struct search_only *only,
                          const struct search_events *events, void *data);
void search_free(struct search *search);

enum search_heard {
    SEARCH_HEARD_CLOSED,  /* nothing was sent: the port did not open */
    SEARCH_HEARD_NOTHING, /* no byte came back */
    SEARCH_HEARD_ECHO,    /* as many as were sent */
    SEARCH_HEARD_TRAFFIC, /* bytes before anything was sent: another device sends there */
    SEARCH_HEARD_NOISE    /* something else */
};

/** What was received so far, of a search that has found nothing; may be called from within `done`. */
enum search_heard search_heard(const struct search *search);
