// SPDX-License-Identifier: MIT
/*
 * Answers to requests of ours that come late, when somebody else has borrowed the line: with every driver that asks, each of its
 * requests in the place of ours and of his. His answer always reaches him, whole; ours does not, where the protocol tells them
 * apart.
 */
#include "lines/sieve.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 100.0

struct exchange {
    struct bms_request request;
    struct bms_output answer;
};

/* What he got. */
struct got {
    uint8_t bytes[3 * BMS_FRAME_MAX];
    size_t size;
};

static struct pack_config config;
static struct line_config line;

static struct poller *make_poller(const struct bms_driver *driver)
{
    config = (struct pack_config){.name = "a",
                                  .line = &line,
                                  .driver = driver,
                                  .options = {.address = -1, .adr = -1},
                                  .poll_s = 1,
                                  .stale_after_s = 10};
    struct poller *poller = poller_new(&config);
    assert_non_null(poller);
    return poller;
}

static void fill(struct pack *pack)
{
    pack_clear(pack);
    pack_set(pack, VOLTAGE_V, 52.5);
    pack_set(pack, CURRENT_A, -3);
    pack_set(pack, SOC_PERCENT, 60);
    pack_set(pack, CELL_COUNT, 16);
    for (int i = 0; i < 16; i++)
        pack_set(pack, (enum pack_value)(CELL_MV + i), 3300 + i);
    pack_derive(pack);
}

/* Walks the plan, twice, as some of it is only asked with what was learned before. Returns how many there are. */
static unsigned walk(struct poller *poller, struct exchange *exchanges)
{
    struct bms *bms = &poller->bms, far = poller->bms;
    unsigned count = 0;
    for (unsigned round = 0; round < 2; round++) {
        count = 0;
        for (unsigned step = 0; step < bms->driver->steps; step++) {
            struct exchange *exchange = &exchanges[count];
            struct pack pack, values;
            fill(&values);
            pack_clear(&pack);
            exchange->answer.size = 0;
            if (!bms->driver->build(bms, step, &exchange->request))
                continue;
            bms->driver->emulate(&far, &values, exchange->request.bytes, exchange->request.size,
                                 &exchange->answer);
            if (exchange->answer.size == 0)
                continue;
            for (size_t at = 0; at < exchange->answer.size;) {
                struct bms_span span =
                    bms->driver->frame(bms, &exchange->request, exchange->answer.bytes + at,
                                       exchange->answer.size - at);
                if (span.kind == BMS_MORE)
                    break;
                if (span.kind == BMS_FRAME)
                    bms->driver->decode(bms, &exchange->request, exchange->answer.bytes + at,
                                        span.size, &pack);
                at += span.size;
            }
            count++;
        }
    }
    return count;
}

static void ask(struct sieve *sieve, struct poller *poller, const struct bms_request *request,
                double now)
{
    sieve_ask(sieve, poller, request->bytes, request->size, false, now);
}

static void hear(struct sieve *sieve, const struct loan *loan, const struct bms_output *what,
                 size_t piece, struct got *got)
{
    for (size_t at = 0; at < what->size; at += piece) {
        const uint8_t *his;
        size_t size = what->size - at < piece ? what->size - at : piece;
        size = sieve_take(sieve, loan, what->bytes + at, size, NOW + 1, &his);
        memcpy(got->bytes + got->size, his, size);
        got->size += size;
    }
}

static void end(struct sieve *sieve, struct got *got)
{
    const uint8_t *his;
    size_t size = sieve_end(sieve, &his);
    if (size > 0)
        memcpy(got->bytes + got->size, his, size);
    got->size += size;
}

/* `late`: ours comes before his. True: he got his answer and nothing else. */
static bool lend(struct poller *poller, const struct exchange *ours, const struct exchange *his,
                 bool late, size_t piece)
{
    static struct sieve sieve;
    static struct got got;
    struct lend lend = {.single = true};
    struct loan loan = {.size = his->request.size};
    memcpy(loan.bytes, his->request.bytes, loan.size);
    sieve = (struct sieve){.count = 0};
    got.size = 0;
    ask(&sieve, poller, &ours->request, NOW);
    sieve_over(&sieve, false, NOW);
    sieve_begin(&sieve, &lend);
    if (late)
        hear(&sieve, &loan, &ours->answer, piece, &got);
    hear(&sieve, &loan, &his->answer, piece, &got);
    end(&sieve, &got);
    const size_t size = his->answer.size;
    assert_true(got.size >= size);
    assert_memory_equal(got.bytes + got.size - size, his->answer.bytes, size);
    return got.size == size;
}

static void check_driver(const struct bms_driver *driver, unsigned *told_apart)
{
    static struct exchange exchanges[BMS_PLAN_MAX];
    struct poller *poller = make_poller(driver);
    const unsigned count = walk(poller, exchanges);
    unsigned pairs = 0, kept_back = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < count; k++) {
            const struct exchange *ours = &exchanges[i], *his = &exchanges[k];
            assert_true(lend(poller, ours, his, false, 7));
            assert_true(lend(poller, ours, his, false, 512));
            pairs += i != k;
            kept_back += i != k && lend(poller, ours, his, true, 16);
        }
    if (pairs > 0)
        print_message("%-16s %u requests: kept back %u late answers of %u\n", driver->name, count,
                      kept_back, pairs);
    *told_apart += pairs > 0 && kept_back == pairs;
    poller_free(poller);
}

static void lets_his_pass_and_keeps_ours_back(void **state)
{
    (void) state;
    unsigned told_apart = 0;
    for (size_t d = 0; bms_drivers[d]; d++)
        if (!bms_talks(bms_drivers[d]) && bms_drivers[d]->emulate && bms_drivers[d]->plan != NULL &&
            strcmp(bms_drivers[d]->name, "modbus") != 0)
            check_driver(bms_drivers[d], &told_apart);
    assert_true(told_apart >= 3);
}

/* Nothing is held where nothing is open any more, and for several requests at once. */
static void passes_all_else(void **state)
{
    (void) state;
    struct sieve sieve = {.count = 0};
    struct poller *poller = make_poller(bms_driver_find("daly"));
    const struct bms_request request = {.size = 1};
    struct loan loan = {.size = 1};
    const struct lend one = {.single = true}, several = {.single = false};
    const uint8_t begin[] = {0xA5, 0x01, 0x90};
    const uint8_t *his;
    sieve_begin(&sieve, &one);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, NOW, &his), sizeof begin);
    for (unsigned i = 0; i < 2 * SIEVE_MOST; i++)
        ask(&sieve, poller, &request, NOW);
    sieve_begin(&sieve, &several);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, NOW, &his), sizeof begin);
    sieve_begin(&sieve, &one);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, NOW, &his), 0);
    assert_int_equal(sieve_end(&sieve, &his), sizeof begin);
    assert_memory_equal(his, begin, sizeof begin);
    assert_int_equal(sieve_end(&sieve, &his), 0);
    poller_free(poller);
}

#define SHORT_S 1.8

/* The bytes that a test says: two kinds of answers of a Daly, and what asks for them. */
static struct exchange kinds[BMS_PLAN_MAX];

static void say(struct sieve *sieve, const struct exchange *exchange, double now)
{
    sieve_hear(sieve, exchange->answer.bytes, exchange->answer.size, now);
}

static void exchange(struct sieve *sieve, struct poller *poller, const struct exchange *asked,
                     const struct exchange *heard, double now)
{
    ask(sieve, poller, &asked->request, now);
    if (heard)
        say(sieve, heard, now + 0.1);
    sieve_over(sieve, heard == asked, now + 0.1);
}

static bool is_clear(const struct sieve *sieve)
{
    return isinf(sieve_clear_at(sieve, SHORT_S));
}

/* What was asked is through, or may still come. */
static void knows_what_is_open(void **state)
{
    (void) state;
    static struct sieve sieve;
    struct poller *poller = make_poller(bms_driver_find("daly")),
                  *other = make_poller(bms_driver_find("jbd"));
    assert_true(walk(poller, kinds) >= 2);
    const struct exchange *one = &kinds[0], *two = &kinds[1];
    exchange(&sieve, poller, one, one, 100);
    assert_true(is_clear(&sieve));

    /* Another kind of answer settles it, the same kind only one of them. */
    exchange(&sieve, poller, one, NULL, 200);
    exchange(&sieve, poller, one, one, 201);
    assert_false(is_clear(&sieve));
    exchange(&sieve, poller, two, two, 202);
    assert_true(is_clear(&sieve));

    /* Late, one for each. */
    exchange(&sieve, poller, one, NULL, 300);
    exchange(&sieve, poller, one, NULL, 301);
    for (int i = 0; i < 2; i++) {
        assert_false(is_clear(&sieve));
        say(&sieve, one, 304 + i);
        sieve_look(&sieve, 304 + i);
    }
    assert_true(is_clear(&sieve));

    /* One that answers, but always the same: as long as that took, and then what it answers at once. */
    exchange(&sieve, poller, one, NULL, 400);
    exchange(&sieve, poller, one, one, 404);
    assert_true(fabs(sieve_clear_at(&sieve, SHORT_S) - (404.1 + SIEVE_DEAD_S)) < 1e-6);
    assert_true(fabs(sieve_clear_at(&sieve, 5) - (404 + 5)) < 1e-6);
    assert_ptr_equal(sieve_to_ask(&sieve), poller);
    assert_null(sieve_to_ask(&sieve));
    assert_true(fabs(sieve_rest_until(&sieve, poller) - (404.1 + 4.1)) < 1e-6);
    assert_true(isinf(sieve_rest_until(&sieve, other)));
    exchange(&sieve, poller, one, one, 407);
    assert_true(fabs(sieve_rest_until(&sieve, poller) - (407.1 + 3.1)) < 1e-6);
    exchange(&sieve, poller, one, one, 410.3);
    assert_true(is_clear(&sieve));
    exchange(&sieve, poller, two, two, 411);

    /* Another pack says nothing of it. */
    exchange(&sieve, poller, one, NULL, 500);
    walk(other, kinds + 2);
    exchange(&sieve, other, &kinds[2], &kinds[2], 501);
    assert_false(is_clear(&sieve));
    assert_ptr_equal(sieve_to_ask(&sieve), poller);
    exchange(&sieve, poller, two, two, 502);
    assert_true(is_clear(&sieve));

    /* One that is dead costs a long wait once. */
    exchange(&sieve, poller, one, NULL, 600);
    exchange(&sieve, poller, one, NULL, 606);
    assert_true(fabs(sieve_clear_at(&sieve, SHORT_S) - (600 + SIEVE_DEAD_S)) < 1e-6);
    for (int i = 1; i < 100; i++)
        exchange(&sieve, poller, one, NULL, 600 + 20 * i);
    assert_true(fabs(sieve_clear_at(&sieve, SHORT_S) - (600 + 20 * 99 + SHORT_S)) < 1e-6);
    /* And what it was asked when it was dead is not what it answers. */
    exchange(&sieve, poller, one, one, 2600);
    assert_true(is_clear(&sieve));

    /* What was asked by somebody else, and left unanswered: the first answer may be to that. */
    sieve_ask(&sieve, poller, one->request.bytes, one->request.size, true, 2700);
    assert_true(is_clear(&sieve));
    exchange(&sieve, poller, one, one, 2701);
    assert_false(is_clear(&sieve));
    exchange(&sieve, poller, two, two, 2702);
    assert_true(is_clear(&sieve));
    poller_free(poller);
    poller_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lets_his_pass_and_keeps_ours_back),
                                       cmocka_unit_test(passes_all_else),
                                       cmocka_unit_test(knows_what_is_open)};
    return cmocka_run_group_tests_name("sieve", tests, NULL, NULL);
}
