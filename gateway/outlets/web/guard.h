// SPDX-License-Identifier: MIT
/*
 * What a request has to look like before anything is done for it: under which name it asks, on
 * whose behalf, from which page. Pure.
 *
 * The name (Host) is what stops a stranger's page from having its own name point here (DNS
 * rebinding): Origin is no help against that, as it then equals Host.
 */
#ifndef PACKGATE_OUTLETS_WEB_GUARD_H
#define PACKGATE_OUTLETS_WEB_GUARD_H

#include "config/outlet_config.h"

#define GUARD_HOST_SIZE 256

struct guard {
    const struct web_config *config;
    char hostname[65]; /* of this host, in lower case */
    unsigned ports[MAX_LISTEN];
    unsigned port_count;
};

/* A name and a port, taken apart. */
struct guard_host {
    char name[GUARD_HOST_SIZE]; /* in lower case, without a dot behind it and without brackets */
    unsigned port;              /* 0: not given */
    bool is_address;
};

/** Of a Host header, or of what stands behind :// in an Origin. False: it is none. */
bool guard_host_parse(const char *text, struct guard_host *host);

/** Whether a request with this Host is meant for this gateway. */
bool guard_knows(const struct guard *guard, const struct guard_host *host);

/** Whether the page at `origin` ("http://name:port") is one that we serve to clients that ask for
 * `host`. The scheme does not count: a proxy may have changed it. */
bool guard_same_page(const char *origin, const struct guard_host *host);

/** The last address of an X-Forwarded-For header. False: it has none. */
bool guard_forwarded(const char *list, struct sockaddr_storage *client);

/** Whether an undecoded path is free of encoded NULs and control characters. A decoder would cut it
 * at a NUL. */
bool guard_path(const char *path);

/** Whether a path that a proxy puts in front of ours ("/battery") is safe in a cookie. False: it is
 * not, or it is empty. */
bool guard_prefix(const char *text);

#endif
