// SPDX-License-Identifier: MIT
/*
 * A device that sends by itself, on a serial port that stalls and then delivers everything at once:
 * values are never reported as younger than they are, and are fresh again soon. On a
 * test-controlled clock.
 */
#include "lines/line.h"

#include "base/clock.h"
#include "simulator/pty.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pack_test.h"

#include "turned_clock.h"

#define SAID_EACH_S 1.0
#define BEGAN_V 48.0
#define STEP_V 0.01 /* V by which the voltage of each set differs */
#define STALL_S 8.0
#define BACK_S 6.0 /* s after the stall; changed values are in doubt at first */

struct bench {
    struct line_config line_config;
    struct pack_config config;
    struct poller *poller;
    struct line *line;
    struct bms device;
    int master, slave;
    ev_timer saying;
    double began_at, stalls_at;
    unsigned said, heard;
    double youngest_s; /* how much younger a set was reported than it is, at most */
    double fresh_at;   /* the first set after the stall with the right age */
    uint8_t held[64 * BMS_FRAME_MAX];
    size_t held_size;
};

static bool is_stalled(const struct bench *bench, double now)
{
    return now >= bench->stalls_at && now < bench->stalls_at + STALL_S;
}

/* Runs until the far end has been read completely. */
static void wait_for_kernel(const struct bench *bench)
{
    int size = 0;
    while ((size_t) size < bench->held_size) {
        assert_int_equal(ioctl(bench->slave, FIONREAD, &size), 0);
        sched_yield();
    }
}

static void on_say(struct ev_loop *loop, ev_timer *timer, int revents)
{
    static struct bms_output out;
    struct bench *bench = timer->data;
    struct pack pack = cleared_pack();
    pack_set(&pack, VOLTAGE_V, BEGAN_V + STEP_V * bench->said++);
    pack_set(&pack, CURRENT_A, 1);
    out.size = 0;
    bms_emulate(&bench->device, &pack, NULL, 0, &out);
    memcpy(bench->held + bench->held_size, out.bytes, out.size);
    bench->held_size += out.size;
    if (is_stalled(bench, clock_now()))
        return;
    assert_int_equal(write(bench->master, bench->held, bench->held_size), bench->held_size);
    wait_for_kernel(bench);
    bench->held_size = 0;
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    const double step = round((poller->values.value[VOLTAGE_V] - BEGAN_V) / STEP_V);
    const double said_at = bench->began_at + SAID_EACH_S * (step + 1);
    bench->heard++;
    bench->youngest_s = fmax(bench->youngest_s, poller->published_at - said_at);
    if (now > bench->stalls_at && isnan(bench->fresh_at) && now - poller->published_at < 1)
        bench->fresh_at = now;
}

static void run_until(double at)
{
    while (clock_now() < at)
        ev_run(ev_default_loop(0), EVRUN_ONCE);
}

TEST(tells_no_pile_as_young)
{
    static const struct line_events events = {.published = on_published};
    static struct bench bench;
    char name[PTY_NAME];
    bench = (struct bench){.line_config = {.name = "line"}, .fresh_at = NAN};
    turned_clock_has_ptys = true;
    bench.master = pty_open(name);
    assert_true(bench.master >= 0);
    bench.slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    snprintf(bench.line_config.port, sizeof bench.line_config.port, "serial:%s", name);
    bench.config = (struct pack_config){.name = "pack",
                                        .line = &bench.line_config,
                                        .driver = bms_driver_find("vedirect"),
                                        .options = {.address = -1, .adr = -1},
                                        .poll_s = 1,
                                        .stale_after_s = 10};
    bms_init(&bench.device, bench.config.driver);
    bench.poller = poller_new(&bench.config);
    bench.line =
        line_new(ev_default_loop(0), &bench.line_config, &bench.poller, 1, &events, &bench);
    assert_non_null(bench.line);
    line_start(bench.line);
    ev_now_update(ev_default_loop(0));
    bench.began_at = clock_now();
    bench.stalls_at = bench.began_at + 10.5;
    ev_timer_init(&bench.saying, on_say, SAID_EACH_S, SAID_EACH_S);
    bench.saying.data = &bench;
    ev_timer_start(ev_default_loop(0), &bench.saying);
    run_until(bench.stalls_at);
    assert_in_range(bench.heard, 8, 10);
    run_until(bench.stalls_at + STALL_S + BACK_S);
    assert_true(bench.youngest_s < 0.1);
    assert_true(bench.fresh_at < bench.stalls_at + STALL_S + BACK_S);
    assert_int_equal(bench.poller->counters.reconnects, 1);
    ev_timer_stop(ev_default_loop(0), &bench.saying);
    line_free(bench.line);
    poller_free(bench.poller);
    close(bench.slave);
    close(bench.master);
}
