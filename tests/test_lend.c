// SPDX-License-Identifier: MIT
/* When a loan of the bus may begin, and when it is over: by requests and replies of a Daly. */
#include "lines/lend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REPLY_S 0.5

static const uint8_t request[] = {0xA5, 0x40, 0x90, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0x7D};
static const uint8_t reply[] = {0xA5, 0x01, 0x90, 0x08, 0x02, 0x12, 0,
                                0,    0x75, 0x30, 0x03, 0x14, 0x0E};

struct bench {
    struct line_config line;
    struct pack_config pack;
    struct poller *poller;
    struct turns turns;
    struct lend lend;
    struct loan loan;
    unsigned over;
};

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    (void) data;
    (void) bytes;
    (void) size;
}

static void on_done(void *data, enum loan_result result)
{
    (void) result;
    ((struct bench *) data)->over++;
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bench->pack = (struct pack_config){.name = "a",
                                       .line = &bench->line,
                                       .driver = bms_driver_find("daly"),
                                       .options = {.address = -1, .adr = -1},
                                       .poll_s = 1,
                                       .stale_after_s = 10};
    bench->poller = poller_new(&bench->pack);
    assert_non_null(bench->poller);
    assert_true(turns_init(&bench->turns, &bench->poller, 1));
    lend_init(&bench->lend);
    bench->loan =
        (struct loan){.received = on_received, .done = on_done, .data = bench, .queued_at = 100};
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    turns_close(&bench->turns);
    poller_free(bench->poller);
    free(bench);
    return 0;
}

static void begin(struct bench *bench, const uint8_t *bytes, size_t size, double now)
{
    memcpy(bench->loan.bytes, bytes, size);
    bench->loan.size = size;
    lend_add(&bench->lend, &bench->loan);
    assert_ptr_equal(lend_begin(&bench->lend, &bench->turns, REPLY_S, 0, now), &bench->loan);
}

static double deadline(struct bench *bench, double now)
{
    double at;
    assert_false(lend_is_over(&bench->lend, now, &at));
    double again;
    assert_true(lend_is_over(&bench->lend, at, &again));
    return at - now;
}

static void hear(struct bench *bench, const uint8_t *bytes, size_t size, double now)
{
    lend_received(&bench->lend, &bench->turns, bytes, size, REPLY_S, now);
}

/* One request that was answered by a whole frame is over soon; all else has the time of a reply. */
static void test_end(void **state)
{
    struct bench *bench = *state;
    begin(bench, request, sizeof request, 100);
    assert_float_equal(deadline(bench, 100), REPLY_S, 1e-6);
    assert_false(lend_answered(&bench->lend));
    hear(bench, reply, 6, 100.1);
    assert_false(lend_settled(&bench->lend));
    assert_float_equal(deadline(bench, 100.1), REPLY_S, 1e-6);
    hear(bench, reply + 6, sizeof reply - 6, 100.2);
    assert_true(deadline(bench, 100.2) < REPLY_S / 2);
    assert_true(lend_answered(&bench->lend));
    assert_true(lend_settled(&bench->lend));
    assert_ptr_equal(lend_end(&bench->lend, 100.3), &bench->loan);
}

/* An echo is no answer. */
static void test_echo(void **state)
{
    struct bench *bench = *state;
    begin(bench, request, sizeof request, 100);
    hear(bench, request, sizeof request, 100.1);
    assert_float_equal(deadline(bench, 100.1), REPLY_S, 1e-6);
    assert_false(lend_answered(&bench->lend));
    hear(bench, reply, sizeof reply, 100.2);
    assert_true(deadline(bench, 100.2) < REPLY_S / 2);
    assert_true(lend_answered(&bench->lend));
}

/* Two requests at once have two answers, and what is of no known protocol may have any number. */
static void test_not_single(void **state)
{
    struct bench *bench = *state;
    uint8_t both[2 * sizeof request];
    memcpy(both, request, sizeof request);
    memcpy(both + sizeof request, request, sizeof request);
    begin(bench, both, sizeof both, 100);
    hear(bench, reply, sizeof reply, 100.1);
    assert_float_equal(deadline(bench, 100.1), REPLY_S, 1e-6);
    assert_false(lend_settled(&bench->lend));
    lend_end(&bench->lend, 101);
    begin(bench, (const uint8_t *) "hello", 5, 110);
    hear(bench, reply, sizeof reply, 110.1);
    assert_float_equal(deadline(bench, 110.1), REPLY_S, 1e-6);
    hear(bench, (const uint8_t *) "x", 1, 110.2);
    assert_float_equal(deadline(bench, 110.2), REPLY_S, 1e-6);
}

/* Bytes without end, and more of them than there is room for, end it all the same. */
static void test_flood(void **state)
{
    struct bench *bench = *state;
    uint8_t noise[1000];
    memset(noise, 0x55, sizeof noise);
    begin(bench, request, sizeof request, 100);
    double at, now = 100;
    for (; now < 200 && !lend_is_over(&bench->lend, now, &at); now += 0.1)
        hear(bench, noise, sizeof noise, now);
    assert_true(now < 107);
}

/* While packs wait they come first for as long as the loan took; when none does, the next one follows. */
static void test_half(void **state)
{
    struct bench *bench = *state;
    assert_true(isinf(lend_next_at(&bench->lend, &bench->turns, true, -INFINITY, 100)));
    begin(bench, request, sizeof request, 100);
    lend_end(&bench->lend, 100.4);
    assert_true(isinf(lend_next_at(&bench->lend, &bench->turns, false, -INFINITY, 100.4)));
    lend_add(&bench->lend, &bench->loan);
    assert_float_equal(lend_next_at(&bench->lend, &bench->turns, false, -INFINITY, 100.4), 100.4,
                       1e-6);
    assert_true(isinf(lend_next_at(&bench->lend, &bench->turns, true, -INFINITY, 100.4)));
    assert_true(isinf(lend_next_at(&bench->lend, &bench->turns, true, -INFINITY,
                                   101))); /* one of theirs at least */
    lend_pay(&bench->lend, 100.7);
    assert_true(isinf(lend_next_at(&bench->lend, &bench->turns, true, -INFINITY, 101)));
    lend_pay(&bench->lend, 100.9);
    assert_float_equal(lend_next_at(&bench->lend, &bench->turns, true, -INFINITY, 101), 101, 1e-6);
    assert_true(lend_remove(&bench->lend, &bench->loan));
    assert_false(lend_remove(&bench->lend, &bench->loan));
    /* Short ones do not follow one another without a pause. */
    begin(bench, request, sizeof request, 200);
    lend_end(&bench->lend, 200.001);
    lend_add(&bench->lend, &bench->loan);
    assert_true(lend_next_at(&bench->lend, &bench->turns, false, -INFINITY, 200.001) > 200.04);
}

static void test_expired(void **state)
{
    struct bench *bench = *state;
    lend_add(&bench->lend, &bench->loan);
    assert_null(lend_expired(&bench->lend, 100 + 5));
    assert_ptr_equal(lend_expired(&bench->lend, 100 + 5 + 0.1), &bench->loan);
    assert_null(lend_expired(&bench->lend, 1000));
    bench->loan.open_end = true; /* a program is connected, and waits */
    lend_add(&bench->lend, &bench->loan);
    assert_null(lend_expired(&bench->lend, 1000));
}

/* What nobody wants any more goes on until the line is quiet. */
static void test_orphan(void **state)
{
    struct bench *bench = *state;
    begin(bench, request, sizeof request, 100);
    lend_orphan(&bench->lend, REPLY_S, 100.1);
    assert_ptr_not_equal(bench->lend.current, &bench->loan);
    hear(bench, reply, sizeof reply, 100.2);
    assert_true(deadline(bench, 100.2) < REPLY_S / 2);
    lend_end(&bench->lend, 100.4);
    assert_int_equal(bench->over, 0);

    bench->loan.open_end = true;
    begin(bench, request, 0, 200);
    double at;
    assert_false(lend_is_over(&bench->lend, 500, &at));
    lend_orphan(&bench->lend, REPLY_S, 500);
    assert_float_equal(deadline(bench, 500), REPLY_S, 1e-6);
    assert_false(lend_answered(&bench->lend));
    lend_end(&bench->lend, 500.5);
    assert_true(bench->lend.owed_s < 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_end),  TEST(test_echo),    TEST(test_not_single), TEST(test_flood),
        TEST(test_half), TEST(test_expired), TEST(test_orphan),
    };
    return cmocka_run_group_tests_name("lend", tests, NULL, NULL);
}
