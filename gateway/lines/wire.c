// SPDX-License-Identifier: MIT
/* The life of a line's port. */
#include "wire.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define BACKOFF_FIRST_S 0.5
#define BACKOFF_MOST_S 30.0
#define AWAY_S 5.0 /* after longer than this: warn, and expect another device */

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

static void set_timer(struct wire *wire, double at, double now)
{
    struct ev_loop *loop = wire->intake.loop;
    ev_timer_stop(loop, &wire->timer);
    ev_timer_set(&wire->timer, fmax(at - now, 0), 0);
    ev_timer_start(loop, &wire->timer);
}

void wire_wait(struct wire *wire, double at, double now)
{
    if (wire->facts.state == LINE_IS_OPEN)
        set_timer(wire, at, now);
}

void wire_hurry(struct wire *wire, double now)
{
    if (wire->facts.state == LINE_IS_OPEN ||
        (wire->facts.state == LINE_IS_CLOSED && wire->health.started_at > 0))
        set_timer(wire, now, now);
}

/* ---- opened and lost ---- */

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
    wire->fd = wire->config->listen ? -1 : fd; /* what is written goes nowhere */
    wire->facts.state = LINE_IS_OPEN;
    wire->health.asked = false;
    wire->health.unheard_since = NAN;
    wire->facts.since = now;
    wire->facts.openings++;
    log_debug("line %s: %s is open", wire->config->name, wire->config->port);
    intake_start(&wire->intake, fd);
    wire->events->opened(wire->data, away, now);
    wire->health.opened = true;
}

static void on_failed(void *data, const char *why)
{
    wire_lose(data, why, clock_now());
}

static void report_down(struct wire *wire, const char *why, double now)
{
    struct wire_health *health = &wire->health;
    if (!health->reported_down && !(now - health->worked_at < AWAY_S)) {
        log_warn("line %s: %s: %s; trying again, at least every %.0f s", wire->config->name,
                 wire->config->port, why, BACKOFF_MOST_S);
        health->reported_down = true;
    } else {
        log_debug("line %s: %s", wire->config->name, why);
    }
}

/* Without a useful answer the pauses grow. A port that worked a moment ago may have been closed
 * because of a request that its pack does not know. */
static void go_down(struct wire *wire, const char *why, double now)
{
    struct wire_health *health = &wire->health;
    if (now - health->worked_at < AWAY_S)
        health->backoff_s = 0;
    backoff_grow(&health->backoff_s, BACKOFF_FIRST_S, BACKOFF_MOST_S);
    if (!wire->events->down(wire->data, why, now))
        report_down(wire, why, now);
    snprintf(wire->facts.trouble, sizeof wire->facts.trouble, "%s", why);
    wire->facts.trouble_at = now;
    wire->facts.troubles++;
}

static void close_port(struct wire *wire, double now)
{
    intake_stop(&wire->intake);
    port_close(wire->port);
    wire->fd = -1;
    wire->facts.since = now;
}

void wire_lose(struct wire *wire, const char *why, double now)
{
    struct wire_health *health = &wire->health;
    const bool was_open = wire->facts.state == LINE_IS_OPEN;
    /* The line was idle: some serial servers close idle connections. */
    const double next = was_open && !health->asked ? wire->events->next_due(wire->data, now) : now;
    const bool idle = next > now;
    if (was_open)
        close_port(wire, now);
    /* NaN: it was closed when idle, or never open. */
    if (was_open || isnan(health->lost_at))
        health->lost_at = idle ? NAN : now;
    wire->facts.state = LINE_IS_CLOSED;
    wire->events->closed(wire->data, now);
    if (idle) {
        log_debug("line %s: %s", wire->config->name, why);
        set_timer(wire, fmax(now + BACKOFF_FIRST_S, next), now);
        return;
    }
    /* Some serial servers close after each reply: these are opened again at once, also for orders. */
    if (health->answered)
        health->backoff_s = 0;
    else
        go_down(wire, why, now);
    health->answered = false;
    set_timer(wire, now + health->backoff_s, now);
}

void wire_reopen(struct wire *wire, const char *why, double now)
{
    wire->health.answered = true; /* no fault of the port's */
    wire_lose(wire, why, now);
}

/* ---- bytes ---- */

bool wire_send(struct wire *wire, const uint8_t *bytes, size_t size, const uint8_t *shown,
               double now)
{
    show(wire, '>', shown, size);
    wire->health.asked = true;
    if (isnan(wire->health.unheard_since))
        wire->health.unheard_since = now;
    const ssize_t sent = write(wire->fd, bytes, size);
    wire->facts.sent += sent > 0 ? (size_t) sent : 0;
    return sent == (ssize_t) size;
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct wire *wire = data;
    wire->facts.received += size;
    wire->health.unheard_since = NAN;
    wire->events->received(wire->data, bytes, size, clock_now());
}

static void on_ended(void *data, const char *why)
{
    wire_lose(data, why, clock_now());
}

bool wire_receive(struct wire *wire, double now)
{
    if (intake_receive(&wire->intake))
        return wire->facts.state == LINE_IS_OPEN;
    wire_lose(wire, errno ? strerror(errno) : "closed by the far end", now);
    return false;
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

/* ---- life ---- */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct wire *wire = timer->data;
    if (wire->facts.state == LINE_IS_CLOSED)
        open_port(wire);
    else
        wire->events->due(wire->data, clock_now());
}

/* The line's own settings, else the usual ones of its first pack's protocol. */
static struct port_settings choose_settings(const struct line_config *config,
                                            const struct bms_driver *driver)
{
    const struct bms_line *usual = &driver->line;
    struct port_settings settings = {.baud = config->baud ? config->baud : usual->baud,
                                     .rts = config->rts,
                                     .listen = config->listen,
                                     .advertises = driver->advertises};
    snprintf(settings.framing, sizeof settings.framing, "%s",
             config->framing[0] ? config->framing : usual->framing);
    snprintf(settings.key_file, sizeof settings.key_file, "%s", config->key_file);
    return settings;
}

bool wire_init(struct wire *wire, struct ev_loop *loop, const struct line_config *config,
               const struct bms_driver *driver, const struct port_simulated *simulated,
               const struct wire_events *events, void *data)
{
    static const struct intake_events intake_events = {.received = on_received, .ended = on_ended};
    static const struct port_events port_events = {.opened = on_opened, .failed = on_failed};
    const struct port_settings settings = choose_settings(config, driver);
    *wire = (struct wire){.config = config, .events = events, .data = data, .fd = -1};
    wire->baud = settings.baud;
    wire->health.worked_at = wire->health.lost_at = wire->health.unheard_since = NAN;
    wire->facts.since = wire->facts.trouble_at = NAN;
    TAILQ_INIT(&wire->taps);
    mask_init(&wire->mask, show, wire);
    intake_init(&wire->intake, loop, &intake_events, wire);
    ev_init(&wire->timer, on_timer);
    wire->timer.data = wire;
    wire->port = port_new(loop, config->port, &settings, simulated, &port_events, wire);
    return wire->port != NULL;
}

void wire_free(struct wire *wire)
{
    for (struct line_tap *tap; (tap = TAILQ_FIRST(&wire->taps));) {
        TAILQ_REMOVE(&wire->taps, tap, entry);
        if (tap->gone)
            tap->gone(tap->data);
    }
    intake_stop(&wire->intake);
    ev_timer_stop(wire->intake.loop, &wire->timer);
    port_free(wire->port);
}

void wire_start(struct wire *wire, double now)
{
    wire->health.started_at = now;
    open_port(wire);
}

struct line_facts wire_facts(const struct wire *wire)
{
    struct line_facts facts = wire->facts;
    facts.since = isnan(facts.since) ? wire->health.started_at : facts.since;
    facts.signal_dbm = port_signal_dbm(wire->port);
    return facts;
}
