// SPDX-License-Identifier: MIT
/* The inside of an outlet on a pipe whose other end is this file, with a test-controlled clock. */
#include "outlets/outlet.h"

#include "turned_clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#define PLACES 64 /* places for requests in progress */

static int gateway_end;

static struct life {
    struct outlet *outlet;
    ev_timer later;
    unsigned over[2 * PLACES + 1]; /* number of answers, by ticket */
    unsigned unanswered;
    bool refused_when_full, taken_afterwards;
} life;

static void on_done(void *data, uint64_t ticket, enum order_result result)
{
    life.over[ticket]++;
    life.unanswered += result == ORDER_UNANSWERED;
}

static bool order(uint64_t ticket)
{
    struct switches what = {.wanted = {true}};
    return outlet_order(life.outlet, outlet_pack(life.outlet, 0), &what, on_done, NULL, ticket);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int revents)
{
    life.taken_afterwards = order(PLACES);
    outlet_over(life.outlet);
}

/* The gateway reads all orders and answers only the first. */
static void *start(struct outlet *outlet)
{
    life.outlet = outlet;
    for (uint64_t i = 0; i < PLACES; i++)
        assert_true(order(i));
    life.refused_when_full = !order(PLACES);
    ev_timer_init(&life.later, on_later, OUTLET_ORDER_S + 5, 0);
    ev_timer_start(outlet_loop(outlet), &life.later);
    const struct pipe_message done = {.type = PIPE_DONE, .done = {1, ORDER_DONE}};
    assert_true(pipe_send(gateway_end, &done, -1));
    /* A repeated answer belongs to no order. */
    assert_true(pipe_send(gateway_end, &done, -1));
    return &life;
}

static void changed(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
}

static void stop(void *self, bool gone)
{
    outlet_over(life.outlet);
}

static const struct outlet_kind kind = {
    .name = "x", .settings_size = 8, .start = start, .changed = changed, .stop = stop};

static void send_config(void)
{
    static const uint8_t settings[8];
    const struct source shed = {
        .name = "shed", .title = "shed", .line = "shed", .unit = 1, .writable = true};
    const struct source *const sources[] = {&shed};
    struct pipe_config config = {
        .kind = "x", .settings = settings, .settings_size = sizeof settings, .pack_count = 1};
    size_t size;
    char *bytes = pipe_compose(&config, sources, &size);
    const int file = pipe_text_file(bytes, size);
    assert_true(pipe_send(gateway_end, &(struct pipe_message){.type = PIPE_CONFIG}, file));
    close(file);
    free(bytes);
}

/* An order whose answer was lost does not occupy its place for ever. */
TEST(lost_answers)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    gateway_end = ends[0];
    send_config();
    assert_int_equal(outlet_run(&kind, ends[1]), 0);
    assert_true(life.refused_when_full);
    assert_true(life.taken_afterwards);
    assert_int_equal(life.unanswered, PLACES - 1);
    for (int i = 0; i < PLACES; i++)
        assert_int_equal(life.over[i], 1);
}
