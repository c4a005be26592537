// SPDX-License-Identifier: MIT
/*
 * The control socket: a Unix socket (mode 0660) to which programs of this host say one request a
 * line and get one answer a line. What the lines mean is not known here.
 *
 * Nobody who connects can hold the gateway up: a request has a limit, one is dealt with at a time,
 * with a pause after one that was costly, and a client that does not take its answers is dropped. All are dropped when a
 * turn of the loop begins late (base/late_turn.h). At
 * most CONTROL_CLIENTS are connected; one more takes the place of the longest idle one.
 */
#ifndef PACKGATE_CONTROL_SOCKET_H
#define PACKGATE_CONTROL_SOCKET_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONTROL_CLIENTS 64
#define CONTROL_REQUEST_MAX 4096 /* with its newline */

struct control_socket;
struct control_client;

/* Who a client is, by the kernel's word. */
struct control_peer {
    pid_t pid;
    uid_t uid;
    bool may_read; /* root, the gateway's own user, or a member of its group */
    bool may_act;  /* root or the gateway's own user, but no process that the gateway has started */
};

struct control_events {
    /** A request without its newline, `line[size]` is NUL. Ends with control_answer, now or later,
     * or with control_close; until then nothing further is read from this client. */
    void (*asked)(void *data, struct control_client *client, char *line, size_t size);
    /** The client is gone: what it has asked for is of no use any more, and it must not be used.
     * Not for those that control_close is called on. */
    void (*left)(void *data, struct control_client *client);
};

/** All memory but that of answers. NULL: there is none. */
struct control_socket *control_socket_new(struct ev_loop *loop, const struct control_events *events,
                                          void *data);
void control_socket_free(struct control_socket *socket);

/** Listens at `path`; "" not (any more). What listened before elsewhere ends, its clients stay. A
 * socket that nobody listens at any more is replaced, a living one is not, and nothing else either.
 * False: not possible, and logged, as a warning if just this path is `wanted`; nothing listens then. */
bool control_socket_open(struct control_socket *socket, const char *path, bool wanted);

const struct control_peer *control_peer(const struct control_client *client);

/** For whoever keeps something for a client; NULL at first. */
void **control_keep(struct control_client *client);

/** Answers with a line (without newline), from malloc, which is taken over. NULL: memory ran out,
 * the client is told so. */
void control_answer(struct control_client *client, char *text);

/** What is not the answer to a request, to a client that looks on: a copy of the line, with a newline, goes out
 * as soon as its socket takes it. False: the client does not read, there is no room for it.
 * control_watch, once before, gets the room; false: no memory. */
bool control_watch(struct control_client *client);
bool control_tell(struct control_client *client, const char *text);

/** Closes its connection; `left` is not called. */
void control_close(struct control_client *client);

unsigned control_clients(const struct control_socket *socket);

#endif
