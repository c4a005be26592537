// SPDX-License-Identifier: MIT
/*
 * How fast the gateway's lines poll, all of them at the same time in one loop. Every driver is on
 * an emulated serial line of its usual baud rate, cycle after cycle without a pause; a few lines
 * hold several packs, some of them silent, at the usual poll interval. Prints one JSON object for
 * each line.
 *
 * Arguments: SECONDS, and the emulated delay of replies in ms.
 */
#include "fixture.h"
#include "wire.h"

#include "base/clock.h"
#include "lines/line.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROWS_MAX 64
#define POLL_S 1.0 /* the defaults of the configuration */
#define STALE_AFTER_S 10.0

/* The state at the end of a cycle. */
struct mark {
    double at;
    struct wire_counters counters;
};

struct row;

/* One pack that is polled. */
struct bench_member {
    struct row *row;
    struct pack_config config;
    struct poller *poller;
    unsigned published;
    struct mark first, begin, end; /* of the first, the second and the last cycle */
    double longest_s;              /* from values to the next */
    double asked_at;               /* when the last values were */
    double stale_s;                /* how long they were too old in all */
};

struct row {
    const struct bms_driver *driver;
    unsigned answering, silent; /* packs; 1 and 0: polled without a pause */
    bool without_gap;
    struct cable wire;
    struct line_config config;
    struct line *line;
    double started_at;
    struct bench_member members[WIRE_PACKS_MAX];
};

// clang-format off
static const struct {
    const char *driver;
    unsigned answering, silent;
    bool without_gap;
} extra_rows[] = {
    /* driver     answering silent without gap */
    {"daly",             1,     0, true},
    {"daly",            16,     0, false},
    {"daly",            12,     4, false},
    {"jk-pb",           16,     0, false},
    {"jk-pb",           12,     4, false},
    {"topbms",           8,     0, false},
    {"topbms",          16,     0, false},
    {"topbms",           8,     1, false},
    {"topbms",           8,     4, false},
};
// clang-format on

static bool is_shared(const struct row *row)
{
    return row->answering + row->silent > 1;
}

/* Now there are new values, or the time is over. */
static void note_interval(struct bench_member *member, double now)
{
    const double stale_at = member->asked_at + poller_stale_after(member->poller);
    member->longest_s = fmax(member->longest_s, now - member->end.at);
    member->stale_s += fmax(now - stale_at, 0);
}

static struct bench_member *find_member(struct row *row, const struct poller *poller)
{
    struct bench_member *member = row->members;
    while (member->poller != poller)
        member++;
    return member;
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct row *row = data;
    struct bench_member *member = find_member(row, poller);
    if (member->published > 0)
        note_interval(member, now);
    member->asked_at = poller->published_at;
    member->end = (struct mark){.at = now, .counters = *row->wire.counters};
    member->published++;
    /* The first cycle asks all that is asked seldom; the second may begin late. */
    if (member->published == 1)
        member->first = member->end;
    if (member->published == 2)
        member->begin = member->end;
}

/* What would be logged of silent packs is in the result. */
static void on_missed(void *data, struct poller *poller, double now)
{
    (void) data;
    (void) poller;
    (void) now;
}

static void make_member(struct row *row, unsigned n)
{
    struct bench_member *member = &row->members[n];
    const unsigned packs = row->answering + row->silent;
    member->row = row;
    member->config =
        (struct pack_config){.line = &row->config,
                             .driver = row->driver,
                             .options = {.address = cable_address(row->driver, packs, n),
                                         .adr = -1,
                                         .shared = packs > 1},
                             .poll_s = packs > 1 ? POLL_S : 0,
                             .stale_after_s = STALE_AFTER_S};
    snprintf(member->config.name, sizeof member->config.name, "%s-%u", row->driver->name, n + 1);
    member->poller = poller_new(&member->config);
    if (!member->poller)
        fail("poller_new");
}

static void start_row(struct row *row, struct ev_loop *loop, double delay_s)
{
    static const struct line_events events = {.published = on_published, .missed = on_missed};
    const unsigned packs = row->answering + row->silent;
    struct poller *pollers[WIRE_PACKS_MAX];
    row->wire = (struct cable){.driver = row->driver,
                               .packs = row->answering,
                               .baud = row->driver->line.baud,
                               .delay_s = delay_s};
    cable_start(&row->wire);
    row->config = (struct line_config){.name = "bench",
                                       .driver = row->driver,
                                       .gap_ms = row->without_gap ? 0 : row->driver->line.gap_ms,
                                       .gap_set = true};
    snprintf(row->config.port, sizeof row->config.port, "tcp://127.0.0.1:%u", row->wire.port);
    for (unsigned i = 0; i < packs; i++) {
        make_member(row, i);
        pollers[i] = row->members[i].poller;
    }
    row->line = line_new(loop, &row->config, pollers, packs, &events, row);
    if (!row->line)
        fail("line_new");
    row->started_at = clock_now();
    line_start(row->line);
}

static void stop_row(struct row *row)
{
    line_free(row->line);
    for (unsigned i = 0; i < row->answering + row->silent; i++)
        poller_free(row->members[i].poller);
    cable_stop(&row->wire);
}

static void print_single(const struct row *row)
{
    const struct bench_member *member = &row->members[0];
    const unsigned cycles = member->published > 2 ? member->published - 2 : 0;
    const struct wire_counters *begin = &member->begin.counters, *end = &member->end.counters;
    const unsigned requests = end->requests - begin->requests;
    const double n = cycles ? cycles : 1;
    printf("{\"driver\": \"%s\", \"baud\": %u, \"talks\": %s, \"gap_ms\": %u, \"cycles\": %u, "
           "\"first_s\": %.3f, \"requests\": %.2f, \"bytes\": %.1f, \"cycle_s\": %.6f, "
           "\"wire_s\": %.6f, \"gaps_s\": %.6f, \"repeats\": %u, \"timeouts\": %u, "
           "\"damaged\": %u}\n",
           row->driver->name, row->wire.baud, bms_talks(row->driver) ? "true" : "false",
           row->config.gap_ms, cycles, member->published ? member->first.at - row->started_at : 0,
           requests / n, (end->bytes - begin->bytes) / n,
           cycles ? (member->end.at - member->begin.at) / n : 0,
           (end->least_s - begin->least_s) / n, requests * row->config.gap_ms / 1e3 / n,
           member->poller->counters.repeats, member->poller->counters.timeouts,
           member->poller->counters.damaged);
}

/* Of the packs that answer: when the last of them had values at all, how often there are new ones,
 * and how old they became meanwhile. One that never had any waits to the end. */
static void print_shared(struct row *row, double now)
{
    double first_s = 0, longest_s = 0, stale_s = 0, watched_s = 0, intervals_s = 0, intervals = 0;
    for (unsigned i = 0; i < row->answering; i++) {
        struct bench_member *member = &row->members[i];
        const double first_at = member->published ? member->first.at : now;
        if (member->published) {
            intervals_s += member->end.at - first_at;
            intervals += member->published - 1;
            note_interval(member, now);
        }
        first_s = fmax(first_s, first_at - row->started_at);
        longest_s = fmax(longest_s, member->longest_s);
        stale_s += member->stale_s;
        watched_s += now - first_at;
    }
    printf("{\"driver\": \"%s\", \"baud\": %u, \"answering\": %u, \"silent\": %u, "
           "\"first_s\": %.3f, \"interval_s\": %.3f, \"longest_s\": %.3f, "
           "\"stale_percent\": %.1f}\n",
           row->driver->name, row->wire.baud, row->answering, row->silent, first_s,
           intervals > 0 ? intervals_s / intervals : 0, longest_s,
           watched_s > 0 ? 100 * stale_s / watched_s : 100);
}

static unsigned choose_rows(struct row *rows)
{
    unsigned count = 0;
    for (unsigned i = 0; bms_drivers[i] && count < ROWS_MAX; i++)
        rows[count++] = (struct row){.driver = bms_drivers[i], .answering = 1};
    for (size_t i = 0; i < sizeof extra_rows / sizeof *extra_rows && count < ROWS_MAX; i++)
        rows[count++] = (struct row){.driver = bms_driver_find(extra_rows[i].driver),
                                     .answering = extra_rows[i].answering,
                                     .silent = extra_rows[i].silent,
                                     .without_gap = extra_rows[i].without_gap};
    return count;
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) timer;
    (void) revents;
    ev_break(loop, EVBREAK_ALL);
}

static double run(struct row *rows, unsigned count, double seconds, double delay_s)
{
    struct ev_loop *loop = ev_default_loop(0);
    ev_timer end;
    for (unsigned i = 0; i < count; i++)
        start_row(&rows[i], loop, delay_s);
    ev_timer_init(&end, on_end, seconds, 0);
    ev_timer_start(loop, &end);
    const clock_t cpu = clock();
    ev_run(loop, 0);
    return (double) (clock() - cpu) / CLOCKS_PER_SEC;
}

int main(int argc, char **argv)
{
    static struct row rows[ROWS_MAX];
    const double seconds = argc == 3 ? atof(argv[1]) : 0;
    const unsigned count = choose_rows(rows);
    if (seconds <= 0) {
        fputs("usage: polling SECONDS DELAY_MS\n", stderr);
        return 2;
    }
    const double cpu_s = run(rows, count, seconds, atof(argv[2]) / 1e3);
    const double now = clock_now();
    for (unsigned i = 0; i < count; i++) {
        if (is_shared(&rows[i]))
            print_shared(&rows[i], now);
        else
            print_single(&rows[i]);
        stop_row(&rows[i]);
    }
    printf("{\"lines\": %u, \"cpu_percent\": %.3f}\n", count, 100 * cpu_s / seconds);
    return EXIT_SUCCESS;
}
