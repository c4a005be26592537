// SPDX-License-Identifier: MIT
/*
 * A line that is polled and lent at the same time: another program sends five requests a second,
 * and no pack's values get older than three of its intervals. With every polled driver, with one
 * pack and three, of which one may be dead, on a test-controlled clock, so that the load of the
 * machine does not matter.
 *
 * tests/run: 20 s
 */
#include "lines/line.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "turned_clock.h"

#define PACKS_MOST 3
#define DEAD 6
#define ASK_EACH_S 0.2
#define LOOK_S 0.05
#define SETTLING_S 30.0
#define RUN_S 120.0
#define INTERVALS 3

struct bench {
    struct ev_loop *loop;
    struct line_config line_config;
    struct pack_config packs[1 + DEAD];
    struct poller *pollers[1 + DEAD];
    unsigned count, alive;
    struct line *line;
    ev_timer looking, asking;
    struct loan loan;
    bool lent; /* the program waits for its answer */
    unsigned asked, answered;
    double oldest_s, counts_from;
};

static void on_published(void *data, struct poller *poller, double now)
{
}

static void on_down(void *data, const char *why)
{
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    const double now = clock_now();
    for (unsigned i = 0; now >= bench->counts_from && i < bench->alive; i++)
        bench->oldest_s = isnan(bench->pollers[i]->published_at)
                              ? INFINITY
                              : fmax(bench->oldest_s, now - bench->pollers[i]->published_at);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
}

static void on_done(void *data, enum loan_result result)
{
    struct bench *bench = data;
    bench->lent = false;
    bench->answered += result == LOAN_ANSWERED;
}

/* The program sends the protocol's vital requests. */
static void on_ask(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    struct bms bms = bench->pollers[0]->bms;
    struct bms_request request = {.size = 0};
    unsigned vital = 0;
    while (!bms.driver->plan[vital].vital)
        vital++;
    if (bench->lent || !bms.driver->build(&bms, vital, &request))
        return;
    bench->loan = (struct loan){.size = request.size,
                                .received = on_received,
                                .done = on_done,
                                .data = bench,
                                .queued_at = clock_now()};
    memcpy(bench->loan.bytes, request.bytes, request.size);
    bench->lent = line_lend(bench->line, &bench->loan);
    bench->asked += bench->lent;
}

static void open_bench(struct bench *bench, const struct bms_driver *driver, unsigned count,
                       unsigned alive, double interval_s, bool shared)
{
    static const struct line_events events = {
        .published = on_published, .missed = on_published, .down = on_down};
    *bench = (struct bench){.loop = ev_default_loop(0), .count = count, .alive = alive};
    bench->line_config = (struct line_config){.name = "line"};
    snprintf(bench->line_config.port, sizeof bench->line_config.port,
             "sim:profile=fixed,delay=30,cells=10,baud=%u", driver->line.baud);
    for (unsigned i = 0; i < count; i++) {
        bench->packs[i] =
            (struct pack_config){.line = &bench->line_config,
                                 .driver = driver,
                                 .options = {.address = driver->address.usual + (int) i, .adr = -1},
                                 .poll_s = interval_s,
                                 .stale_after_s = 10 * interval_s};
        snprintf(bench->packs[i].name, sizeof bench->packs[i].name, "%s-%u", driver->name, i);
        bench->pollers[i] = poller_new(&bench->packs[i]);
        assert_non_null(bench->pollers[i]);
    }
    bench->line = line_new(bench->loop, &bench->line_config, bench->pollers, count, &events, bench);
    assert_non_null(bench->line);
    for (unsigned i = alive; i < count; i++) /* the emulated packs have their addresses already */
        bench->pollers[i]->bms.options.address += 1 + DEAD;
    ev_timer_init(&bench->looking, on_look, LOOK_S, LOOK_S);
    ev_timer_init(&bench->asking, on_ask, ASK_EACH_S, ASK_EACH_S);
    bench->looking.data = bench->asking.data = bench;
    line_start(bench->line);
    ev_now_update(bench->loop);
    ev_timer_start(bench->loop, &bench->looking);
    if (shared)
        ev_timer_start(bench->loop, &bench->asking);
    bench->counts_from = clock_now() + SETTLING_S;
}

static void close_bench(struct bench *bench)
{
    ev_timer_stop(bench->loop, &bench->looking);
    ev_timer_stop(bench->loop, &bench->asking);
    if (bench->lent)
        line_take_back(bench->line, &bench->loan);
    line_free(bench->line);
    for (unsigned i = 0; i < bench->count; i++)
        poller_free(bench->pollers[i]);
}

/* The highest age of values. */
static double run(const struct bms_driver *driver, unsigned count, unsigned alive,
                  double interval_s, bool shared, double *per_second)
{
    struct bench bench;
    open_bench(&bench, driver, count, alive, interval_s, shared);
    while (clock_now() < bench.counts_from + RUN_S)
        ev_run(bench.loop, EVRUN_ONCE);
    *per_second = bench.answered / (SETTLING_S + RUN_S);
    close_bench(&bench);
    return bench.oldest_s;
}

/* If a round of all packs takes longer than a second, as on slow boards, the interval is one that the line can keep
 * without the program. */
static void check_driver(const struct bms_driver *driver, unsigned count, unsigned alive,
                         unsigned *wrong)
{
    double interval_s = 0.5, alone_s, none, per_second;
    do {
        interval_s *= 2;
        alone_s = run(driver, count, alive, interval_s, false, &none);
    } while (alone_s > 1.5 * interval_s && interval_s < 8);
    const double shared_s = run(driver, count, alive, interval_s, true, &per_second);
    const bool good = shared_s <= INTERVALS * interval_s && per_second > 0.2;
    print_message("%-16s %u packs, %u answer, each %.0f s: at most %.2f s old, %.2f s while %.1f "
                  "requests a second of "
                  "somebody else are answered%s\n",
                  driver->name, count, alive, interval_s, alone_s, shared_s, per_second,
                  good ? "" : " WRONG");
    *wrong += !good;
}

TEST(stays_fresh_beside_a_program)
{
    unsigned wrong = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        const char *only = getenv("DRIVER");
        if (bms_talks(bms_drivers[d]) || (only && strcmp(only, bms_drivers[d]->name) != 0))
            continue;
        check_driver(bms_drivers[d], 1, 1, &wrong);
        if (!bms_has_address(bms_drivers[d]))
            continue;
        check_driver(bms_drivers[d], PACKS_MOST, PACKS_MOST, &wrong);
        /* A single console answers for all of its packs, and reports missing ones. */
        if (strcmp(bms_drivers[d]->name, "pylon-console") != 0)
            check_driver(bms_drivers[d], PACKS_MOST, PACKS_MOST - 1, &wrong);
    }
    assert_int_equal(wrong, 0);
}

/* How many packs have not told all at the end. */
static unsigned count_incomplete(const struct bms_driver *driver, unsigned count, unsigned alive,
                                 double interval_s, bool shared)
{
    struct bench bench;
    unsigned incomplete = 0;
    open_bench(&bench, driver, count, alive, interval_s, shared);
    while (clock_now() < bench.counts_from + SETTLING_S)
        ev_run(bench.loop, EVRUN_ONCE);
    for (unsigned i = 0; i < alive; i++)
        incomplete += !bench.pollers[i]->complete;
    if (incomplete > 0)
        print_message("%s, each %.0f s: %u of %u are not complete\n", driver->name, interval_s,
                      incomplete, alive);
    close_bench(&bench);
    return incomplete;
}

/* The pauses between rare polls are not taken for a line that was away: the dead packs have no right to more tries then,
 * for which the living one would have to wait with what it may not know. */
TEST(tells_all_beside_dead_packs)
{
    unsigned wrong = 0;
    for (size_t d = 0; bms_drivers[d]; d++)
        if (!bms_talks(bms_drivers[d]) && bms_has_address(bms_drivers[d]))
            wrong += count_incomplete(bms_drivers[d], 1 + DEAD, 1, 10, false);
    assert_int_equal(wrong, 0);
}

/* A request of the program always waits. */
TEST(tells_all_beside_a_program)
{
    unsigned wrong = 0;
    for (size_t d = 0; bms_drivers[d]; d++)
        for (unsigned i = 0; i < 2 && !bms_talks(bms_drivers[d]); i++) {
            const unsigned count = bms_has_address(bms_drivers[d]) ? PACKS_MOST : 1;
            wrong += count_incomplete(bms_drivers[d], count, count, i ? 10 : 1, true);
        }
    assert_int_equal(wrong, 0);
}
