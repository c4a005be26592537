// SPDX-License-Identifier: MIT
/*
 * The control socket: a Unix socket (mode 0660) on which programs of this host send one request
 * per line and get one answer per line. The meaning of the lines is defined elsewhere.
 *
 * No client can hold the gateway up: requests are limited in size and handled one at a time, with
 * a pause after a costly one, and a client that does not read its answers is disconnected. All are
 * disconnected when a turn of the loop begins late (base/late_turn.h). At most CONTROL_CLIENTS are
 * connected; a further one takes the place of the longest idle one.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONTROL_CLIENTS 64
#define CONTROL_REQUEST_MAX 4096 /* bytes, with its newline */

struct control_socket;
struct control_client;

/* The peer's credentials, from the kernel. */
struct control_peer {
    pid_t pid;
    uid_t uid;
    bool may_read; /* root, the gateway's own user, or a member of its group */
    bool may_act;  /* root or the gateway's user, but no process that the gateway has started */
};

struct control_events {
    /** A request without its newline, `line[size]` is NUL. To be answered with control_answer, now
     * or later, or with control_close; until then nothing more is read from this client. */
    void (*asked)(void *data, struct control_client *client, char *line, size_t size);
    /** The client has disconnected and must not be used any more; its pending request can be
     * dropped. Not called after control_close. */
    void (*left)(void *data, struct control_client *client);
};

/** Allocates all memory except that of answers. */
struct control_socket *control_socket_new(struct ev_loop *loop, const struct control_events *events,
                                          void *data);
void control_socket_free(struct control_socket *socket);

/** Listens at `path`; "" stops listening. A previous socket at another path is closed, its clients
 * stay. Replaces a socket file without a listener, but neither a socket in use nor any other file.
 * False: failed, nothing listens, and it is logged, as a warning if the path was configured
 * (`wanted`). */
bool control_socket_open(struct control_socket *socket, const char *path, bool wanted);

const struct control_peer *control_peer(const struct control_client *client);

/** Answers with a line (malloc'ed, without newline), which is released. NULL: memory ran out, the
 * client gets an error. */
void control_answer(struct control_client *client, char *text);

/** Sends an unsolicited line to a listening client: copies it and adds a newline. False: the client
 * does not read, its buffer is full. Call control_watch once before, which allocates the buffer;
 * false: out of memory. */
bool control_watch(struct control_client *client);
bool control_tell(struct control_client *client, const char *text);

/** Closes its connection; does not call `left`. */
void control_close(struct control_client *client);

unsigned control_clients(const struct control_socket *socket);
