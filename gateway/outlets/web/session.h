// SPDX-License-Identifier: MIT
/*
 * Who is logged in, and who has tried too often. Both are in memory only: a restart logs everybody
 * out. Pure, but for where tokens come from.
 */
#ifndef PACKGATE_OUTLETS_WEB_SESSION_H
#define PACKGATE_OUTLETS_WEB_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SESSIONS_MAX 16
#define SESSION_IDLE_S 1800.0
#define SESSION_TOKEN 65 /* 256 bits in hex digits, and the NUL */
#define TRIES_OF_ONE 5   /* failures within TRIES_S of one address, or one /64 network of IPv6 */
#define TRIES_OF_ALL 20
#define TRIES_S 60.0

struct sessions {
    struct {
        char token[SESSION_TOKEN]; /* empty: free */
        double used_at;
    } list[SESSIONS_MAX];
};

/** Begins one; the one that was idle for longest makes room. False: there is no randomness. */
bool session_begin(struct sessions *sessions, double now, char token[SESSION_TOKEN]);
/** For how many seconds the one with this token (any text) still lasts; 0: there is none. `use`: it begins to be idle anew. */
double session_left(struct sessions *sessions, const char *token, double now, bool use);
void session_end(struct sessions *sessions, const char *token);

/* A try counts as a failure from its beginning, so that parallel tries do not bypass the limit. */
struct tries {
    struct
    try {
        uint8_t from[16];
        double at; /* 0: free */
    }
    list[TRIES_OF_ALL];
};

/** For how many seconds this client may not try; 0: it may. */
double tries_wait(const struct tries *tries, const struct sockaddr *client, double now);
/** Counts a try. */
void tries_begin(struct tries *tries, const struct sockaddr *client, double now);
/** The password was right: the client's latest try is taken back. */
void tries_forgive(struct tries *tries, const struct sockaddr *client);

#endif
