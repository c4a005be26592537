// SPDX-License-Identifier: MIT
/*
 * Listening sockets on several addresses, IPv4 and IPv6 each by itself, and the accepting of
 * clients.
 */
#ifndef PACKGATE_BASE_LISTENERS_H
#define PACKGATE_BASE_LISTENERS_H

#include <ev.h>
#include <stdbool.h>
#include <sys/socket.h>

#define MAX_LISTEN 8
#define LISTEN_SIZE 64 /* "0.0.0.0:502", "[::]:502"; port 0: any free one */

/* Addresses to listen on, as they are configured. */
struct listen_list {
    char at[MAX_LISTEN][LISTEN_SIZE];
    unsigned count;
};

struct listeners {
    struct ev_loop *loop;
    ev_io sockets[MAX_LISTEN];
    double waited_since[MAX_LISTEN]; /* some wait there, since then at most; INFINITY: none does */
    unsigned count;
    ev_timer pause; /* runs while nobody can be accepted, for want of descriptors */
    bool starved;   /* and so it was when it was last tried */
    /** Takes over the socket of a new client: non-blocking, with keep-alive, without delay. */
    void (*accepted)(void *data, int fd, const struct sockaddr_storage *address);
    void *data;
};

/** Listens on all addresses of the list. 0, or -1 when one of them cannot be listened on (logged; none is left
 * open). `key` is who has set it, for the log: "'listen' of [web]". */
int listeners_open(struct listeners *listeners, struct ev_loop *loop,
                   const struct listen_list *list, const char *key,
                   void (*accepted)(void *data, int fd, const struct sockaddr_storage *address),
                   void *data);

/** Disconnects all clients that wait to be accepted: nobody knows how old their requests are (late_turn.h). Those that
 * have waited for longer than LATE_TURN_S for want of descriptors are disconnected without that. */
void listeners_turn_away(struct listeners *listeners);

/** Ends a pause early: a descriptor has become free. */
void listeners_resume(struct listeners *listeners);

/** The port that the socket is bound to; 0: none such. */
unsigned listeners_port(const struct listeners *listeners, unsigned index);

void listeners_close(struct listeners *listeners);

#endif
