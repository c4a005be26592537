// SPDX-License-Identifier: MIT
/*
 * How old values are. Every driver polls (or listens to) simulated packs whose voltage and cells
 * encode the time of their measurement, over lines on which replies stall, are always late, arrive
 * or do not; on a test-controlled clock. At each moment at which a client could ask: fresh values
 * were measured within stale_after, the reported age is never less than the true one by more than
 * an exchange takes, and no voltage is combined with cells of another time.
 *
 * tests/run: 30 s
 */
#include "lines/line.h"

#include "base/clock.h"
#include "base/log.h"
#include "simulator/options.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "turned_clock.h"

#define LOOK_S                                                                                     \
    0.1 /* and right behind each publication; the clock in the values has ticks of 0.25 s */
#define PACKS_MOST 4
#define STALE_S 10.0
#define TICK_S 0.25     /* s, resolution of the clock that is encoded in the values */
#define EXCHANGE_S 0.75 /* s, the longest exchange of all drivers */
#define TALK_S 1.0      /* s: a talker sends a whole set each second */
#define RUN_S 180.0     /* s of the test-controlled clock; AGES_SECONDS overrides it */
#define MOSTLY 0.97     /* least share of the time with fresh values, beside a busy host */
#define LATE_FRESH 0.7  /* the same where every reply is late, and no gap of STALE_S */
#define WHOLE_S 110.0   /* by then it has answered all its requests, too */
#define STALLS_AGREE_S 6000
#define TOO_OLD_S (SIMULATOR_CLOCK_S - 15) /* the clock in the values wraps: too old to tell */

static unsigned settle_ms;

struct bench {
    struct ev_loop *loop;
    struct line_config line_config;
    struct pack_config packs[PACKS_MOST];
    struct poller *pollers[PACKS_MOST];
    unsigned count;
    struct line *line;
    ev_timer looking;
    const char *name; /* of the case */
    bool has_voltage, has_cells;
    double started_at;
    /* what was seen */
    unsigned published[PACKS_MOST], looks, fresh, lies, old, mixtures, said;
    double took_s[PACKS_MOST]; /* duration of the cycle published last */
    double worst_lie_s, oldest_s, widest_s, last_fresh_at, longest_gap_s;
    unsigned known[PACKS_MOST]; /* values when the pack was complete */
    double whole_s;             /* until all were */
    unsigned behind;            /* values that were known only later */
};

/* Age of the measurement that a cell encodes, at most one tick too large; NaN: unknown. */
static double measured_ago(double cell_mv, double now)
{
    double then = round((cell_mv - SIMULATOR_CLOCK_FROM_MV) / 10) / 4;
    double since = fmod(now, SIMULATOR_CLOCK_S) - then;
    return since < -TICK_S ? since + SIMULATOR_CLOCK_S : since;
}

/* A Sinowealth board with more than ten cells reports no voltage, and reading its cells takes seconds. */
static unsigned cells_of(const struct bms_driver *driver)
{
    return strcmp(driver->name, "daly-sinowealth") == 0 ? 10 : 16;
}

static double voltage_ago(const struct pack *values, unsigned cells, double now)
{
    return measured_ago(values->value[VOLTAGE_V] * 1000 / cells, now);
}

static double cells_ago(const struct pack *values, double now)
{
    return measured_ago(values->value[CELL_MV], now);
}

static void complain(struct bench *bench, const char *what, const struct poller *poller, double now,
                     double seconds)
{
    if (bench->said++ < 3)
        print_message("%s: at %.2f %s: %s, %.2f s; age told %.2f\n", bench->name, now,
                      poller->config->name, what, seconds, now - poller->published_at);
}

static unsigned count_known(const struct pack *values)
{
    unsigned known = 0;
    for (unsigned id = 0; id < PACK_VALUES; id++)
        known += pack_known(values, id);
    return known;
}

/* A complete pack has told all it will tell: a bank takes its state of charge, and `packgate read` ends. */
static void look_for_more(struct bench *bench, unsigned i, double now)
{
    const unsigned known = count_known(&bench->pollers[i]->values);
    if (!bench->pollers[i]->complete)
        return;
    if (bench->known[i] == 0) {
        bench->known[i] = known;
        bench->whole_s = now - bench->started_at;
    }
    if (known > bench->known[i] + bench->behind)
        bench->behind = known - bench->known[i];
}

static void look_at(struct bench *bench, unsigned i, double now)
{
    const struct poller *poller = bench->pollers[i];
    const struct pack *values = &poller->values;
    double told = now - poller->published_at;
    double voltage =
        bench->has_voltage ? voltage_ago(values, cells_of(poller->config->driver), now) : NAN;
    double cells = bench->has_cells ? cells_ago(values, now) : NAN;
    double oldest = fmax(voltage, cells);
    bench->looks++;
    if (poller_stale(poller, now) || told > TOO_OLD_S)
        return;
    bench->fresh++;
    look_for_more(bench, i, now);
    bench->longest_gap_s = fmax(bench->longest_gap_s, now - bench->last_fresh_at);
    bench->last_fresh_at = now;
    bench->oldest_s = fmax(bench->oldest_s, oldest);
    double lie = oldest - told;
    bench->worst_lie_s = fmax(bench->worst_lie_s, lie);
    double allowed = TICK_S + (bms_talks(poller->config->driver) ? TALK_S : EXCHANGE_S);
    if (lie > allowed) {
        bench->lies++;
        complain(bench, "older than it is told by", poller, now, lie);
    }
    if (oldest > poller_stale_after(poller) + allowed) {
        bench->old++;
        complain(bench, "fresh, but measured before", poller, now, oldest);
    }
    double apart = fabs(voltage - cells);
    apart = fmin(apart, SIMULATOR_CLOCK_S - apart);
    bench->widest_s = fmax(bench->widest_s, apart);
    if (apart > fmax(2.5, bench->took_s[i] + TICK_S)) {
        bench->mixtures++;
        complain(bench, "voltage and cells apart by", poller, now, apart);
    }
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    for (unsigned i = 0; i < bench->count; i++)
        look_at(bench, i, clock_now());
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    for (unsigned i = 0; i < bench->count; i++)
        if (bench->pollers[i] == poller) {
            bench->published[i]++;
            bench->took_s[i] = now - poller->cycle.started;
            look_at(bench, i, now);
        }
}

static void open_bench(struct bench *bench, const struct bms_driver *driver, unsigned count,
                       const char *options)
{
    static const struct line_events events = {.published = on_published};
    bool voltage = bench->has_voltage, cells = bench->has_cells;
    *bench = (struct bench){.loop = ev_default_loop(0),
                            .name = bench->name,
                            .has_voltage = voltage,
                            .has_cells = cells};
    bench->line_config = (struct line_config){.name = "line", .settle_ms = settle_ms};
    snprintf(bench->line_config.port, sizeof bench->line_config.port,
             "sim:profile=fixed,clock=1,cells=%u,%s", cells_of(driver), options);
    for (unsigned i = 0; i < count; i++) {
        struct pack_config *pack = &bench->packs[i];
        *pack =
            (struct pack_config){.line = &bench->line_config,
                                 .driver = driver,
                                 .options = {.address = driver->address.usual + (int) i, .adr = -1},
                                 .poll_s = 1,
                                 .stale_after_s = STALE_S};
        snprintf(pack->name, sizeof pack->name, "%s-%u", driver->name, i);
        bench->pollers[bench->count++] = poller_new(pack);
        assert_non_null(bench->pollers[i]);
    }
    bench->line = line_new(bench->loop, &bench->line_config, bench->pollers, count, &events, bench);
    assert_non_null(bench->line);
    ev_timer_init(&bench->looking, on_look, LOOK_S, LOOK_S);
    bench->looking.data = bench;
}

static void run_until(struct bench *bench, double at)
{
    while (clock_now() < at)
        ev_run(bench->loop, EVRUN_ONCE);
}

static void close_bench(struct bench *bench)
{
    ev_timer_stop(bench->loop, &bench->looking);
    line_free(bench->line);
    for (unsigned i = 0; i < bench->count; i++)
        poller_free(bench->pollers[i]);
}

#define DRIVERS_MOST 64

/* Whether a protocol carries a value with sufficient resolution to encode the time; found out once. */
static void measure(struct bench *bench, const struct bms_driver *driver, size_t which)
{
    static struct bench known[DRIVERS_MOST];
    assert_true(which < DRIVERS_MOST);
    if (known[which].name) {
        *bench = known[which];
        return;
    }
    *bench = (struct bench){.name = driver->name};
    open_bench(bench, driver, 1, "delay=20");
    line_start(bench->line);
    run_until(bench, clock_now() + 90);
    double now = clock_now();
    const struct pack *values = &bench->pollers[0]->values;
    /* Cells in steps of 100 mV cannot encode the time. */
    bool coarse = strcmp(driver->name, "renogy") == 0;
    bool voltage = voltage_ago(values, cells_of(driver), now) < 3,
         cells = !coarse && cells_ago(values, now) < 3;
    if (bench->published[0] < 10)
        fail_msg("%s: published %u times", driver->name, bench->published[0]);
    close_bench(bench);
    bench->has_voltage = voltage;
    bench->has_cells = cells;
    assert_true(voltage || cells);
    known[which] = *bench;
}

static double start_s; /* offset of the start of a case */

static void run_case(struct bench *bench, const struct bms_driver *driver, unsigned count,
                     const char *options)
{
    char name[200];
    snprintf(name, sizeof name, "%s: %s", driver->name, options);
    bench->name = name;
    /* Cases begin right after a stall, at a multiple of all `stall_every`: each has some undisturbed seconds first,
     * and does not depend on the cases before it. */
    turned_clock_at = ceil(turned_clock_at / STALLS_AGREE_S) * STALLS_AGREE_S + 31;
    char seeded[200];
    const char *seed = getenv("AGES_SEED"); /* another one: other losses, and another moment */
    snprintf(seeded, sizeof seeded, "%s%s%s", options, seed ? ",seed=" : "", seed ? seed : "");
    turned_clock_at += start_s + (seed ? fmod(atof(seed) * 0.37, 20) : 0);
    open_bench(bench, driver, count, seeded);
    line_start(bench->line);
    ev_now_update(bench->loop);
    ev_timer_start(bench->loop, &bench->looking);
    bench->last_fresh_at = bench->started_at = clock_now();
    const char *seconds = getenv("AGES_SECONDS");
    run_until(bench, clock_now() + (seconds ? atof(seconds) : RUN_S));
    if (getenv("AGES"))
        print_message("%-40s published %4u fresh %3.0f%% worst lie %5.2f oldest %5.2f apart %5.2f "
                      "reopened %u gap %.1f lies %.2f%% whole %.1f behind %u %s\n",
                      name, bench->published[0], 100.0 * bench->fresh / bench->looks,
                      bench->worst_lie_s, bench->oldest_s, bench->widest_s,
                      bench->pollers[0]->counters.reconnects, bench->longest_gap_s,
                      100.0 * bench->lies / bench->looks, bench->whole_s, bench->behind,
                      bench->lies || bench->old || bench->mixtures ? "WRONG" : "");
    close_bench(bench);
}

static bool only_stands_still(const char *options)
{
    return strncmp(options, "stall=", 6) == 0 && !strstr(options, "drop") &&
           !strstr(options, "repeat");
}

/* Longer than most protocols wait. */
#define LATE_CASE "delay=900"

/* `allowed`: the share of a driver's samples, over all cases, that may be wrong. */
static void check_cases(const char *const *cases, unsigned packs, double allowed)
{
    unsigned wrong = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        if ((packs > 1 && !bms_has_address(driver)) || (settle_ms > 0 && bms_talks(driver)))
            continue;
        struct bench bench;
        const char *only = getenv("DRIVER");
        if (only && strcmp(driver->name, only) != 0)
            continue;
        const unsigned settle = settle_ms;
        settle_ms = 0;
        measure(&bench, driver, d);
        settle_ms = settle;
        unsigned looks = 0, lies = 0, old = 0, mixtures = 0;
        for (size_t i = 0; cases[i]; i++) {
            if (getenv("CASE") && strcmp(getenv("CASE"), cases[i]) != 0)
                continue;
            run_case(&bench, driver, packs, cases[i]);
            looks += bench.looks;
            lies += bench.lies;
            old += bench.old;
            mixtures += bench.mixtures;
            wrong += start_s == 0 && strstr(cases[i], "stall_every") &&
                     only_stands_still(cases[i]) && bench.fresh < MOSTLY * bench.looks;
            wrong += start_s < 0 && bms_talks(driver) &&
                     bench.longest_gap_s > atof(strchr(cases[i], '=') + 1) + TALK_S;
            wrong += strcmp(cases[i], LATE_CASE) == 0 &&
                     (bench.fresh < LATE_FRESH * bench.looks || bench.longest_gap_s > STALE_S ||
                      bench.whole_s == 0 || bench.whole_s > WHOLE_S);
            wrong += strncmp(cases[i], "delay", 5) == 0 && !bms_talks(driver) && bench.behind > 0;
        }
        unsigned most = (unsigned) (allowed * looks);
        wrong += lies > most || old > most || mixtures > most;
    }
    start_s = 0;
    assert_int_equal(wrong, 0);
}

/* A Wi-Fi bridge that loses its link, and TCP retransmissions. */
TEST(survives_stalls)
{
    static const char *const cases[] = {"stall=1",  "stall=2",  "stall=3",  "stall=5",  "stall=8",
                                        "stall=12", "stall=15", "stall=22", "stall=30", NULL};
    check_cases(cases, 1, 0);
}

/* After the line is opened, nothing arrives at first, and then everything at once; or the device is switched on
 * later. */
TEST(survives_an_opening_in_a_stall)
{
    static const char *const cases[] = {"stall=8,stall_every=300",  "stall=12,stall_every=300",
                                        "stall=22,stall_every=300", "stall=30,stall_every=300",
                                        "stall=45,stall_every=300", NULL};
    start_s = -30; /* one second after a stall began */
    check_cases(cases, 1, 0);
}

/* The host of the far end, or our own, is busy: everything arrives in order, but repeatedly too late. */
TEST(survives_a_busy_host)
{
    static const char *const cases[] = {"stall=0.6,stall_every=1.6", "stall=0.9,stall_every=2.4",
                                        "stall=1.4,stall_every=3.75", NULL};
    check_cases(cases, 1, 0);
}

TEST(survives_stalls_and_losses)
{
    static const char *const cases[] = {"stall=2,stall_every=7.5,drop=0.2",
                                        "stall=8,stall_every=20,drop=0.1", "drop=0.1",
                                        "late=0.2,late_ms=700", NULL};
    check_cases(cases, 1, 0);
}

TEST(survives_constant_delay)
{
    static const char *const cases[] = {"delay=400",  LATE_CASE,     "delay=1500", "delay=3000",
                                        "delay=6000", "delay=12000", NULL};
    check_cases(cases, 1, 0);
}

TEST(survives_several_packs)
{
    static const char *const cases[] = {
        "stall=3",    "stall=8",     "stall=22", "delay=1500",
        "delay=3000", "delay=12000", "drop=0.1", "stall=8,stall_every=20,drop=0.1",
        NULL};
    check_cases(cases, 3, 0);
}

/* A radio or UDP bridge that repeats replies which it considers lost, or reorders them. With `settle`, none of them
 * is left when the next request is sent. */
TEST(survives_repeats_with_settle)
{
    static const char *const cases[] = {"repeat=5",
                                        "repeat=500",
                                        "repeat=980",
                                        "repeat=1000",
                                        "repeat=2950",
                                        "late=0.2,late_ms=1000",
                                        "late=0.5,late_ms=2990",
                                        "late=0.1,late_ms=2000,repeat=900",
                                        "drop=0.1,repeat=2500",
                                        NULL};
    settle_ms = 3200;
    check_cases(cases, 1, 0);
    check_cases(cases, 3, 0);
    settle_ms = 0;
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_IGN);
    if (getenv("DEBUG"))
        log_set_level(LOG_LEVEL_DEBUG);
}
