// SPDX-License-Identifier: MIT
/*
 * Checks a request before it is handled: the host name that it uses, the client on whose behalf it
 * comes, the page that sent it, the session of its user, and how often it was tried to begin one. Pure, except for random tokens.
 *
 * Only the check of the name (Host) stops DNS rebinding, in which a foreign page lets its own name
 * resolve to this host: Origin does not help, because it then equals Host.
 */
#pragma once

#include "base/address.h"
#include "config/outlet_config.h"

#include <sys/socket.h>

#define GUARD_HOST_SIZE 256

struct guard {
    const struct web_config *config;
    char hostname[65]; /* of this host, in lower case */
    unsigned ports[MAX_LISTEN];
    unsigned port_count;
};

/** Parses a Host header, or the part of an Origin after "://": in lower case, without a trailing dot; port 0: not given.
 * False: malformed. */
bool guard_host_parse(const char *text, struct endpoint *host);

/** Whether a request with this Host is meant for this gateway. */
bool guard_knows(const struct guard *guard, const struct endpoint *host);

/** Whether the page at `origin` ("http://name:port") is one that we serve to clients that ask for
 * `host`. The scheme does not count: a proxy may have changed it. */
bool guard_same_page(const char *origin, const struct endpoint *host);

/** Reads the last address of an X-Forwarded-For header. False: there is none. */
bool guard_forwarded(const char *list, struct sockaddr_storage *client);

/** Whether an undecoded path is free of encoded NULs and control characters. A decoder would cut it
 * at a NUL. */
bool guard_path(const char *path);

/** Whether a path that a proxy puts in front of ours ("/battery") is safe in a cookie. False: it is
 * not, or it is empty. */
bool guard_prefix(const char *text);

/* Sessions and attempts are in memory only: a restart logs everybody out. */

#define SESSIONS_MAX 16
#define SESSION_IDLE_S 1800.0
#define SESSION_TOKEN 65 /* 256 bits in hex digits, and the NUL */
#define TRIES_OF_ONE 5   /* failures within TRIES_S from one address, or one /64 network of IPv6 */
#define TRIES_OF_ALL 20
#define TRIES_S 60.0

struct sessions {
    struct {
        char token[SESSION_TOKEN]; /* empty: free */
        double used_at;
    } list[SESSIONS_MAX];
};

/** Begins a session; if all are taken, it replaces the longest idle one. False: the kernel has no random numbers. */
bool session_begin(struct sessions *sessions, double now, char token[SESSION_TOKEN]);
/** Seconds for which the session with this token (any text) still lasts; 0: there is none. `use`: restarts its idle time. */
double session_left(struct sessions *sessions, const char *token, double now, bool use);
void session_end(struct sessions *sessions, const char *token);

/* An attempt counts as a failure from its beginning, so that parallel ones do not bypass the limit. */
struct tries {
    struct
    try {
        uint8_t from[16];
        double at; /* 0: free */
    }
    list[TRIES_OF_ALL];
};

/** Seconds until this client may try again; 0: it may now. */
double tries_wait(const struct tries *tries, const struct sockaddr *client, double now);
/** Counts an attempt. */
void tries_begin(struct tries *tries, const struct sockaddr *client, double now);
/** The password was right: uncounts the client's latest attempt. */
void tries_forgive(struct tries *tries, const struct sockaddr *client);
