// SPDX-License-Identifier: MIT
/*
 * Answers to requests of ours that come late, when somebody else has borrowed the line: with every driver that asks, each of its
 * requests in the place of ours and of his. His answer always reaches him, whole; ours does not, where the protocol tells them
 * apart.
 */
#include "lines/sieve.h"

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

static void hear(struct sieve *sieve, const struct loan *loan, const struct bms_output *what,
                 size_t piece, struct got *got)
{
    for (size_t at = 0; at < what->size; at += piece) {
        const uint8_t *his;
        size_t size = what->size - at < piece ? what->size - at : piece;
        size = sieve_take(sieve, loan, what->bytes + at, size, &his);
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
static bool lend(const struct poller *poller, const struct exchange *ours,
                 const struct exchange *his, bool late, size_t piece)
{
    static struct sieve sieve;
    static struct got got;
    struct lend lend = {.single = true};
    struct loan loan = {.size = his->request.size};
    memcpy(loan.bytes, his->request.bytes, loan.size);
    sieve_clear(&sieve);
    got.size = 0;
    sieve_note(&sieve, poller, &ours->request, NOW);
    sieve_begin(&sieve, &lend, NOW + 1);
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
    sieve_begin(&sieve, &one, NOW);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, &his), sizeof begin);
    for (unsigned i = 0; i < 2 * SIEVE_MOST; i++)
        sieve_note(&sieve, poller, &request, NOW);
    sieve_begin(&sieve, &several, NOW);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, &his), sizeof begin);
    sieve_begin(&sieve, &one, NOW + SIEVE_S + 1);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, &his), sizeof begin);
    sieve_note(&sieve, poller, &request, NOW);
    sieve_begin(&sieve, &one, NOW);
    assert_int_equal(sieve_take(&sieve, &loan, begin, sizeof begin, &his), 0);
    assert_int_equal(sieve_end(&sieve, &his), sizeof begin);
    assert_memory_equal(his, begin, sizeof begin);
    assert_int_equal(sieve_end(&sieve, &his), 0);
    poller_free(poller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lets_his_pass_and_keeps_ours_back),
                                       cmocka_unit_test(passes_all_else)};
    return cmocka_run_group_tests_name("sieve", tests, NULL, NULL);
}
