// SPDX-License-Identifier: MIT
#include "line.h"

#include "asker.h"
#include "hear/hearer.h"
#include "lender.h"
#include "turns.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/late_turn.h"

#include <math.h>

struct line {
    struct line_events events;
    struct wire wire;
    struct turns turns;
    struct asker asker;
    struct lender lender;
    struct hearer hearer;
    struct late_turn_watcher late_turn;
    struct line_tap tap; /* of the creator of the line */
    bool hears;          /* we send no requests */
};

static bool is_busy(const struct line *line)
{
    return line->asker.asking || line->lender.lent;
}

/* Nothing is under way: lends the line, or sends the next request, or waits until one is due. */
static void advance(struct line *line, double now)
{
    struct asker *asker = &line->asker;
    while (line->wire.facts.state == LINE_IS_OPEN && !is_busy(line)) {
        const double lend_at = lender_next_at(&line->lender, now);
        const double next = fmin(lend_at, asker_next_due(asker, now));
        if (next > now) {
            asker->wanted_at = NAN;
            wire_wait(&line->wire, next, now);
            return;
        }
        if (!asker_is_ready(asker, now))
            return;
        if (lend_at <= now && !order_queue_next(&asker->orders))
            lender_begin(&line->lender, now);
        else
            asker_ask(asker, now);
    }
}

/* Continues once nothing is under way. A line that is not polled is lent with an open end only. `asked`: an exchange
 * of a poll or an order may just be over: its time counts for the packs. */
static void go_on(struct line *line, bool asked, double now)
{
    if (is_busy(line))
        return;
    if (asked)
        line->lender.owed_s -= now - line->asker.flight.asked_at;
    if (!line->hears)
        advance(line, now);
    else if (!TAILQ_EMPTY(&line->lender.queue) && line->wire.facts.state == LINE_IS_OPEN)
        lender_begin(&line->lender, now);
    else
        hearer_due(&line->hearer, now);
}

static void on_opened(void *data, bool away, double now)
{
    struct line *line = data;
    if (line->hears)
        hearer_opened(&line->hearer, now);
    else
        asker_opened(&line->asker, away, now);
    for (unsigned i = 0; i < line->turns.count; i++) {
        struct member *member = &line->turns.list[i];
        member->poller->counters.reconnects += line->wire.facts.openings > 1;
        member->missing_since = NAN;
        if (away)
            poller_reset(member->poller, now);
    }
    if (!line->hears)
        advance(line, now);
}

static void on_received(void *data, const uint8_t *bytes, size_t size, double now)
{
    struct line *line = data;
    const bool was_asking = line->asker.asking;
    if (line->turns.count == 1) /* of several it is not known which pack it was */
        line->turns.list[0].poller->presence.vain_since = NAN;
    if (line->lender.lent)
        lender_received(&line->lender, bytes, size, now);
    else if (line->hears)
        hearer_received(&line->hearer, bytes, size, now);
    else
        asker_received(&line->asker, bytes, size, now);
    if (was_asking)
        go_on(line, was_asking, now);
}

static void on_due(void *data, double now)
{
    struct line *line = data;
    const bool was_asking = line->asker.asking;
    if (line->lender.lent)
        lender_due(&line->lender, now);
    else if (was_asking)
        asker_due(&line->asker, now);
    go_on(line, was_asking, now);
}

static double next_due(void *data, double now)
{
    const struct line *line = data;
    return line->hears || line->lender.lent ? now : asker_next_due(&line->asker, now);
}

static void on_closed(void *data, double now)
{
    struct line *line = data;
    lender_closed(&line->lender, now);
    asker_closed(&line->asker, now);
}

static bool on_down(void *data, const char *why, double now)
{
    struct line *line = data;
    asker_end_orders(&line->asker, now);
    lender_refuse(&line->lender);
    if (line->events.down)
        line->events.down(line->turns.data, why);
    return line->events.down != NULL;
}

/* The process was stopped, or the host slept: orders are too old. */
static void on_late_turn(void *data, double since, double now)
{
    struct line *line = data;
    asker_end_orders(&line->asker, now);
}

static void make_wire(struct line *line, struct ev_loop *loop, const struct line_config *config)
{
    static const struct wire_events events = {.opened = on_opened,
                                              .received = on_received,
                                              .due = on_due,
                                              .next_due = next_due,
                                              .closed = on_closed,
                                              .down = on_down};
    const struct turns *turns = &line->turns;
    struct bms *simulated = alloc_zeroed(turns->count, sizeof *simulated);
    for (unsigned i = 0; i < turns->count; i++)
        simulated[i] = turns->list[i].poller->bms;
    wire_init(&line->wire, loop, config, turns->list[0].poller->config->driver,
              &(struct port_simulated){simulated, turns->count}, &events, line);
    free(simulated);
}

struct line *line_new(struct ev_loop *loop, const struct line_config *config,
                      struct poller **pollers, unsigned count, const struct line_events *events,
                      void *data)
{
    struct line *line = alloc_zeroed(1, sizeof *line);
    line->events = *events;
    turns_init(&line->turns, &line->wire, pollers, count);
    make_wire(line, loop, config);
    line->turns.events = &line->events;
    line->turns.data = data;
    line->late_turn = (struct late_turn_watcher){.late = on_late_turn, .data = line};
    late_turn_watch(loop, &line->late_turn);
    line->tap = (struct line_tap){.passed = events->passed, .data = data};
    if (events->passed)
        line_watch(line, &line->tap);
    line->hears = config->listen || bms_talks(pollers[0]->config->driver);
    asker_init(&line->asker, &line->wire, &line->turns);
    lender_init(&line->lender, &line->asker);
    if (line->hears)
        hearer_init(&line->hearer, &line->turns);
    return line;
}

void line_follow(struct line *line, const struct line *old)
{
    for (unsigned i = 0; i < line->turns.count; i++)
        ledger_inherit(&line->asker.ledger, &old->asker.ledger, line->turns.list[i].poller);
}

void line_free(struct line *line)
{
    if (!line)
        return;
    const double now = clock_now();
    late_turn_unwatch(line->wire.loop, &line->late_turn);
    asker_end_orders(&line->asker, now);
    lender_closed(&line->lender, now);
    lender_refuse(&line->lender);
    wire_free(&line->wire);
    listener_free(line->hearer.listener);
    turns_close(&line->turns);
    free(line);
}

void line_start(struct line *line)
{
    if (!(line->wire.health.started_at > 0))
        wire_start(&line->wire, clock_now());
}

/* From the loop: no callback is called from within, and an exchange under way ends first. */
static void hurry(struct line *line)
{
    const double now = clock_now();
    if (!is_busy(line))
        wire_hurry(&line->wire, now);
}

static bool is_down(const struct line *line)
{
    return line->wire.facts.state != LINE_IS_OPEN && line->wire.health.backoff_s > 0;
}

bool line_order(struct line *line, struct order *order)
{
    if (line->wire.config->listen || is_down(line))
        return false;
    order->queued_at = clock_now();
    TAILQ_INSERT_TAIL(&line->asker.orders, order, entry);
    hurry(line);
    return true;
}

bool line_lend(struct line *line, struct loan *loan)
{
    if (line->wire.config->listen || (line->hears && !loan->open_end) || is_down(line))
        return false;
    TAILQ_INSERT_TAIL(&line->lender.queue, loan, entry);
    hurry(line);
    return true;
}

bool line_pass(struct line *line, const struct loan *loan, const uint8_t *bytes, size_t size)
{
    return lender_pass(&line->lender, loan, bytes, size, clock_now());
}

void line_take_back(struct line *line, struct loan *loan)
{
    lender_take_back(&line->lender, loan, clock_now());
}

void line_rebind(struct line *line, const struct line_config *config)
{
    line->wire.config = config;
}

bool line_is_open(const struct line *line)
{
    return line && line->wire.facts.state == LINE_IS_OPEN;
}

void line_watch(struct line *line, struct line_tap *tap)
{
    TAILQ_INSERT_TAIL(&line->wire.taps, tap, entry);
}

void line_unwatch(struct line *line, struct line_tap *tap)
{
    TAILQ_REMOVE(&line->wire.taps, tap, entry);
}

struct line_facts line_facts(const struct line *line)
{
    struct line_facts facts = line->wire.facts;
    facts.since = isnan(facts.since) ? line->wire.health.started_at : facts.since;
    facts.signal_dbm = port_signal_dbm(line->wire.port);
    return facts;
}

const char *line_protocol(const struct line *line)
{
    return line->turns.list[0].poller->config->driver->name;
}
