// SPDX-License-Identifier: MIT
/* A far end that sends without end, on a test-controlled clock. */
#include "lines/wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#include "base/clock.h"
#include "loopback.h"
#include "turned_clock.h"

#define WIRE_BYTES_PER_S 92160 /* bytes: 921,600 baud, more than almost any wire */

struct bench {
    struct line_config config;
    struct wire wire;
    int far_end;
    size_t received;
    char why[64]; /* it was lost */
};

static void fill(struct bench *bench)
{
    static const uint8_t bytes[4096];
    while (send(bench->far_end, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
}

static void on_opened(void *data, bool away, double now)
{
}

static void on_received(void *data, const uint8_t *bytes, size_t size, double now)
{
    struct bench *bench = data;
    bench->received += size;
}

static double next_due(void *data, double now)
{
    return now;
}

static void on_closed(void *data, double now)
{
}

static bool on_down(void *data, const char *why, double now)
{
    struct bench *bench = data;
    snprintf(bench->why, sizeof bench->why, "%s", why);
    return true;
}

static int set_up(void **state)
{
    static struct bench bench;
    static const struct wire_events events = {.opened = on_opened,
                                              .received = on_received,
                                              .due = on_closed,
                                              .next_due = next_due,
                                              .closed = on_closed,
                                              .down = on_down};
    turned_clock_patience_ms = 1; /* TCP may take a moment */
    bench = (struct bench){.received = 0};
    const int listening = listen_as_line(bench.config.port, sizeof bench.config.port);
    wire_init(&bench.wire, ev_default_loop(0), &bench.config, bms_driver_find("renogy"), NULL,
              &events, &bench);
    wire_start(&bench.wire, clock_now());
    while (bench.wire.facts.state != LINE_IS_OPEN)
        ev_run(ev_default_loop(0), EVRUN_ONCE);
    bench.far_end = accept(listening, NULL, NULL);
    close(listening);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    wire_free(&bench->wire);
    close(bench->far_end);
    return 0;
}

#define WIRE_TEST(name) TEST_WITH(name, set_up, tear_down)

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    ev_break(loop, EVBREAK_ONE);
}

/* All bytes that a wire can deliver are read, but not all that such a far end sends. */
WIRE_TEST(takes_what_a_wire_can_bring)
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
WIRE_TEST(takes_what_is_there)
{
    struct bench *bench = *state;
    fill(bench);
    assert_true(wire_receive(&bench->wire, clock_now()));
    assert_in_range(bench->received, 32768, 131072);
    assert_int_equal(shutdown(bench->far_end, SHUT_WR), 0);
    while (wire_receive(&bench->wire, clock_now()))
        continue;
    assert_string_equal(bench->why, "closed by the far end");
}

WIRE_TEST(tells_the_end)
{
    struct bench *bench = *state;
    assert_int_equal(write(bench->far_end, "x", 1), 1);
    assert_int_equal(shutdown(bench->far_end, SHUT_WR), 0);
    while (!bench->why[0])
        ev_run(ev_default_loop(0), EVRUN_ONCE);
    assert_int_equal(bench->received, 1);
    assert_string_equal(bench->why, "closed by the far end");
}
