// SPDX-License-Identifier: MIT
/*
 * Checks a request before it is handled: the host name that it uses, the client on whose behalf it
 * comes, and the page that sent it. Pure.
 *
 * Only the check of the name (Host) stops DNS rebinding, in which a foreign page lets its own name
 * resolve to this host: Origin does not help, because it then equals Host.
 */
#pragma once

#include "config/outlet_config.h"

#define GUARD_HOST_SIZE 256

struct guard {
    const struct web_config *config;
    char hostname[65]; /* of this host, in lower case */
    unsigned ports[MAX_LISTEN];
    unsigned port_count;
};

/* A host name and a port. */
struct guard_host {
    char name[GUARD_HOST_SIZE]; /* in lower case, without a trailing dot and without brackets */
    unsigned port;              /* 0: not given */
    bool is_address;
};

/** Parses a Host header, or the part of an Origin after "://". False: malformed. */
bool guard_host_parse(const char *text, struct guard_host *host);

/** Whether a request with this Host is meant for this gateway. */
bool guard_knows(const struct guard *guard, const struct guard_host *host);

/** Whether the page at `origin` ("http://name:port") is one that we serve to clients that ask for
 * `host`. The scheme does not count: a proxy may have changed it. */
bool guard_same_page(const char *origin, const struct guard_host *host);

/** Reads the last address of an X-Forwarded-For header. False: there is none. */
bool guard_forwarded(const char *list, struct sockaddr_storage *client);

/** Whether an undecoded path is free of encoded NULs and control characters. A decoder would cut it
 * at a NUL. */
bool guard_path(const char *path);

/** Whether a path that a proxy puts in front of ours ("/battery") is safe in a cookie. False: it is
 * not, or it is empty. */
bool guard_prefix(const char *text);
