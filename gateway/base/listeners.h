// SPDX-License-Identifier: MIT
/*
 * Listens on several addresses, with separate sockets for IPv4 and IPv6, and accepts clients.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <sys/socket.h>

#define MAX_LISTEN 8
#define LISTEN_SIZE 64 /* bytes: "0.0.0.0:502", "[::]:502"; port 0: any free port */

/* Configured addresses to listen on. */
struct listen_list {
    char at[MAX_LISTEN][LISTEN_SIZE];
    unsigned count;
};

/** Takes over the socket of a new client: non-blocking, keep-alive, TCP_NODELAY. */
typedef void listeners_accepted(void *data, int fd, const struct sockaddr_storage *address);

struct listeners {
    struct ev_loop *loop;
    ev_io sockets[MAX_LISTEN];
    double waited_since[MAX_LISTEN]; /* by clients, at the earliest; INFINITY: none waits */
    unsigned count;
    ev_timer pause; /* runs while no client can be accepted, because descriptors ran out */
    bool starved;   /* the last attempt to accept failed for this reason */
    bool refused;   /* the last attempt to listen failed, which is in the log */
    listeners_accepted *accepted;
    void *data;
};

/** Listens on all addresses of the list. 0, or -1 if one of them fails (logged, the first time in a
 * row; no socket stays open). The struct is zero before the first call. `key` names the setting in
 * log messages: "'listen' of [web]". */
int listeners_open(struct listeners *listeners, struct ev_loop *loop,
                   const struct listen_list *list, const char *key, listeners_accepted *accepted,
                   void *data);

/** Accepts clients from a socket that listens already, and owns it; -1: none. */
void listeners_adopt(struct listeners *listeners, struct ev_loop *loop, int fd,
                     listeners_accepted *accepted, void *data);

/** Disconnects all clients that wait to be accepted, because the age of their requests is unknown
 * (late_turn.h). Clients that waited longer than LATE_TURN_S because descriptors ran out are
 * always disconnected. */
void listeners_turn_away(struct listeners *listeners);

/** Ends a pause early, because a descriptor became free. */
void listeners_resume(struct listeners *listeners);

/** The port that the socket is bound to; 0: no such socket. */
unsigned listeners_port(const struct listeners *listeners, unsigned index);

void listeners_close(struct listeners *listeners);
