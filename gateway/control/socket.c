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

#define BATCH 16                        /* new clients per turn */
#define PAUSE_S 1.0                     /* when none can be accepted for want of descriptors */
#define REST_TIMES 4                    /* what a request costs is a fifth of the time at most */
#define UNREAD_S 10.0                   /* an answer that is not taken for so long */
#define IDLE_S 600.0                    /* a client that asks nothing for so long */
#define WATCH_ROOM (64 * 1024)          /* for a client that looks on */
#define ANSWERS_ROOM (16 * 1024 * 1024) /* of all answers that are not taken yet */
#define GROUPS_MAX 256                  /* of a peer */

enum client_state {
    CLIENT_FREE,
    CLIENT_READING, /* its next request is awaited */
    CLIENT_WAITING, /* a whole request stands in `in` and has its turn later */
    CLIENT_ASKED,   /* the answer is awaited */
    CLIENT_SENDING  /* the answer is on its way */
};

struct control_client {
    struct control_socket *socket;
    enum client_state state;
    struct control_peer peer;
    void *kept;
    ev_io readable, writable;
    ev_timer deadline;
    double active_at;
    bool ended;  /* it will send nothing more: gone when its answer is sent */
    bool to_end; /* the same by our decision */
    size_t in_size;
    char in[CONTROL_REQUEST_MAX + 1];
    char *out; /* the answer; of a watcher always the same room */
    size_t out_size, out_sent;
    bool watching;
};

struct control_socket {
    struct ev_loop *loop;
    struct control_events events;
    void *data;
    ev_io listening; /* fd -1: not */
    ev_timer pause, work;
    double rest_until;
    struct sockaddr_un address;
    dev_t device; /* of the file, so that it is known whether it is still ours */
    ino_t inode;
    struct late_turn_watcher watcher;
    double waited_since; /* clients wait to be accepted, since then at most; INFINITY: none does */
    bool starved;
    bool crowded; /* until half of the places are free again */
    unsigned turn;
    size_t answers; /* bytes of all of them */
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

static void drop(struct control_client *client)
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

void **control_keep(struct control_client *client)
{
    return &client->kept;
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
            drop(&socket->clients[i]);
}

static void expect(struct control_client *client, double within_s)
{
    client->deadline.repeat = within_s;
    ev_timer_again(client->socket->loop, &client->deadline);
}

/* One request of all clients at a time, so that the lines have their turn in between. */
static void call_to_work(struct control_socket *socket)
{
    if (ev_is_active(&socket->work))
        return;
    ev_timer_set(&socket->work, fmax(socket->rest_until - clock_now(), 0), 0);
    ev_timer_start(socket->loop, &socket->work);
}

/* Reads on, unless a whole request is there already. */
static void read_on(struct control_client *client)
{
    struct ev_loop *loop = client->socket->loop;
    if (memchr(client->in, '\n', client->in_size)) {
        client->state = CLIENT_WAITING;
        ev_io_stop(loop, &client->readable);
        ev_timer_stop(loop, &client->deadline);
        call_to_work(client->socket);
    } else if (client->ended || client->to_end) {
        drop(client);
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
    (void) loop;
    (void) revents;
    struct control_client *client = io->data;
    ssize_t size =
        recv(io->fd, client->in + client->in_size, CONTROL_REQUEST_MAX - client->in_size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (client->watching) { /* it looks on, and its end is all that is of interest */
        if (size <= 0)
            drop(client);
        return;
    }
    if (size < 0) {
        drop(client);
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
            drop(client);
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
    (void) loop;
    (void) revents;
    send_on(io->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    drop(timer->data);
}

/* From the loop: whoever answers is in the middle of something, and the client may be gone then. */
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
        text = strdup("{\"error\":\"no memory for an answer, try again\"}");
    if (!text) {
        drop(client);
        return;
    }
    size = strlen(text);
    text[size] = '\n'; /* in place of the NUL: its size is known */
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

static void work_on(struct control_client *client)
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
    (void) revents;
    struct control_socket *socket = timer->data;
    const double begin = clock_now();
    if (late_turn_is_on(loop, begin)) /* all are dropped when the next turn begins */
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &socket->clients[socket->turn];
        socket->turn = (socket->turn + 1) % CONTROL_CLIENTS;
        if (client->state != CLIENT_WAITING)
            continue;
        work_on(client);
        break;
    }
    const double end = clock_now();
    socket->rest_until = end + REST_TIMES * (end - begin);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (socket->clients[i].state == CLIENT_WAITING) {
            call_to_work(socket);
            return;
        }
}

/* ---- who comes ---- */

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

/* Says why, and closes. */
static void turn_away(int fd, const char *why)
{
    ssize_t sent = send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void) sent; /* it is a courtesy */
    close(fd);
}

/* One word in the log for each time that it is crowded. */
static void note_crowd(struct control_socket *socket)
{
    if (!socket->crowded)
        log_warn("control socket: more than %d clients at once, the longest idle ones are "
                 "disconnected",
                 CONTROL_CLIENTS);
    socket->crowded = true;
}

/* A free place, or that of the longest idle one; NULL: all are at work. */
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
    (void) sent; /* it is a courtesy */
    drop(idle);
    return idle;
}

static void admit(struct control_socket *socket, int fd)
{
    struct control_peer peer = find_peer(fd);
    if (!peer.may_read) {
        turn_away(fd, "{\"error\":\"this is for root and the group of the service\"}\n");
        return;
    }
    struct control_client *client = find_place(socket);
    if (!client) {
        turn_away(fd, "{\"error\":\"too many clients are at work, try again\"}\n");
        return;
    }
    client->peer = peer;
    client->kept = NULL;
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
            log_warn("control socket: no client can be accepted: %s", strerror(errno));
        socket->starved = true;
        socket->waited_since = fmin(socket->waited_since, now);
        ev_io_stop(socket->loop, &socket->listening);
        ev_timer_again(socket->loop, &socket->pause);
        return;
    }
}

static void on_connecting(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) loop;
    (void) revents;
    accept_clients(io->data);
}

static void on_pause(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) revents;
    struct control_socket *socket = timer->data;
    ev_timer_stop(loop, timer);
    if (socket->listening.fd < 0)
        return;
    ev_io_start(loop, &socket->listening);
    ev_feed_event(loop, &socket->listening, EV_READ); /* whether anybody still waits */
}

static void on_late_turn(void *data, double since, double now)
{
    struct control_socket *socket = data;
    (void) since;
    (void) now;
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
    /* By now another gateway may have put its own there. */
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

/* Makes room for the socket where a dead gateway has left its own. False with the reason: something
 * is there that has to stay. */
static bool clear_place(const struct sockaddr_un *address, const char **why)
{
    struct stat found;
    if (lstat(address->sun_path, &found) < 0)
        return true;
    *why = "there is something else, which is left alone";
    if (!S_ISSOCK(found.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *why = strerror(errno);
        return false;
    }
    /* A gateway that lives is connected to, or its queue is full (EAGAIN). */
    bool dead = connect(fd, (const struct sockaddr *) address, sizeof *address) < 0 &&
                errno == ECONNREFUSED;
    close(fd);
    *why = "another gateway answers there; each wants a `control` of its own";
    return dead && unlink(address->sun_path) == 0;
}

static int listen_at(const struct sockaddr_un *address, const char **why)
{
    if (!clear_place(address, why))
        return -1;
    make_folder(address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Nobody may connect before it has its mode. */
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
            "control socket %s: %s; `packgate status` will not find this gateway";
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

/* ---- life ---- */

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
    /* A child whose parent has ended stays one of ours. */
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
