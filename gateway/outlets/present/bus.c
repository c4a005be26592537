// SPDX-License-Identifier: MIT
#include "bus.h"
#include "rtu.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/can_socket.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/listeners.h"
#include "base/log.h"
#include "base/timer.h"
#include "config/allow.h"
#include "ports/port.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#define BUS_ROOM 512  /* unhandled bytes of a master; longer than any request */
#define BUS_CLIENTS 8 /* TCP masters; a further one takes the place of the longest idle one */
#define FIRST_PAUSE_S 1.0
#define LONGEST_PAUSE_S 5.0 /* longest pause before a lost adapter is opened again */

struct bus_link {
    struct bus *bus;
    ev_io io;    /* io.fd < 0: not in use */
    bool broken; /* to be closed */
    struct sockaddr_storage address;
    double heard_at;
    size_t size;
    uint8_t bytes[BUS_ROOM];
};

struct bus {
    struct ev_loop *loop;
    struct late_turn_watcher watcher;
    const struct present_config *config;
    const char *title;
    const struct bus_events *events;
    void *data;
    enum { BUS_SERIAL, BUS_LISTENS, BUS_CAN } kind;
    struct port *port; /* of a serial port */
    ev_io quiet; /* of a serial port; fd < 0: none. A kernel timer: libev's are up to 1 ms late */
    struct listeners listeners; /* of a TCP port */
    bool open;
    ev_timer retry;
    double pause_s;
    struct trouble trouble;
    struct bus_link links[BUS_CLIENTS]; /* serial ports and CAN use only the first */
};

static bool in_use(const struct bus_link *link)
{
    return link->io.fd >= 0;
}

bool bus_is_shared(const struct bus_link *link)
{
    return link->bus->kind != BUS_LISTENS;
}

const struct sockaddr *bus_client(const struct bus_link *link)
{
    return bus_is_shared(link) ? NULL : (const struct sockaddr *) &link->address;
}

bool bus_is_open(const struct bus *bus)
{
    return bus->open;
}

bool bus_confirms(const struct bus *bus)
{
    return bus->kind == BUS_CAN;
}

void bus_drop_unsent(struct bus *bus)
{
    if (bus->kind == BUS_SERIAL && in_use(&bus->links[0]))
        tcflush(bus->links[0].io.fd, TCOFLUSH);
}

static void on_failed(void *data, const char *why)
{
    struct bus *bus = data;
    if (trouble_begins(&bus->trouble, clock_now()))
        log_warn("%s: %s: %s; trying again", bus->title, bus->config->port, why);
    bus->open = false;
    backoff_grow(&bus->pause_s, FIRST_PAUSE_S, LONGEST_PAUSE_S);
    timer_restart(bus->loop, &bus->retry, bus->pause_s);
}

static void report_open(struct bus *bus)
{
    double lasted_s;
    bus->open = true;
    bus->pause_s = 0;
    if (trouble_ends(&bus->trouble, clock_now(), &lasted_s))
        log_info("%s: %s: open again after %.0f s", bus->title, bus->config->port, lasted_s);
}

/* Starts the timer: on_quiet is called after `silence_s`; 0 stops it. */
static void await_quiet(const struct bus *bus, double silence_s)
{
    const struct itimerspec once = {.it_value.tv_nsec = (long) (silence_s * 1e9)};
    if (bus->quiet.fd >= 0)
        timerfd_settime(bus->quiet.fd, 0, &once, NULL);
}

/* The descriptor of a serial port belongs to the port. */
static void close_link(struct bus_link *link)
{
    struct bus *bus = link->bus;
    if (!in_use(link))
        return;
    ev_io_stop(bus->loop, &link->io);
    await_quiet(bus, 0);
    if (bus->kind != BUS_SERIAL)
        close(link->io.fd);
    link->io.fd = -1;
    if (bus->events->gone)
        bus->events->gone(bus->data, link);
}

static void end_link(struct bus_link *link, const char *why)
{
    if (bus_is_shared(link)) {
        close_link(&link->bus->links[0]);
        if (link->bus->port)
            port_close(link->bus->port);
        on_failed(link->bus, why);
    } else {
        close_link(link);
    }
}

/* What was received in a turn that became late may be of any age: the next turn discards it. */
static void pass_bytes(struct bus_link *link, bool quiet)
{
    struct bus *bus = link->bus;
    const double now = clock_now();
    if (late_turn_is_on(bus->loop, now))
        return;
    const size_t over = bus->events->heard(bus->data, link, link->bytes, link->size, quiet, now);
    if (link->broken) {
        end_link(link, "it accepts no data");
        return;
    }
    link->size -= over;
    memmove(link->bytes, link->bytes + over, link->size);
    if (link->size == sizeof link->bytes)
        link->size = 0;
}

/* If bytes have arrived in the meantime, they have restarted the timer, and there is nothing to read. */
static void on_quiet(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bus *bus = io->data;
    struct bus_link *link = &bus->links[0];
    uint64_t expired;
    if (read(io->fd, &expired, sizeof expired) == sizeof expired && link->size > 0)
        pass_bytes(link, true);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bus_link *link = io->data;
    /* Discards an incomplete request if more bytes arrive only much later. */
    const double now = clock_now();
    if (now - link->heard_at > LATE_TURN_S)
        link->size = 0;
    link->heard_at = now;
    uint8_t *behind = link->bytes + link->size;
    const size_t room = sizeof link->bytes - link->size;
    bool own = false;
    const ssize_t n = link->bus->kind == BUS_CAN ? can_socket_read(io->fd, behind, room, &own)
                                                 : read(io->fd, behind, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_link(link, n < 0 ? strerror(errno) : "it is gone");
        return;
    }
    if (own) {
        if (link->bus->events->confirmed)
            link->bus->events->confirmed(link->bus->data, link->bus, now);
        return;
    }
    link->size += (size_t) n;
    if (link->bus->kind == BUS_SERIAL)
        await_quiet(link->bus, rtu_silence_s(link->bus->config->baud, link->bus->config->framing));
    pass_bytes(link, false);
}

static void open_link(struct bus_link *link, int fd)
{
    link->broken = false;
    link->size = 0;
    link->heard_at = clock_now();
    ev_io_set(&link->io, fd, EV_READ);
    ev_io_start(link->bus->loop, &link->io);
    if (link->bus->events->opened)
        link->bus->events->opened(link->bus->data, link);
}

void bus_send(struct bus_link *link, const uint8_t *bytes, size_t size)
{
    if (!in_use(link))
        return;
    if (link->bus->kind == BUS_LISTENS)
        link->broken |= send(link->io.fd, bytes, size, MSG_NOSIGNAL) != (ssize_t) size;
    else if (link->bus->kind == BUS_CAN)
        link->broken |=
            !can_socket_write(link->io.fd, bytes, size) && errno != EAGAIN && errno != ENOBUFS;
    /* Otherwise the rest of a partly accepted answer would be sent later, before the next one. */
    else if (write(link->io.fd, bytes, size) != (ssize_t) size)
        tcflush(link->io.fd, TCOFLUSH);
}

bool bus_send_all(struct bus *bus, const uint8_t *bytes, size_t size)
{
    bool sent = false;
    for (struct bus_link *link = bus->links; link < bus->links + BUS_CLIENTS; link++) {
        if (!in_use(link))
            continue;
        sent = true;
        bus_send(link, bytes, size);
        if (link->broken)
            end_link(link, "it accepts no data");
    }
    return sent;
}

static void on_opened(void *data, int fd)
{
    struct bus *bus = data;
    report_open(bus);
    open_link(&bus->links[0], fd);
}

static void on_accepted(void *data, int fd, const struct sockaddr_storage *address)
{
    struct bus *bus = data;
    char text[ADDRESS_TEXT];
    if (!allow_contains(&bus->config->allow, (const struct sockaddr *) address)) {
        log_debug("%s: client %s refused: its address is not in `allow`", bus->title,
                  address_format((const struct sockaddr *) address, text));
        close(fd);
        return;
    }
    /* A free place, or that of the longest idle one. */
    struct bus_link *place = &bus->links[0];
    for (struct bus_link *link = bus->links; in_use(place) && link < bus->links + BUS_CLIENTS;
         link++)
        if (!in_use(link) || link->heard_at < place->heard_at)
            place = link;
    close_link(place);
    place->address = *address;
    open_link(place, fd);
}

static void open_bus_port(struct bus *bus)
{
    if (bus->kind == BUS_SERIAL) {
        port_open(bus->port);
    } else if (bus->kind == BUS_CAN) {
        const int fd = can_socket_open(bus->config->port + strlen("can:"));
        if (fd >= 0)
            on_opened(bus, fd);
        else
            on_failed(bus, strerror(errno));
    } else {
        struct listen_list list = {.count = 1};
        snprintf(list.at[0], sizeof list.at[0], "%s", bus->config->port + strlen("tcp-listen:"));
        if (listeners_open(&bus->listeners, bus->loop, &list, bus->title, on_accepted, bus) < 0) {
            on_failed(bus, "cannot listen there");
            return;
        }
        report_open(bus);
        log_info("%s: listening on port %u", bus->title, listeners_port(&bus->listeners, 0));
    }
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
    open_bus_port(timer->data);
}

static void on_late_turn(void *data, double since, double now)
{
    struct bus *bus = data;
    if (bus->kind == BUS_SERIAL && in_use(&bus->links[0]))
        tcflush(bus->links[0].io.fd, TCIFLUSH);
    if (bus->kind != BUS_LISTENS) {
        bus->links[0].size = 0;
        return;
    }
    for (struct bus_link *link = bus->links; link < bus->links + BUS_CLIENTS; link++)
        close_link(link);
    listeners_turn_away(&bus->listeners);
}

struct bus *bus_new(struct ev_loop *loop, const struct present_config *config, const char *title,
                    const struct bus_events *events, void *data)
{
    struct bus *bus = alloc_zeroed(1, sizeof *bus);
    bus->loop = loop;
    bus->config = config;
    bus->title = title;
    bus->events = events;
    bus->data = data;
    for (struct bus_link *link = bus->links; link < bus->links + BUS_CLIENTS; link++) {
        link->bus = bus;
        ev_io_init(&link->io, on_readable, -1, EV_READ);
        link->io.data = link;
    }
    ev_io_init(&bus->quiet, on_quiet, -1, EV_READ);
    bus->quiet.data = bus;
    ev_timer_init(&bus->retry, on_retry, 0, 0);
    bus->retry.data = bus;
    bus->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = bus};
    bus->kind = strncmp(config->port, "serial:", 7) == 0 ? BUS_SERIAL
                : strncmp(config->port, "can:", 4) == 0  ? BUS_CAN
                                                         : BUS_LISTENS;
    late_turn_watch(loop, &bus->watcher);
    if (bus->kind == BUS_SERIAL) {
        static const struct port_events of_port = {.opened = on_opened, .failed = on_failed};
        struct port_settings settings = {.baud = config->baud, .rts = (enum rts_mode) config->rts};
        memcpy(settings.framing, config->framing, sizeof settings.framing);
        const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (timer < 0)
            return NULL;
        ev_io_set(&bus->quiet, timer, EV_READ);
        ev_io_start(loop, &bus->quiet);
        bus->port = port_new(loop, config->port, &settings, NULL, &of_port, bus);
        if (!bus->port)
            return NULL;
    }
    open_bus_port(bus);
    return bus;
}
