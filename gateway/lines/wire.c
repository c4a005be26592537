// SPDX-License-Identifier: MIT
#include "wire.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define BACKOFF_FIRST_S 0.5
#define BACKOFF_MOST_S 30.0
#define AWAY_S 5.0       /* after longer than this: warn, and expect another device */
#define PAUSE_S 0.025    /* after a read of a longest frame; 174 kB/s is more than any wire has */
#define READS_AT_ONCE 16 /* of a longest frame; more than a serial port's buffer holds */

/* Passes bytes that may be shown to the log and to observers. */
static void show(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct wire *wire = data;
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        char prefix[NAME_SIZE + 16];
        snprintf(prefix, sizeof prefix, "line %s: %c", wire->config->name, direction);
        if (direction == '#')
            log_debug("%s %zu bytes of no whole frame are not shown", prefix, size);
        else
            log_frame(prefix, bytes, size);
    }
    struct line_tap *tap, *next;
    for (tap = TAILQ_FIRST(&wire->taps); tap; tap = next) {
        next = TAILQ_NEXT(tap, entry);
        tap->passed(tap->data, direction, bytes, size);
    }
}

void wire_wait(struct wire *wire, double at, double now)
{
    if (wire->facts.state == LINE_IS_OPEN)
        timer_restart(wire->loop, &wire->timer, fmax(at - now, 0));
}

void wire_hurry(struct wire *wire, double now)
{
    if (wire->facts.state == LINE_IS_OPEN ||
        (wire->facts.state == LINE_IS_CLOSED && wire->health.started_at > 0))
        timer_restart(wire->loop, &wire->timer, 0);
}

static void open_port(struct wire *wire)
{
    wire->facts.state = LINE_IS_OPENING;
    port_open(wire->port);
}

static void on_opened(void *data, int fd)
{
    struct wire *wire = data;
    const double now = clock_now();
    const bool away = now - wire->health.lost_at > AWAY_S;
    wire->fd = fd;
    wire->facts.state = LINE_IS_OPEN;
    wire->health.asked = false;
    wire->health.unheard_since = NAN;
    wire->facts.since = now;
    wire->facts.openings++;
    log_debug("line %s: %s is open", wire->config->name, wire->config->port);
    ev_io_set(&wire->readable, fd, EV_READ);
    ev_io_start(wire->loop, &wire->readable);
    wire->events->opened(wire->data, away, now);
}

static void on_failed(void *data, const char *why)
{
    wire_lose(data, why, clock_now());
}

/* Without a useful answer the pauses grow. A port that worked a moment ago may have been closed
 * because of a request that its pack does not know. */
static void go_down(struct wire *wire, const char *why, double now)
{
    struct wire_health *health = &wire->health;
    const bool worked = now - health->worked_at < AWAY_S;
    if (worked)
        health->backoff_s = 0;
    backoff_grow(&health->backoff_s, BACKOFF_FIRST_S, BACKOFF_MOST_S);
    if (wire->events->down(wire->data, why, now) || health->reported_down || worked) {
        log_debug("line %s: %s", wire->config->name, why);
    } else {
        log_warn("line %s: %s: %s; trying again, at least every %.0f s", wire->config->name,
                 wire->config->port, why, BACKOFF_MOST_S);
        health->reported_down = true;
    }
    snprintf(wire->facts.trouble, sizeof wire->facts.trouble, "%s", why);
    wire->facts.trouble_at = now;
    wire->facts.troubles++;
}

static void stop_receiving(struct wire *wire)
{
    ev_io_stop(wire->loop, &wire->readable);
    ev_timer_stop(wire->loop, &wire->pause);
}

void wire_lose(struct wire *wire, const char *why, double now)
{
    struct wire_health *health = &wire->health;
    const bool was_open = wire->facts.state == LINE_IS_OPEN;
    /* The line was idle: some serial servers close idle connections. */
    const double next = was_open && !health->asked ? wire->events->next_due(wire->data, now) : now;
    const bool idle = next > now;
    if (was_open) {
        stop_receiving(wire);
        port_close(wire->port);
        wire->fd = -1;
        wire->facts.since = now;
    }
    /* NaN: it was closed when idle, or never open. */
    if (was_open || isnan(health->lost_at))
        health->lost_at = idle ? NAN : now;
    wire->facts.state = LINE_IS_CLOSED;
    wire->events->closed(wire->data, now);
    if (idle) {
        log_debug("line %s: %s", wire->config->name, why);
        timer_restart(wire->loop, &wire->timer, fmax(BACKOFF_FIRST_S, next - now));
        return;
    }
    /* Some serial servers close after each reply: these are opened again at once, also for orders. */
    if (health->answered)
        health->backoff_s = 0;
    else
        go_down(wire, why, now);
    health->answered = false;
    timer_restart(wire->loop, &wire->timer, health->backoff_s);
}

void wire_reopen(struct wire *wire, const char *why, double now)
{
    wire->health.answered = true; /* no fault of the port's */
    wire_lose(wire, why, now);
}

bool wire_send(struct wire *wire, const uint8_t *bytes, size_t size, const uint8_t *shown,
               double now)
{
    show(wire, '>', shown, size);
    wire->health.asked = true;
    if (isnan(wire->health.unheard_since))
        wire->health.unheard_since = now;
    /* Where another master polls, nothing is ever written. */
    const ssize_t sent = wire->config->listen ? -1 : write(wire->fd, bytes, size);
    wire->facts.sent += sent > 0 ? (size_t) sent : 0;
    return sent == (ssize_t) size;
}

/* As read(2). */
static ssize_t receive(struct wire *wire)
{
    uint8_t bytes[BMS_FRAME_MAX];
    errno = 0;
    const ssize_t size = read(wire->fd, bytes, sizeof bytes);
    if (size > 0) {
        wire->facts.received += (size_t) size;
        wire->health.unheard_since = NAN;
        wire->events->received(wire->data, bytes, (size_t) size, clock_now());
    }
    return size;
}

/* False: the port was lost, by the far end or an error. */
static bool judge(struct wire *wire, ssize_t size, double now)
{
    const bool lost = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (lost)
        wire_lose(wire, size < 0 ? strerror(errno) : "closed by the far end", now);
    return !lost;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct wire *wire = io->data;
    const ssize_t size = receive(wire);
    if (!judge(wire, size, clock_now()) || size < BMS_FRAME_MAX || wire->fd < 0)
        return;
    ev_io_stop(loop, io);
    timer_restart(loop, &wire->pause, PAUSE_S);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct wire *wire = timer->data;
    ev_io_start(loop, &wire->readable);
}

bool wire_receive(struct wire *wire, double now)
{
    ssize_t size = BMS_FRAME_MAX;
    for (unsigned i = 0; i < READS_AT_ONCE && size > 0 && wire->fd >= 0; i++)
        size = receive(wire);
    return wire->fd >= 0 && judge(wire, size, now);
}

bool wire_answered(struct wire *wire, double now)
{
    struct wire_health *health = &wire->health;
    const bool away = !(now - health->worked_at <= AWAY_S);
    health->answered = true;
    health->worked_at = now;
    health->backoff_s = 0;
    if (health->reported_down)
        log_info("line %s: %s works again", wire->config->name, wire->config->port);
    health->reported_down = false;
    return away;
}

bool wire_is_deaf(const struct wire *wire, double now)
{
    return now - wire->health.unheard_since > BACKOFF_MOST_S;
}

double wire_s(const struct wire *wire, size_t bytes)
{
    return (double) bytes * 10.0 / wire->baud;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct wire *wire = timer->data;
    if (wire->facts.state == LINE_IS_CLOSED)
        open_port(wire);
    else
        wire->events->due(wire->data, clock_now());
}

void wire_init(struct wire *wire, struct ev_loop *loop, const struct line_config *config,
               const struct bms_driver *driver, const struct port_simulated *simulated,
               const struct wire_events *events, void *data)
{
    static const struct port_events port_events = {.opened = on_opened, .failed = on_failed};
    /* The line's own settings, else the usual ones of its first pack's protocol. */
    struct port_settings settings = {.baud = config->baud ? config->baud : driver->line.baud,
                                     .rts = config->rts,
                                     .listen = config->listen,
                                     .advertises = driver->advertises};
    snprintf(settings.framing, sizeof settings.framing, "%s",
             config->framing[0] ? config->framing : BMS_FRAMING);
    snprintf(settings.key_file, sizeof settings.key_file, "%s", config->key_file);
    *wire = (struct wire){.config = config, .events = events, .data = data, .loop = loop, .fd = -1};
    wire->baud = settings.baud;
    wire->health.worked_at = wire->health.lost_at = wire->health.unheard_since = NAN;
    wire->facts.since = wire->facts.trouble_at = NAN;
    TAILQ_INIT(&wire->taps);
    mask_init(&wire->mask, show, wire);
    /* Before timers due in the same turn of the loop: what arrived in time counts, however late the loop is. */
    ev_init(&wire->readable, on_readable);
    ev_set_priority(&wire->readable, 1);
    ev_init(&wire->pause, on_pause_over);
    ev_init(&wire->timer, on_timer);
    wire->readable.data = wire->pause.data = wire->timer.data = wire;
    wire->port =
        alloc_checked(port_new(loop, config->port, &settings, simulated, &port_events, wire));
}

void wire_free(struct wire *wire)
{
    for (struct line_tap *tap; (tap = TAILQ_FIRST(&wire->taps));) {
        TAILQ_REMOVE(&wire->taps, tap, entry);
        if (tap->gone)
            tap->gone(tap->data);
    }
    stop_receiving(wire);
    ev_timer_stop(wire->loop, &wire->timer);
    port_free(wire->port);
}

void wire_start(struct wire *wire, double now)
{
    wire->health.started_at = now;
    open_port(wire);
}
