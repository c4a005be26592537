// SPDX-License-Identifier: MIT
#include "dial.h"

#include "clock.h"
#include "timer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_UP_S 30.0 /* s, for the name look-up: three name servers may time out */
#define KNOWN_S 60.0   /* s to reuse the addresses of a name that led to a connection */
#define CONNECT_S 5.0  /* s, for each address */
#define KEEPALIVE_S 10
#define UNSENT_MS 10000 /* ms that sent data may stay unacknowledged: then the connection ends */

void dial_stop(struct dial *dial)
{
    resolver_stop(&dial->resolver);
    ev_io_stop(dial->loop, &dial->connecting);
    ev_timer_stop(dial->loop, &dial->timeout);
    if (dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
}

static void report_failure(struct dial *dial, const char *why)
{
    dial_stop(dial);
    dial->known_until = 0;
    dial->events.failed(dial->data, why);
}

/* Starts to connect to one address. False with errno if that fails at once. */
static bool start_connect(struct dial *dial, const struct resolver_address *address)
{
    const struct sockaddr *to = (const struct sockaddr *) &address->address;
    dial->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0)
        return false;
    const int on = 1, idle = KEEPALIVE_S, probes = 3, unsent = UNSENT_MS;
    setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(dial->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(dial->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(dial->fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
    setsockopt(dial->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(dial->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent, sizeof unsent);
    if (connect(dial->fd, to, address->size) < 0 && errno != EINPROGRESS)
        return false;
    ev_io_set(&dial->connecting, dial->fd, EV_WRITE);
    ev_io_start(dial->loop, &dial->connecting);
    timer_restart(dial->loop, &dial->timeout, CONNECT_S);
    return true;
}

/* Tries the remaining addresses in turn; `error` is why the previous one failed. */
static void try_next(struct dial *dial, int error)
{
    while (dial->next < dial->count) {
        if (dial->fd >= 0)
            close(dial->fd);
        if (start_connect(dial, &dial->addresses[dial->next++]))
            return;
        error = errno;
    }
    report_failure(dial, strerror(error));
}

/* To a port of this host that nobody listens on, the kernel may choose that very port as the local
 * one and connect the socket to itself. It would stay open for ever and block the port for its
 * server. */
static bool is_joined_to_itself(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    return getsockname(fd, (struct sockaddr *) &own, &own_size) == 0 &&
           getpeername(fd, (struct sockaddr *) &peer, &peer_size) == 0 && own_size == peer_size &&
           memcmp(&own, &peer, own_size) == 0;
}

static void on_connected(struct ev_loop *loop, ev_io *io, int revents)
{
    struct dial *dial = io->data;
    int error = 0;
    socklen_t size = sizeof error;
    ev_io_stop(loop, io);
    ev_timer_stop(loop, &dial->timeout);
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (!error && is_joined_to_itself(dial->fd))
        error = ECONNREFUSED;
    if (error) {
        try_next(dial, error);
        return;
    }
    /* Some serial servers close the connection after each reply: reconnecting must not look the
     * name up each time. */
    const struct resolver_address good = dial->addresses[dial->next - 1];
    dial->addresses[dial->next - 1] = dial->addresses[0];
    dial->addresses[0] = good;
    dial->events.opened(dial->data, dial->fd);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct dial *dial = timer->data;
    ev_io_stop(loop, &dial->connecting);
    if (dial->fd < 0)
        report_failure(dial, "looking up the host name takes too long");
    else
        try_next(dial, ETIMEDOUT);
}

static void on_resolved(void *data, const struct resolver_address *addresses, unsigned count)
{
    struct dial *dial = data;
    ev_timer_stop(dial->loop, &dial->timeout);
    if (count == 0) {
        char why[sizeof dial->to.host + 40];
        snprintf(why, sizeof why, "host name %s was not found", dial->to.host);
        report_failure(dial, why);
        return;
    }
    memcpy(dial->addresses, addresses, count * sizeof *addresses);
    dial->count = count;
    dial->known_until = clock_now() + KNOWN_S;
    try_next(dial, 0);
}

void dial_start(struct dial *dial)
{
    dial_stop(dial);
    dial->next = 0;
    const bool known = clock_now() < dial->known_until;
    const bool numeric = !known && endpoint_address(&dial->to, &dial->addresses[0].address,
                                                    &dial->addresses[0].size);
    if (numeric)
        dial->count = 1;
    if (known || numeric) {
        try_next(dial, 0);
        return;
    }
    timer_restart(dial->loop, &dial->timeout, LOOK_UP_S);
    if (resolver_start(&dial->resolver, dial->to.host, dial->service) < 0)
        report_failure(dial, strerror(errno));
}

bool dial_init(struct dial *dial, struct ev_loop *loop, const char *address,
               const struct dial_events *events, void *data)
{
    *dial = (struct dial){.loop = loop, .fd = -1, .events = *events, .data = data};
    if (!endpoint_parse(address, &dial->to))
        return false;
    snprintf(dial->service, sizeof dial->service, "%u", dial->to.port);
    resolver_init(&dial->resolver, loop, on_resolved, dial);
    ev_init(&dial->connecting, on_connected);
    ev_init(&dial->timeout, on_timeout);
    dial->connecting.data = dial->timeout.data = dial;
    return true;
}
