// SPDX-License-Identifier: MIT
/*
 * Listening sockets. When descriptors run out, a pending client can neither be accepted nor
 * refused and its socket stays readable: without a pause the loop would spin on it.
 */
#include "listeners.h"

#include "address.h"
#include "clock.h"
#include "late_turn.h"
#include "log.h"

#include "bms/count.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define BATCH 32 /* new clients per turn, so that a flood of them does not starve the others */
#define PAUSE_S 1.0

/* Set on the listening socket; accepted sockets inherit them. */
static const struct {
    const char *name;
    int level, option, value;
} options[] = {
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
    {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
    {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
    {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 60},
    {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 15},
    {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4},
    /* TCP_USER_TIMEOUT, because keep-alive does nothing while an answer is unacknowledged. */
    {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 120000},
    /* Unsent answers per client, some 500 of the longest, until its socket would block. */
    {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 128 * 1024},
};

static int open_socket(const struct sockaddr_storage *address, socklen_t size)
{
    const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    for (size_t i = 0; i < COUNT(options); i++)
        if (setsockopt(fd, options[i].level, options[i].option, &options[i].value,
                       sizeof options[i].value) < 0)
            log_warn("listening socket: %s: %s", options[i].name, strerror(errno));
    /* Both [::] and 0.0.0.0 can be configured, whatever the host's default is. */
    const int on = 1;
    if (address->ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        log_warn("listening socket: IPV6_V6ONLY: %s", strerror(errno));
    if (bind(fd, (const struct sockaddr *) address, size) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    const int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* Errors of this one connection, which is gone; the next may succeed (accept(2)). */
static bool is_passing(int err)
{
    static const int passing[] = {EINTR,    ECONNABORTED, EPROTO,    ENOPROTOOPT,
                                  ENETDOWN, ENETUNREACH,  EHOSTDOWN, EHOSTUNREACH,
                                  ENONET,   EOPNOTSUPP,   EPERM /* by a firewall rule */};
    bool is = false;
    for (size_t i = 0; i < COUNT(passing); i++)
        is |= err == passing[i];
    return is;
}

static void pause_accepting(struct listeners *listeners, int err)
{
    const double now = clock_now();
    if (!listeners->starved)
        log_error("clients cannot be accepted: %s; retrying every second. Raise the limit of "
                  "open files or lower max_clients",
                  strerror(err));
    listeners->starved = true;
    for (unsigned i = 0; i < listeners->count; i++) {
        listeners->waited_since[i] = fmin(listeners->waited_since[i], now);
        ev_io_stop(listeners->loop, &listeners->sockets[i]);
    }
    ev_timer_again(listeners->loop, &listeners->pause);
}

static void accept_clients(struct listeners *listeners, unsigned index)
{
    double *since = &listeners->waited_since[index];
    const bool old = clock_now() - *since > LATE_TURN_S;

    for (int i = 0; i < BATCH; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        const int fd = accept4(listeners->sockets[index].fd, (struct sockaddr *) &address, &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && old) {
            close(fd);
        } else if (fd >= 0) {
            listeners->accepted(listeners->data, fd, &address);
        } else if (errno == EAGAIN) { /* no client is waiting any more */
            *since = INFINITY;
            if (listeners->starved)
                log_info("clients can be accepted again");
            listeners->starved = false;
            return;
        } else if (!is_passing(errno)) {
            pause_accepting(listeners, errno);
            return;
        }
    }
}

static void on_connecting(struct ev_loop *loop, ev_io *io, int events)
{
    struct listeners *listeners = io->data;
    accept_clients(listeners, (unsigned) (io - listeners->sockets));
}

void listeners_turn_away(struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->count; i++) {
        listeners->waited_since[i] = -INFINITY;
        if (ev_is_active(&listeners->sockets[i]))
            accept_clients(listeners, i);
    }
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    listeners_resume(timer->data);
}

static void add_socket(struct listeners *listeners, int fd)
{
    ev_io *io = &listeners->sockets[listeners->count];
    ev_io_init(io, on_connecting, fd, EV_READ);
    io->data = listeners;
    listeners->waited_since[listeners->count++] = INFINITY;
    ev_io_start(listeners->loop, io);
}

static int listen_on(struct listeners *listeners, const char *text, const char *key)
{
    struct sockaddr_storage address = {0};
    struct endpoint endpoint;
    socklen_t size;
    /* Numeric addresses only: looking up a name could delay the start. */
    if (!endpoint_parse(text, &endpoint) || !endpoint.numeric ||
        !endpoint_address(&endpoint, &address, &size)) {
        log_error("%s is %s; expected an address and a port, as in 0.0.0.0:502 or [::]:502", key,
                  text);
        return -1;
    }
    const int fd = open_socket(&address, size);
    if (fd < 0) {
        log_message(listeners->refused ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
                    "cannot listen on %s (%s): %s%s", text, key, strerror(errno),
                    errno == EACCES
                        ? " (a port below 1024 needs CAP_NET_BIND_SERVICE, which the "
                          "service has for Modbus only; choose one such as 1502 or 8080)"
                        : "");
        return -1;
    }
    add_socket(listeners, fd);
    return 0;
}

void listeners_adopt(struct listeners *listeners, struct ev_loop *loop, int fd,
                     listeners_accepted *accepted, void *data)
{
    *listeners = (struct listeners){
        .loop = loop, .accepted = accepted, .data = data, .refused = listeners->refused};
    ev_init(&listeners->pause, on_pause_over);
    listeners->pause.repeat = PAUSE_S;
    listeners->pause.data = listeners;
    if (fd >= 0)
        add_socket(listeners, fd);
}

int listeners_open(struct listeners *listeners, struct ev_loop *loop,
                   const struct listen_list *list, const char *key, listeners_accepted *accepted,
                   void *data)
{
    listeners_adopt(listeners, loop, -1, accepted, data);
    for (unsigned i = 0; i < list->count; i++) {
        if (listen_on(listeners, list->at[i], key) < 0) {
            listeners_close(listeners);
            listeners->refused = true;
            return -1;
        }
    }
    listeners->refused = false;
    return 0;
}

void listeners_resume(struct listeners *listeners)
{
    if (!ev_is_active(&listeners->pause))
        return;
    ev_timer_stop(listeners->loop, &listeners->pause);
    for (unsigned i = 0; i < listeners->count; i++) {
        ev_io_start(listeners->loop, &listeners->sockets[i]);
        /* Accept at once to see whether clients still wait: a late turn disconnects those that
         * waited. */
        ev_feed_event(listeners->loop, &listeners->sockets[i], EV_READ);
    }
}

unsigned listeners_port(const struct listeners *listeners, unsigned index)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (index >= listeners->count ||
        getsockname(listeners->sockets[index].fd, (struct sockaddr *) &address, &size) < 0)
        return 0;
    return address_port((const struct sockaddr *) &address);
}

void listeners_close(struct listeners *listeners)
{
    ev_timer_stop(listeners->loop, &listeners->pause);
    for (unsigned i = 0; i < listeners->count; i++) {
        ev_io_stop(listeners->loop, &listeners->sockets[i]);
        close(listeners->sockets[i].fd);
    }
    listeners->count = 0;
}
