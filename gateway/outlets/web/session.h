// SPDX-License-Identifier: MIT
/*
 * Sessions of users who have logged in, and the limit of attempts. Both are in memory only: a restart
 * logs everybody out. Pure, except for the random tokens.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

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
