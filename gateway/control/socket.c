// SPDX-License-Identifier: MIT
/* The control socket. */
#include "socket.h"

#include "base/alloc.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/listeners.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* a pause of four times the time that a request took: at most a fifth of the time goes into requests */
#define REST_TIMES 4
#define UNREAD_S 10.0                   /* s for a client to read an answer */
#define IDLE_S 600.0                    /* s without a request until a client is disconnected */
#define WATCH_ROOM (64 * 1024)          /* bytes, for a client that listens on a line */
#define ANSWERS_ROOM (16 * 1024 * 1024) /* bytes, of all unsent answers together */
#define GROUPS_MAX 256                  /* groups of a peer that are checked */

enum client_state {
    CLIENT_FREE,
    CLIENT_READING, /* waits for its next request */
    CLIENT_WAITING, /* a whole request is in `in` and waits for its turn */
    CLIENT_ASKED,   /* its request is being answered */
    CLIENT_SENDING  /* its answer is being sent */
};

struct control_client {
    struct control_socket *socket;
    enum client_state state;
    struct control_peer peer;
    ev_io readable, writable;
    ev_timer deadline;
    double active_at;
    bool ended; /* the client sends, or we read, nothing more: closed once its answer is sent */
    size_t in_size;
    char in[CONTROL_REQUEST_MAX + 1];
    char *out; /* the answer; for a listening client a fixed buffer */
    size_t out_size, out_sent;
    bool watching;
};

struct control_socket {
    struct ev_loop *loop;
    struct control_events events;
    void *data;
    struct listeners listeners; /* one, or none */
    ev_timer work;
    double rest_until;
    struct sockaddr_un address;
    dev_t device; /* of the socket file, to detect whether it is still ours */
    ino_t inode;
    struct late_turn_watcher watcher;
    bool crowded; /* logged that it is full; until half of the places are free again */
    unsigned turn;
    size_t answers; /* bytes of all unsent answers */
    struct control_client clients[CONTROL_CLIENTS];
};

void control_close(struct control_client *client)
{
    struct control_socket *socket = client->socket;
    ev_io_stop(socket->loop, &client->readable);
    ev_io_stop(socket->loop, &client->writable);
    ev_timer_stop(socket->loop, &client->deadline);
    close(client->readable.fd);
    if (client->out && !client->watching)
        socket->answers -= client->out_size;
    free(client->out);
    client->out = NULL;
    client->state = CLIENT_FREE;
    listeners_resume(&socket->listeners);
}

static void disconnect_client(struct control_client *client)
{
    struct control_socket *socket = client->socket;
    socket->events.left(socket->data, client);
    if (client->state != CLIENT_FREE)
        control_close(client);
    socket->crowded &= control_clients(socket) > CONTROL_CLIENTS / 2;
}

const struct control_peer *control_peer(const struct control_client *client)
{
    return &client->peer;
}

unsigned control_clients(const struct control_socket *socket)
{
    unsigned count = 0;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        count += socket->clients[i].state != CLIENT_FREE;
    return count;
}

static void drop_all(struct control_socket *socket)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (socket->clients[i].state != CLIENT_FREE)
            disconnect_client(&socket->clients[i]);
}

static void expect(struct control_client *client, double within_s)
{
    client->deadline.repeat = within_s;
    ev_timer_again(client->socket->loop, &client->deadline);
}

/* Handles one request per turn of the loop, so that the lines get their turn in between. */
static void schedule_request(struct control_socket *socket)
{
    if (!ev_is_active(&socket->work))
        timer_restart(socket->loop, &socket->work, fmax(socket->rest_until - clock_now(), 0));
}

/* Reads on, unless a whole request has been received already. */
static void read_on(struct control_client *client)
{
    struct ev_loop *loop = client->socket->loop;
    if (memchr(client->in, '\n', client->in_size)) {
        client->state = CLIENT_WAITING;
        ev_io_stop(loop, &client->readable);
        ev_timer_stop(loop, &client->deadline);
        schedule_request(client->socket);
    } else if (client->ended) {
        disconnect_client(client);
    } else if (client->in_size == CONTROL_REQUEST_MAX) {
        client->ended = true;
        client->in_size = 0;
        ev_io_stop(loop, &client->readable);
        control_answer(client,
                       strdup("{\"error\":\"a request is one line of at most 4096 bytes\"}"));
    } else {
        client->state = CLIENT_READING;
        ev_io_start(loop, &client->readable);
        expect(client, IDLE_S);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct control_client *client = io->data;
    ssize_t size =
        recv(io->fd, client->in + client->in_size, CONTROL_REQUEST_MAX - client->in_size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (client->watching) { /* it listens on a line; only the end of its connection matters */
        if (size <= 0)
            disconnect_client(client);
        return;
    }
    if (size < 0) {
        disconnect_client(client);
        return;
    }
    client->active_at = clock_now();
    client->ended = size == 0;
    client->in_size += (size_t) size;
    read_on(client);
}

static void send_on(struct control_client *client)
{
    struct control_socket *socket = client->socket;
    while (client->out_sent < client->out_size) {
        ssize_t sent = send(client->readable.fd, client->out + client->out_sent,
                            client->out_size - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            ev_io_start(socket->loop, &client->writable);
            return;
        }
        if (sent < 0) {
            disconnect_client(client);
            return;
        }
        client->out_sent += (size_t) sent;
        if (!client->watching)
            expect(client, UNREAD_S);
    }
    ev_io_stop(socket->loop, &client->writable);
    if (client->watching) {
        client->out_size = client->out_sent = 0;
        return;
    }
    socket->answers -= client->out_size;
    free(client->out);
    client->out = NULL;
    client->out_size = client->out_sent = 0;
    read_on(client);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    send_on(io->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    disconnect_client(timer->data);
}

void control_answer(struct control_client *client, char *text)
{
    struct control_socket *socket = client->socket;
    size_t size = text ? strlen(text) : 0;
    if (socket->answers + size > ANSWERS_ROOM) {
        free(text);
        text = NULL;
    }
    if (!text)
        text = strdup("{\"error\":\"out of memory for an answer, try again\"}");
    if (!text) {
        disconnect_client(client);
        return;
    }
    size = strlen(text);
    text[size] = '\n'; /* replaces the NUL: the size is known */
    client->out = text;
    client->out_size = size + 1;
    client->out_sent = 0;
    socket->answers += client->out_size;
    /* Sends from the loop, because sending may free the client while the caller still uses it. */
    client->state = CLIENT_SENDING;
    expect(client, UNREAD_S);
    ev_io_start(socket->loop, &client->writable);
}

bool control_watch(struct control_client *client)
{
    char *room = malloc(WATCH_ROOM);
    if (!room)
        return false;
    client->out = room;
    client->out_size = client->out_sent = 0;
    client->watching = true;
    client->in_size = 0;
    client->state = CLIENT_SENDING;
    ev_timer_stop(client->socket->loop, &client->deadline);
    ev_io_start(client->socket->loop, &client->readable);
    return true;
}

bool control_tell(struct control_client *client, const char *text)
{
    size_t size = strlen(text);
    memmove(client->out, client->out + client->out_sent, client->out_size - client->out_sent);
    client->out_size -= client->out_sent;
    client->out_sent = 0;
    if (size + 1 > WATCH_ROOM - client->out_size)
        return false;
    memcpy(client->out + client->out_size, text, size);
    client->out_size += size;
    client->out[client->out_size++] = '\n';
    ev_io_start(client->socket->loop, &client->writable);
    return true;
}

static void on_work(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct control_socket *socket = timer->data;
    const double begin = clock_now();
    if (late_turn_is_on(loop, begin)) /* the next turn disconnects all clients */
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &socket->clients[socket->turn];
        socket->turn = (socket->turn + 1) % CONTROL_CLIENTS;
        if (client->state != CLIENT_WAITING)
            continue;
        char line[CONTROL_REQUEST_MAX + 1], *next = memchr(client->in, '\n', client->in_size);
        size_t size = (size_t) (next++ - client->in);
        memcpy(line, client->in, size);
        if (size > 0 && line[size - 1] == '\r')
            size--;
        line[size] = '\0';
        client->in_size -= (size_t) (next - client->in);
        memmove(client->in, next, client->in_size);
        client->state = CLIENT_ASKED;
        socket->events.asked(socket->data, client, line, size);
        break;
    }
    const double end = clock_now();
    socket->rest_until = end + REST_TIMES * (end - begin);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (socket->clients[i].state == CLIENT_WAITING) {
            schedule_request(socket);
            return;
        }
}

static struct control_peer find_peer(int fd)
{
    struct ucred who = {.uid = (uid_t) -1, .gid = (gid_t) -1};
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof who, groups_size = sizeof groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
        return (struct control_peer){.uid = (uid_t) -1};
    const bool same = who.uid == 0 || who.uid == geteuid();
    bool member = who.gid == getegid();
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_size) == 0)
        for (size_t i = 0; i < groups_size / sizeof *groups; i++)
            member |= groups[i] == getegid();
    return (struct control_peer){
        .pid = who.pid,
        .uid = who.uid,
        /* An outlet cannot become another user. */
        .may_act = same && (who.uid != geteuid() || !child_is_ours(who.pid)),
        .may_read = same || member,
    };
}

/* Tells a client why it is disconnected, if its socket takes that. */
static void send_reason(int fd, const char *why)
{
    ssize_t sent = send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void) sent;
}

/* Returns a free place, or that of the longest idle client; NULL: all clients have requests in
 * progress. */
static struct control_client *find_place(struct control_socket *socket)
{
    struct control_client *idle = NULL;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &socket->clients[i];
        if (client->state == CLIENT_FREE)
            return client;
        if (client->state == CLIENT_READING && (!idle || client->active_at < idle->active_at))
            idle = client;
    }
    if (!socket->crowded)
        log_warn("control socket: more than %d clients at once, the longest idle ones are "
                 "disconnected",
                 CONTROL_CLIENTS);
    socket->crowded = true;
    if (!idle)
        return NULL;
    send_reason(idle->readable.fd,
                "{\"error\":\"too many clients, and this one was idle for the longest time\"}\n");
    disconnect_client(idle);
    return idle;
}

static void on_accepted(void *data, int fd, const struct sockaddr_storage *address)
{
    const struct control_peer peer = find_peer(fd);
    struct control_client *client = peer.may_read ? find_place(data) : NULL;
    if (!client) {
        send_reason(fd, peer.may_read ? "{\"error\":\"too many requests in progress, try again\"}\n"
                                      : "{\"error\":\"allowed only for root and the group of the "
                                        "service\"}\n");
        close(fd);
        return;
    }
    client->peer = peer;
    client->ended = client->watching = false;
    client->in_size = client->out_size = client->out_sent = 0;
    client->out = NULL;
    client->active_at = clock_now();
    ev_io_init(&client->readable, on_readable, fd, EV_READ);
    ev_io_init(&client->writable, on_writable, fd, EV_WRITE);
    client->readable.data = client->writable.data = client->deadline.data = client;
    read_on(client);
}

static void on_late_turn(void *data, double since, double now)
{
    struct control_socket *socket = data;
    drop_all(socket);
    listeners_turn_away(&socket->listeners);
}

static void stop_listening(struct control_socket *socket)
{
    struct stat found;
    if (socket->listeners.count == 0)
        return;
    /* By now another gateway may have created its own socket there. */
    if (stat(socket->address.sun_path, &found) == 0 && found.st_dev == socket->device &&
        found.st_ino == socket->inode)
        unlink(socket->address.sun_path);
    listeners_close(&socket->listeners);
}

/* Removes the socket file that a dead gateway has left. Returns why there can be no other one; NULL: there can. */
static const char *remove_dead_socket(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) < 0)
        return NULL;
    if (!S_ISSOCK(found.st_mode))
        return "the path exists and is not a socket; remove it, or choose another path";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return strerror(errno);
    /* A running gateway accepts the connection, or its queue is full (EAGAIN). */
    bool dead = connect(fd, (const struct sockaddr *) address, sizeof *address) < 0 &&
                errno == ECONNREFUSED;
    close(fd);
    return dead && unlink(address->sun_path) == 0
               ? NULL
               : "another gateway uses it; give each gateway its own `control`";
}

static int listen_at(const struct sockaddr_un *address, const char **why)
{
    *why = remove_dead_socket(address);
    if (*why)
        return -1;
    char folder[sizeof address->sun_path];
    snprintf(folder, sizeof folder, "%s", address->sun_path);
    mkdir(dirname(folder), 0755);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* No client may connect before the file has its mode. */
    const mode_t mask = umask(0177);
    bool good = fd >= 0 && bind(fd, (const struct sockaddr *) address, sizeof *address) == 0;
    umask(mask);
    good = good && chmod(address->sun_path, 0660) == 0 && listen(fd, SOMAXCONN) == 0;
    if (good)
        return fd;
    *why = strerror(errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

bool control_socket_open(struct control_socket *socket, const char *path, bool wanted)
{
    if (socket->listeners.count > 0 && strcmp(socket->address.sun_path, path) == 0)
        return true;
    stop_listening(socket);
    if (!path[0])
        return true;
    socket->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(socket->address.sun_path, sizeof socket->address.sun_path, "%s", path);
    const char *why;
    int fd = listen_at(&socket->address, &why);
    if (fd < 0) {
        log_message(wanted ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                    "control socket %s: %s; `packgate status` cannot reach this gateway", path,
                    why);
        return false;
    }
    struct stat found = {0};
    if (stat(path, &found) == 0) {
        socket->device = found.st_dev;
        socket->inode = found.st_ino;
    }
    listeners_adopt(&socket->listeners, socket->loop, fd, on_accepted, socket);
    return true;
}

struct control_socket *control_socket_new(struct ev_loop *loop, const struct control_events *events,
                                          void *data)
{
    struct control_socket *socket = alloc_zeroed(1, sizeof *socket);
    socket->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = socket};
    late_turn_watch(loop, &socket->watcher);
    socket->loop = loop;
    socket->events = *events;
    socket->data = data;
    listeners_adopt(&socket->listeners, loop, -1, on_accepted, socket);
    ev_init(&socket->work, on_work);
    /* Children whose parent has ended stay descendants of this process. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    socket->work.data = socket;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        socket->clients[i].socket = socket;
        ev_init(&socket->clients[i].deadline, on_deadline);
    }
    return socket;
}

void control_socket_free(struct control_socket *socket)
{
    stop_listening(socket);
    ev_timer_stop(socket->loop, &socket->work);
    late_turn_unwatch(socket->loop, &socket->watcher);
    drop_all(socket);
    free(socket);
}
