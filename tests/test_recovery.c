// SPDX-License-Identifier: MIT
/*
 * How soon values arrive: at the start, from boards that leave most requests unanswered, beside
 * dead neighbours, and when a silent line answers again. Real lines with simulated packs, on a
 * test-controlled clock; the far end of each driver is wrapped, so that packs become silent or
 * leave requests unanswered on demand.
 *
 * tests/run: 25 s
 */
#include "lines/line.h"

#include "base/clock.h"
#include "base/log.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "turned_clock.h"

#define PACKS_MOST 16
#define ADDRESSES 256
#define LOOK_S 0.1

static const struct bms_driver *real_driver;
static bool dead[ADDRESSES];
static bool vital_only;         /* only vital requests are answered */
static bool babbles;            /* dead packs send something that is not a frame */
static const char *faults = ""; /* more options of the simulated line */

static bool is_vital_answer(const struct bms *bms, const struct bms_output *out)
{
    struct bms asked = *bms;
    struct pack pack;
    for (unsigned step = 0; step < real_driver->steps; step++) {
        struct bms_request request;
        if (!real_driver->plan[step].vital || !real_driver->build(&asked, step, &request))
            continue;
        struct bms host = *bms;
        pack_clear(&pack);
        if (real_driver->decode(&host, &request, out->bytes, out->size, &pack) == BMS_DONE)
            return true;
    }
    return false;
}

/* Some drivers compare their own address: they see the wrapped driver. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct bms_driver *wrapper = bms->driver;
    bms->driver = real_driver;
    bool built = real_driver->build(bms, step, request);
    bms->driver = wrapper;
    return built;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    struct bms own = *bms;
    own.driver = real_driver;
    return real_driver->frame(&own, request, bytes, size);
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const struct bms_driver *wrapper = bms->driver;
    bms->driver = real_driver;
    enum bms_result result = real_driver->decode(bms, request, frame, size, pack);
    bms->driver = wrapper;
    return result;
}

static void finish(struct bms *bms, struct pack *pack)
{
    const struct bms_driver *wrapper = bms->driver;
    bms->driver = real_driver;
    if (real_driver->finish)
        real_driver->finish(bms, pack);
    bms->driver = wrapper;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    const struct bms_driver *wrapper = bms->driver;
    bms->driver = real_driver;
    size_t used = real_driver->emulate(bms, pack, bytes, size, out);
    bool asked = out->size > 0;
    if (dead[bms_address(bms)] || (vital_only && asked && !is_vital_answer(bms, out)))
        out->size = 0;
    if (dead[bms_address(bms)] && babbles && asked) {
        memset(out->bytes, 0x55, 3);
        out->size = 3;
        babbles = false;
    }
    bms->driver = wrapper;
    return used;
}

struct bench {
    struct ev_loop *loop;
    struct bms_driver driver;
    struct line_config line_config;
    struct pack_config packs[PACKS_MOST];
    struct poller *pollers[PACKS_MOST];
    unsigned count, first_address;
    struct line *line;
    ev_timer looking;
    double first_at[PACKS_MOST], oldest_s, settled_at;
    unsigned flaps;
    bool was_fresh[PACKS_MOST];
};

static unsigned requests;         /* requests sent so far, */
static unsigned requests_for_all; /* and until all packs had values */

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    for (unsigned i = 0; i < bench->count; i++)
        if (bench->pollers[i] == poller && isnan(bench->first_at[i]) &&
            !poller_stale(poller, now)) {
            bench->first_at[i] = now;
            requests_for_all = requests;
        }
}

static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    requests += direction == '>';
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    double now = clock_now();
    for (unsigned i = 0; i < bench->count; i++) {
        const struct poller *poller = bench->pollers[i];
        bool fresh = !poller_stale(poller, now);
        bench->flaps += bench->was_fresh[i] && !fresh;
        bench->was_fresh[i] = fresh;
        if (!dead[bench->first_address + i] && now > bench->settled_at)
            bench->oldest_s = fmax(bench->oldest_s, now - poller->published_at);
    }
}

static void open_bench(struct bench *bench, const char *protocol, unsigned count)
{
    static const struct line_events events = {.published = on_published, .passed = on_passed};
    real_driver = bms_driver_find(protocol);
    *bench =
        (struct bench){.loop = ev_default_loop(0), .driver = *real_driver, .settled_at = INFINITY};
    bench->driver.build = build;
    bench->driver.frame = find_frame;
    bench->driver.decode = decode;
    bench->driver.finish = finish;
    bench->driver.emulate = emulate;
    bench->first_address = (unsigned) real_driver->address.usual;
    bench->line_config = (struct line_config){.name = "line"};
    snprintf(bench->line_config.port, sizeof bench->line_config.port,
             "sim:profile=fixed,delay=50,baud=%u%s", real_driver->line.baud, faults);
    for (unsigned i = 0; i < count; i++) {
        struct pack_config *pack = &bench->packs[i];
        *pack = (struct pack_config){.line = &bench->line_config,
                                     .driver = &bench->driver,
                                     .options = {.address = (int) (bench->first_address + i),
                                                 .adr = -1,
                                                 .shared = count > 1},
                                     .poll_s = 1,
                                     .stale_after_s = 10};
        snprintf(pack->name, sizeof pack->name, "%s-%u", protocol, i + 1);
        bench->pollers[bench->count++] = poller_new(pack);
        bench->first_at[i] = NAN;
    }
    bench->line = line_new(bench->loop, &bench->line_config, bench->pollers, count, &events, bench);
    assert_non_null(bench->line);
    ev_now_update(bench->loop);
    ev_timer_init(&bench->looking, on_look, LOOK_S, LOOK_S);
    bench->looking.data = bench;
    ev_timer_start(bench->loop, &bench->looking);
    requests = 0;
    line_start(bench->line);
}

static void close_bench(struct bench *bench)
{
    ev_timer_stop(bench->loop, &bench->looking);
    line_free(bench->line);
    for (unsigned i = 0; i < bench->count; i++)
        poller_free(bench->pollers[i]);
    memset(dead, 0, sizeof dead);
    vital_only = babbles = false;
    faults = "";
}

static void run_for(const struct bench *bench, double seconds)
{
    double until = clock_now() + seconds;
    while (clock_now() < until)
        ev_run(bench->loop, EVRUN_ONCE);
}

static unsigned all_published(const struct bench *bench)
{
    unsigned count = 0;
    for (unsigned i = 0; i < bench->count; i++)
        count += isnan(bench->first_at[i]) ? 0 : 1;
    return count;
}

static double last_first(const struct bench *bench)
{
    double last = 0;
    for (unsigned i = 0; i < bench->count; i++)
        last = fmax(last, bench->first_at[i]);
    return last;
}

/* With a weak checksum a second reading confirms the first, unless others wait. */
static unsigned readings_of_first(const struct bms_driver *driver, unsigned packs)
{
    return driver->check == BMS_CHECK_SUM && packs == 1 ? 2 : 1;
}

/* The first values arrive with the first vital replies, and the other answers soon after. */
TEST(tells_what_is_vital_first)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (getenv("DRIVER") && strcmp(getenv("DRIVER"), bms_drivers[d]->name))
            continue;
        const struct bms_driver *driver = bms_drivers[d];
        if (bms_talks(driver))
            continue;
        struct bench bench;
        unsigned leading = 0, vital = 0;
        for (unsigned i = 0; i < driver->steps; i++) {
            vital += driver->plan[i].vital ? 1 : 0;
            leading += vital == 0 ? 1 : 0;
        }
        open_bench(&bench, driver->name, 1);
        double start = clock_now();
        while (all_published(&bench) == 0 && clock_now() < start + 60)
            ev_run(bench.loop, EVRUN_ONCE);
        if (requests_for_all > (leading + vital) * readings_of_first(driver, 1))
            fail_msg("%s: %u requests for %u vital steps", driver->name, requests_for_all, vital);
        run_for(&bench, 15);
        assert_true(bench.pollers[0]->complete);
        close_bench(&bench);
    }
}

/* Only vital requests are ever answered: the values arrive at once and stay fresh. */
TEST(stays_fresh_where_little_is_answered)
{
    static const unsigned counts[] = {1, 4, 7, 16};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct bench bench;
        vital_only = true;
        open_bench(&bench, "topbms", counts[i]);
        double start = clock_now();
        while (all_published(&bench) < counts[i] && clock_now() < start + 60)
            ev_run(bench.loop, EVRUN_ONCE);
        double took_s = last_first(&bench) - start;
        /* A request, its reply at 9600 baud, and the gap. */
        print_message("%u packs: all have values after %.1f s and %u requests\n", counts[i], took_s,
                      requests_for_all);
        assert_int_equal(requests_for_all, counts[i] * readings_of_first(real_driver, counts[i]));
        run_for(&bench, 600);
        assert_int_equal(bench.flaps, 0);
        close_bench(&bench);
    }
}

/* If a board does not answer several optional requests in a row, its values wait for at most one of them. */
TEST(waits_for_one_vain_request_at_most)
{
    struct bench bench;
    vital_only = true;
    open_bench(&bench, "daly", 1);
    bench.packs[0].poll_s = 0.1;
    bench.packs[0].stale_after_s = 1;
    bench.packs[0].stale_fixed = true;
    run_for(&bench, 600);
    assert_int_equal(all_published(&bench), 1);
    assert_int_equal(bench.flaps, 0);
    assert_true(bench.pollers[0]->complete);
    close_bench(&bench);
}

/* Before the first rounds of a slow line have ended, their duration is unknown: no pack turns stale meanwhile. */
TEST(stays_fresh_from_the_first_round_on)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (getenv("DRIVER") && strcmp(getenv("DRIVER"), bms_drivers[d]->name))
            continue;
        const struct bms_driver *driver = bms_drivers[d];
        if (bms_talks(driver) || !bms_has_address(driver) || driver->line.one_pack)
            continue;
        unsigned count = (unsigned) (driver->address.max - driver->address.usual + 1);
        struct bench bench;
        open_bench(&bench, driver->name, count < PACKS_MOST ? count : PACKS_MOST);
        run_for(&bench, 300);
        print_message("%s: %u packs, stale %u times, a round takes %.1f s\n", driver->name,
                      bench.count, bench.flaps, bench.pollers[0]->pace.round_s);
        assert_int_equal(all_published(&bench), bench.count);
        assert_int_equal(bench.flaps, 0);
        close_bench(&bench);
    }
}

static double oldest_of(const char *protocol, unsigned dead_count)
{
    struct bench bench;
    for (unsigned i = 0; i < dead_count; i++)
        dead[(unsigned) bms_driver_find(protocol)->address.usual + 1 + i] = true;
    open_bench(&bench, protocol, 4);
    bench.settled_at = clock_now() + 30;
    run_for(&bench, 330);
    double oldest_s = bench.oldest_s;
    close_bench(&bench);
    return oldest_s;
}

TEST(is_hardly_slowed_down_by_the_dead)
{
    static const char *const protocols[] = {"topbms", "daly",   "daly-d2",
                                            "jk-pb",  "jbd-up", "jbd-addressed"};
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        double undisturbed_s = oldest_of(protocols[i], 0), disturbed_s = oldest_of(protocols[i], 1),
               hard_s = oldest_of(protocols[i], 3);
        print_message("%s: oldest of 4 %.1f s, with one of them dead %.1f s, with three %.1f s\n",
                      protocols[i], undisturbed_s, disturbed_s, hard_s);
        assert_true(disturbed_s <= 1.5 * undisturbed_s);
        assert_true(hard_s <= 2 * undisturbed_s);
    }
}

/* A pack that answered within the last minute and then sends something that is not a frame may send the rest later:
 * until then it is asked as often as before. */
TEST(asks_on_who_answered_a_minute_ago)
{
    struct bench bench;
    open_bench(&bench, "daly", 4);
    run_for(&bench, 30);
    assert_int_equal(all_published(&bench), 4);
    dead[2] = babbles = true;
    run_for(&bench, 40);
    assert_true(bench.pollers[1]->counters.repeats > 4);
    run_for(&bench, 60);
    uint32_t repeats = bench.pollers[1]->counters.repeats;
    run_for(&bench, 120);
    assert_int_equal(bench.pollers[1]->counters.repeats, repeats);
    close_bench(&bench);
}

/* A pack that needs most of its reply_timeout for an answer is found among quick ones. */
TEST(finds_a_slow_one_that_is_turned_on_later)
{
    static const struct {
        const char *protocol, *faults;
    } cases[] = {{"topbms", ",@3:delay=1500"}, {"jk-balancer", ",@3:delay=800"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double longest_s = 0;
        for (double silence_s = 20; silence_s < 200; silence_s += 23) {
            struct bench bench;
            faults = cases[i].faults;
            dead[3] = true;
            open_bench(&bench, cases[i].protocol, 4);
            run_for(&bench, silence_s);
            dead[3] = false;
            double start = clock_now();
            while (all_published(&bench) < 4 && clock_now() < start + 300)
                ev_run(bench.loop, EVRUN_ONCE);
            longest_s = fmax(longest_s, clock_now() - start);
            close_bench(&bench);
        }
        print_message("%s: a slow one is found after %.0f s\n", cases[i].protocol, longest_s);
        assert_true(longest_s < 120);
    }
}

/* A single answer of a dead address, or noise, does not cause three requests to it in each cycle. */
TEST(asks_the_dead_once_after_a_disturbance)
{
    static const char *const protocols[] = {"topbms", "daly", "jk-pb", "jbd-addressed"};
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        struct bench bench;
        dead[(unsigned) bms_driver_find(protocols[i])->address.usual + 1] = true;
        open_bench(&bench, protocols[i], 2);
        run_for(&bench, 30);
        babbles = true;
        run_for(&bench, 60);
        assert_false(babbles);
        uint32_t repeats = bench.pollers[1]->counters.repeats;
        run_for(&bench, 300);
        print_message("%s: %u repeats for a dead pack\n", protocols[i],
                      bench.pollers[1]->counters.repeats - repeats);
        assert_int_equal(bench.pollers[1]->counters.repeats, repeats);
        close_bench(&bench);
    }
}

/* If more than half of the replies of a pack are damaged, three must agree before values are published. Damaged
 * replies still show how it is asked, and that it is there. */
TEST(hears_a_pack_that_is_hard_to_understand)
{
    double longest_s = 0;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct bench bench;
        char text[200];
        snprintf(
            text, sizeof text,
            ",seed=%u,@4:noise=0.4,@4:flip=0.2,@4:cut=0.1,@4:drop=0.1,@1:late=0.3,@1:late_ms=270",
            seed);
        faults = text;
        dead[2] = true;
        open_bench(&bench, "topbms", 4);
        bench.line_config.reply_ms = 350;
        double start = clock_now();
        while (isnan(bench.first_at[3]) && clock_now() < start + 600)
            ev_run(bench.loop, EVRUN_ONCE);
        longest_s = fmax(longest_s, clock_now() - start);
        close_bench(&bench);
    }
    print_message("the last of 60 had values after %.0f s\n", longest_s);
    assert_true(longest_s < 90);
}

/* The time until all packs of a bus have cells, but the silent one. One pack is hard to understand, one often late. */
static double cells_after(const char *protocol, const char *stalls, unsigned seed)
{
    struct bench bench;
    char text[300];
    const unsigned first = (unsigned) bms_driver_find(protocol)->address.usual;
    snprintf(text, sizeof text,
             ",delay=2,seed=%u,@%u:noise=0.4,@%u:flip=0.2,@%u:cut=0.1,@%u:drop=0.1,@%u:late=0.2,"
             "@%u:late_ms=270%s",
             seed, first + 2, first + 2, first + 2, first + 2, first + 3, first + 3, stalls);
    faults = text;
    dead[first] = true;
    open_bench(&bench, protocol, 6);
    bench.line_config.reply_ms = 250;
    bench.line_config.gap_ms = 20;
    bench.line_config.gap_set = true;
    for (unsigned i = 0; i < bench.count; i++) {
        bench.packs[i].poll_s = 0.1;
        bench.packs[i].stale_after_s = 3600;
        bench.packs[i].stale_fixed = true;
    }
    const double start = clock_now();
    unsigned known = 1;
    while (known < bench.count && clock_now() < start + 600) {
        ev_run(bench.loop, EVRUN_ONCE);
        known = 1;
        for (unsigned i = 1; i < bench.count; i++)
            known += pack_known(&bench.pollers[i]->values, CELL_MV);
    }
    close_bench(&bench);
    return clock_now() - start;
}

/* An answer that is taken for that of the step before must not stay so for ever. */
TEST(knows_the_cells_of_a_late_pack)
{
    static const char *const protocols[] = {"jbd-addressed", "daly-p81"};
    static const char *const stalls[] = {"", ",stall=0.2,stall_every=1.3"};
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        double longest_s = 0;
        for (size_t k = 0; k < sizeof stalls / sizeof *stalls; k++)
            for (unsigned seed = 10; seed < 20; seed++)
                longest_s = fmax(longest_s, cells_after(protocols[i], stalls[k], seed));
        print_message("%s: the last cells after %.0f s\n", protocols[i], longest_s);
        assert_true(longest_s < 100);
    }
}

TEST(comes_back_together)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (getenv("DRIVER") && strcmp(getenv("DRIVER"), bms_drivers[d]->name))
            continue;
        const struct bms_driver *driver = bms_drivers[d];
        unsigned count = bms_has_address(driver) && !driver->line.one_pack ? 4 : 1;
        if (bms_talks(driver))
            continue;
        for (double silence_s = 20; silence_s < 500; silence_s *= 2.2) {
            struct bench bench;
            open_bench(&bench, driver->name, count);
            run_for(&bench, 30);
            assert_int_equal(all_published(&bench), count);
            memset(dead, true, sizeof dead);
            run_for(&bench, silence_s);
            memset(dead, false, sizeof dead);
            for (unsigned i = 0; i < count; i++)
                bench.first_at[i] = NAN;
            double start = clock_now(), first = NAN;
            while (all_published(&bench) < count && clock_now() < start + 120) {
                ev_run(bench.loop, EVRUN_ONCE);
                if (isnan(first) && all_published(&bench) > 0)
                    first = clock_now();
            }
            print_message("%s: silent for %.0f s, first after %.1f s, all %.1f s later\n",
                          driver->name, silence_s, first - start, last_first(&bench) - first);
            assert_true(first - start <= 30);
            assert_true(last_first(&bench) - first <=
                        15); /* of fresh values: two cycles of each of four packs */
            close_bench(&bench);
        }
    }
}

/* The gateway starts before its packs are switched on. */
TEST(finds_what_is_turned_on_later)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (getenv("DRIVER") && strcmp(getenv("DRIVER"), bms_drivers[d]->name))
            continue;
        const struct bms_driver *driver = bms_drivers[d];
        unsigned most = bms_has_address(driver) && !driver->line.one_pack ? 4 : 1;
        if (bms_talks(driver))
            continue;
        for (unsigned count = 1; count <= most; count += 3) {
            double longest_s = 0, last_s = 0;
            for (double silence_s = 20; silence_s < 400; silence_s += 23) {
                struct bench bench;
                memset(dead, true, sizeof dead);
                open_bench(&bench, driver->name, count);
                run_for(&bench, silence_s);
                assert_int_equal(all_published(&bench), 0);
                memset(dead, false, sizeof dead);
                double start = clock_now(), first = NAN;
                while (all_published(&bench) < count && clock_now() < start + 300) {
                    ev_run(bench.loop, EVRUN_ONCE);
                    if (isnan(first) && all_published(&bench) > 0)
                        first = clock_now();
                }
                longest_s = fmax(longest_s, first - start);
                last_s = fmax(last_s, last_first(&bench) - first);
                close_bench(&bench);
            }
            print_message("%s: %u turned on later: first after %.1f s, all %.1f s later\n",
                          driver->name, count, longest_s, last_s);
            assert_true(longest_s <= 40); /* topbms has seven ways to ask */
            assert_true(last_s <= 15);
        }
    }
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
}
