// SPDX-License-Identifier: MIT
/* The control socket. */
#include "socket.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"
#include "base/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BATCH 16    /* new clients per turn */
#define PAUSE_S 1.0 /* s, when descriptors have run out */
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
    bool ended;  /* the client will send nothing more: close it once its answer is sent */
    bool to_end; /* we decided the same */
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
    ev_io listening; /* fd -1: not listening */
    ev_timer pause, work;
    double rest_until;
    struct sockaddr_un address;
    dev_t device; /* of the socket file, to detect whether it is still ours */
    ino_t inode;
    struct late_turn_watcher watcher;
    double
        waited_since; /* clients wait to be accepted since then at the earliest; INFINITY: none waits */
    bool starved;
    bool crowded; /* logged that it is full; until half of the places are free again */
    unsigned turn;
    size_t answers; /* bytes of all unsent answers */
    struct control_client clients[CONTROL_CLIENTS];
};

/* ---- clients ---- */

static void release(struct control_client *client)
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
    if (socket->starved)
        ev_feed_event(socket->loop, &socket->pause, EV_TIMER);
}

void control_close(struct control_client *client)
{
    release(client);
}

static void disconnect_client(struct control_client *client)
{
    struct control_socket *socket = client->socket;
    socket->events.left(socket->data, client);
    if (client->state != CLIENT_FREE)
        release(client);
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
    if (ev_is_active(&socket->work))
        return;
    ev_timer_set(&socket->work, fmax(socket->rest_until - clock_now(), 0), 0);
    ev_timer_start(socket->loop, &socket->work);
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
    } else if (client->ended || client->to_end) {
        disconnect_client(client);
    } else if (client->in_size == CONTROL_REQUEST_MAX) {
        client->to_end = true;
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

/* Sends from the loop, because sending may free the client while the caller still uses it. */
static void start_sending(struct control_client *client)
{
    client->state = CLIENT_SENDING;
    expect(client, UNREAD_S);
    ev_io_start(client->socket->loop, &client->writable);
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
    start_sending(client);
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

/* ---- requests ---- */

static void handle_request(struct control_client *client)
{
    struct control_socket *socket = client->socket;
    char *end = memchr(client->in, '\n', client->in_size);
    size_t size = (size_t) (end - client->in);
    char line[CONTROL_REQUEST_MAX + 1];
    memcpy(line, client->in, size);
    if (size > 0 && line[size - 1] == '\r')
        size--;
    line[size] = '\0';
    client->in_size -= (size_t) (end + 1 - client->in);
    memmove(client->in, end + 1, client->in_size);
    client->state = CLIENT_ASKED;
    socket->events.asked(socket->data, client, line, size);
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
        handle_request(client);
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

/* ---- new clients ---- */

static bool is_in_group(int fd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof *groups; i++)
        if (groups[i] == group)
            return true;
    return false;
}

static struct control_peer find_peer(int fd)
{
    struct ucred who = {.uid = (uid_t) -1, .gid = (gid_t) -1};
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
        return (struct control_peer){.uid = (uid_t) -1};
    const bool same = who.uid == 0 || who.uid == geteuid();
    return (struct control_peer){
        .pid = who.pid,
        .uid = who.uid,
        /* An outlet cannot become another user. */
        .may_act = same && (who.uid != geteuid() || !child_is_ours(who.pid)),
        .may_read = same || who.gid == getegid() || is_in_group(fd, getegid()),
    };
}

static bool is_idle(const struct control_client *client)
{
    return client->state == CLIENT_READING;
}

/* Sends the reason and closes. */
static void turn_away(int fd, const char *why)
{
    ssize_t sent = send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void) sent; /* the message is best effort */
    close(fd);
}

/* Logs once each time that all places are taken. */
static void note_crowd(struct control_socket *socket)
{
    if (!socket->crowded)
        log_warn("control socket: more than %d clients at once, the longest idle ones are "
                 "disconnected",
                 CONTROL_CLIENTS);
    socket->crowded = true;
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
        if (is_idle(client) && (!idle || client->active_at < idle->active_at))
            idle = client;
    }
    note_crowd(socket);
    if (!idle)
        return NULL;
    const char why[] =
        "{\"error\":\"too many clients, and this one was idle for the longest time\"}\n";
    ssize_t sent = send(idle->readable.fd, why, sizeof why - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void) sent; /* the message is best effort */
    disconnect_client(idle);
    return idle;
}

static void admit(struct control_socket *socket, int fd)
{
    struct control_peer peer = find_peer(fd);
    if (!peer.may_read) {
        turn_away(fd, "{\"error\":\"allowed only for root and the group of the service\"}\n");
        return;
    }
    struct control_client *client = find_place(socket);
    if (!client) {
        turn_away(fd, "{\"error\":\"too many requests in progress, try again\"}\n");
        return;
    }
    client->peer = peer;
    client->ended = client->to_end = client->watching = false;
    client->in_size = client->out_size = client->out_sent = 0;
    client->out = NULL;
    client->active_at = clock_now();
    ev_io_init(&client->readable, on_readable, fd, EV_READ);
    ev_io_init(&client->writable, on_writable, fd, EV_WRITE);
    client->readable.data = client->writable.data = client->deadline.data = client;
    read_on(client);
}

static void accept_clients(struct control_socket *socket)
{
    const double now = clock_now();
    const bool old = now - socket->waited_since > LATE_TURN_S;
    for (int i = 0; i < BATCH; i++) {
        int fd = accept4(socket->listening.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            socket->starved = false;
            if (old)
                close(fd);
            else
                admit(socket, fd);
            continue;
        }
        if (errno == EAGAIN) {
            socket->waited_since = INFINITY;
            return;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        /* Its socket stays readable; without a pause the loop would spin on it. */
        if (!socket->starved)
            log_warn("control socket: clients cannot be accepted: %s", strerror(errno));
        socket->starved = true;
        socket->waited_since = fmin(socket->waited_since, now);
        ev_io_stop(socket->loop, &socket->listening);
        ev_timer_again(socket->loop, &socket->pause);
        return;
    }
}

static void on_connecting(struct ev_loop *loop, ev_io *io, int revents)
{
    accept_clients(io->data);
}

static void on_pause(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct control_socket *socket = timer->data;
    ev_timer_stop(loop, timer);
    if (socket->listening.fd < 0)
        return;
    ev_io_start(loop, &socket->listening);
    ev_feed_event(loop, &socket->listening,
                  EV_READ); /* accept at once, to see whether clients still wait */
}

static void on_late_turn(void *data, double since, double now)
{
    struct control_socket *socket = data;
    drop_all(socket);
    socket->waited_since = -INFINITY;
    if (ev_is_active(&socket->listening))
        accept_clients(socket);
}

/* ---- listening ---- */

static void stop_listening(struct control_socket *socket)
{
    struct stat found;
    if (socket->listening.fd < 0)
        return;
    ev_io_stop(socket->loop, &socket->listening);
    ev_timer_stop(socket->loop, &socket->pause);
    /* By now another gateway may have created its own socket there. */
    if (stat(socket->address.sun_path, &found) == 0 && found.st_dev == socket->device &&
        found.st_ino == socket->inode)
        unlink(socket->address.sun_path);
    close(socket->listening.fd);
    socket->listening.fd = -1;
}

static void make_folder(const char *path)
{
    char folder[sizeof((struct sockaddr_un *) NULL)->sun_path];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash > folder) {
        *slash = '\0';
        mkdir(folder, 0755);
    }
}

/* Removes the socket file that a dead gateway has left. False with the reason if anything else is
 * there. */
static bool remove_dead_socket(const struct sockaddr_un *address, const char **why)
{
    struct stat found;
    if (lstat(address->sun_path, &found) < 0)
        return true;
    *why = "the path exists and is not a socket; remove it, or choose another path";
    if (!S_ISSOCK(found.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *why = strerror(errno);
        return false;
    }
    /* A running gateway accepts the connection, or its queue is full (EAGAIN). */
    bool dead = connect(fd, (const struct sockaddr *) address, sizeof *address) < 0 &&
                errno == ECONNREFUSED;
    close(fd);
    *why = "another gateway uses it; give each gateway its own `control`";
    return dead && unlink(address->sun_path) == 0;
}

static int listen_at(const struct sockaddr_un *address, const char **why)
{
    if (!remove_dead_socket(address, why))
        return -1;
    make_folder(address->sun_path);
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
    if (socket->listening.fd >= 0 && strcmp(socket->address.sun_path, path) == 0)
        return true;
    stop_listening(socket);
    if (!path[0])
        return true;
    socket->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(socket->address.sun_path, sizeof socket->address.sun_path, "%s", path);
    const char *why = "";
    int fd = listen_at(&socket->address, &why);
    if (fd < 0) {
        static const char format[] =
            "control socket %s: %s; `packgate status` cannot reach this gateway";
        if (wanted)
            log_warn(format, path, why);
        else
            log_info(format, path, why);
        return false;
    }
    struct stat found = {0};
    if (stat(path, &found) == 0) {
        socket->device = found.st_dev;
        socket->inode = found.st_ino;
    }
    socket->waited_since = INFINITY;
    ev_io_set(&socket->listening, fd, EV_READ);
    ev_io_start(socket->loop, &socket->listening);
    return true;
}

/* ---- start and end ---- */

struct control_socket *control_socket_new(struct ev_loop *loop, const struct control_events *events,
                                          void *data)
{
    struct control_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return NULL;
    socket->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = socket};
    if (!late_turn_watch(loop, &socket->watcher)) {
        free(socket);
        return NULL;
    }
    socket->loop = loop;
    socket->events = *events;
    socket->data = data;
    ev_io_init(&socket->listening, on_connecting, -1, EV_READ);
    ev_init(&socket->pause, on_pause);
    socket->pause.repeat = PAUSE_S;
    ev_init(&socket->work, on_work);
    /* Children whose parent has ended stay descendants of this process. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    socket->listening.data = socket->pause.data = socket->work.data = socket;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        socket->clients[i].socket = socket;
        ev_init(&socket->clients[i].deadline, on_deadline);
    }
    return socket;
}

void control_socket_free(struct control_socket *socket)
{
    if (!socket)
        return;
    stop_listening(socket);
    ev_timer_stop(socket->loop, &socket->work);
    late_turn_unwatch(socket->loop, &socket->watcher);
    drop_all(socket);
    free(socket);
}
