// SPDX-License-Identifier: MIT
/* A far end that sends without end, on a test-controlled clock. */
#include "lines/port/intake.h"

#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#include "base/clock.h"
#include "turned_clock.h"

#define WIRE_BYTES_PER_S 92160 /* bytes: 921,600 baud, more than almost any wire */

struct bench {
    struct intake intake;
    int ends[2];
    size_t received;
    bool ended;
};

static void fill(struct bench *bench)
{
    static const uint8_t bytes[4096];
    while (write(bench->ends[1], bytes, sizeof bytes) > 0)
        continue;
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct bench *bench = data;
    bench->received += size;
}

static void on_ended(void *data, const char *why)
{
    struct bench *bench = data;
    bench->ended = true;
    intake_stop(&bench->intake);
}

static int set_up(void **state)
{
    static struct bench bench;
    static const struct intake_events events = {.received = on_received, .ended = on_ended};
    bench = (struct bench){.received = 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, bench.ends), 0);
    intake_init(&bench.intake, ev_default_loop(0), &events, &bench);
    intake_start(&bench.intake, bench.ends[0]);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    intake_stop(&bench->intake);
    close(bench->ends[0]);
    close(bench->ends[1]);
    return 0;
}

#define INTAKE_TEST(name) TEST_WITH(name, set_up, tear_down)

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    ev_break(loop, EVBREAK_ONE);
}

/* All bytes that a wire can deliver are read, but not all that such a far end sends. */
INTAKE_TEST(takes_what_a_wire_can_bring)
{
    struct bench *bench = *state;
    ev_timer second;
    ev_timer_init(&second, on_second, 1, 0);
    ev_now_update(ev_default_loop(0));
    ev_timer_start(ev_default_loop(0), &second);
    while (ev_is_active(&second)) {
        fill(bench);
        ev_run(ev_default_loop(0), EVRUN_ONCE);
    }
    assert_in_range(bench->received, WIRE_BYTES_PER_S, 4 * WIRE_BYTES_PER_S);
}

/* Before a request is sent: reads as much as a serial port's buffer holds, not everything that arrives. */
INTAKE_TEST(takes_what_is_there)
{
    struct bench *bench = *state;
    fill(bench);
    assert_true(intake_receive(&bench->intake));
    assert_in_range(bench->received, 32768, 131072);
    close(bench->ends[1]);
    while (intake_receive(&bench->intake))
        continue;
    bench->ends[1] = dup(bench->ends[0]);
}

INTAKE_TEST(tells_the_end)
{
    struct bench *bench = *state;
    assert_int_equal(write(bench->ends[1], "x", 1), 1);
    assert_int_equal(shutdown(bench->ends[1], SHUT_WR), 0);
    while (!bench->ended)
        ev_run(ev_default_loop(0), EVRUN_ONCE);
    assert_int_equal(bench->received, 1);
}
