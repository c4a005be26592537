// SPDX-License-Identifier: MIT
/* A line that is lent: when a loan ends, and with which result. On a real line with a simulated
 * Daly and a test-controlled clock. */
#include "lines/line.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "turned_clock.h"

#define REPLY_S 0.5 /* reply_timeout */
#define DELAY_S 0.1
#define ANSWER_S 12 /* that an answer can take */

static const uint8_t asked[] = {0xA5, 0x40, 0x90, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0x7D};
static const uint8_t to_nobody[] = {0xA5, 0x41, 0x90, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0x7E};

struct bench {
    struct ev_loop *loop;
    struct line_config line_config;
    struct pack_config pack;
    struct poller *poller;
    struct line *line;
    struct loan loan;
    double began_at, ended_at; /* 0: it did not */
    enum loan_result result;
    size_t received;
    unsigned published;
};

static void on_published(void *data, struct poller *poller, double now)
{
    ((struct bench *) data)->published++;
}

static void on_begun(void *data)
{
    ((struct bench *) data)->began_at = clock_now();
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    ((struct bench *) data)->received += size;
}

static void on_done(void *data, enum loan_result result)
{
    struct bench *bench = data;
    bench->ended_at = clock_now();
    bench->result = result;
}

static void start_bench(struct bench *bench, const char *more)
{
    static const struct line_events events = {.published = on_published};
    *bench = (struct bench){.loop = ev_default_loop(0),
                            .line_config = {.name = "line", .reply_ms = REPLY_S * 1000}};
    snprintf(bench->line_config.port, sizeof bench->line_config.port, "sim:delay=%.0f%s",
             DELAY_S * 1000, more);
    bench->pack = (struct pack_config){.name = "pack",
                                       .line = &bench->line_config,
                                       .driver = bms_driver_find("daly"),
                                       .options = {.address = -1, .adr = -1},
                                       .poll_s = 10,
                                       .stale_after_s = 30};
    bench->poller = poller_new(&bench->pack);
    bench->line = line_new(bench->loop, &bench->line_config, &bench->poller, 1, &events, bench);
    assert_non_null(bench->line);
    line_start(bench->line);
    ev_now_update(bench->loop);
}

static void open_bench(struct bench *bench, const char *more)
{
    start_bench(bench, more);
    while (bench->published < 2)
        ev_run(bench->loop, EVRUN_ONCE);
}

static void close_bench(struct bench *bench)
{
    line_free(bench->line);
    poller_free(bench->poller);
}

static void lend(struct bench *bench, const uint8_t *bytes, size_t size)
{
    bench->loan = (struct loan){.size = size,
                                .open_end = size == 0,
                                .begun = on_begun,
                                .received = on_received,
                                .done = on_done,
                                .data = bench,
                                .queued_at = clock_now()};
    if (size > 0)
        memcpy(bench->loan.bytes, bytes, size);
    bench->began_at = bench->ended_at = 0;
    bench->received = 0;
    assert_true(line_lend(bench->line, &bench->loan));
}

static void run_for(struct bench *bench, double seconds)
{
    const double end = clock_now() + seconds;
    while (clock_now() < end && bench->ended_at == 0)
        ev_run(bench->loop, EVRUN_ONCE);
}

/* Duration of the loan in seconds. */
static double play(struct bench *bench, const uint8_t *bytes, size_t size)
{
    lend(bench, bytes, size);
    while (bench->ended_at == 0)
        ev_run(bench->loop, EVRUN_ONCE);
    return bench->ended_at - bench->began_at;
}

/* The loan ends soon after everything was answered; else after the time of a reply. */
TEST(ends_when_all_is_answered)
{
    struct bench bench;
    uint8_t both[2 * sizeof asked];
    memcpy(both, asked, sizeof asked);
    memcpy(both + sizeof asked, asked, sizeof asked);
    open_bench(&bench, "");
    assert_true(play(&bench, asked, sizeof asked) < DELAY_S + REPLY_S / 2);
    assert_int_equal(bench.result, LOAN_ANSWERED);
    assert_int_equal(bench.received, sizeof asked);
    play(&bench, both, sizeof both);
    assert_int_equal(bench.result, LOAN_ANSWERED);
    assert_int_equal(bench.received, sizeof both);
    assert_true(play(&bench, (const uint8_t *) "hello", 5) >= REPLY_S);
    assert_int_equal(bench.result, LOAN_UNANSWERED);
    close_bench(&bench);
}

TEST(takes_no_echo_for_an_answer)
{
    struct bench bench;
    open_bench(&bench, ",echo=1");
    assert_true(play(&bench, asked, sizeof asked) < DELAY_S + REPLY_S / 2);
    assert_int_equal(bench.result, LOAN_ANSWERED);
    assert_int_equal(bench.received, 2 * sizeof asked);
    assert_true(play(&bench, to_nobody, sizeof to_nobody) >= REPLY_S);
    assert_int_equal(bench.result, LOAN_UNANSWERED);
    assert_int_equal(bench.received, sizeof to_nobody);
    close_bench(&bench);
}

/* A program whose bytes are too old by now gets an error; one with exclusive use of the line continues to wait. */
TEST(gives_up_what_waits_for_too_long)
{
    struct bench bench;
    struct loan first;
    open_bench(&bench, "");
    lend(&bench, NULL, 0);
    while (bench.began_at == 0)
        ev_run(bench.loop, EVRUN_ONCE);
    first = bench.loan;
    first.queued_at = clock_now();
    assert_true(line_lend(bench.line, &first));
    struct loan late = {.size = sizeof asked,
                        .received = on_received,
                        .done = on_done,
                        .data = &bench,
                        .queued_at = clock_now()};
    memcpy(late.bytes, asked, sizeof asked);
    assert_true(line_lend(bench.line, &late));
    run_for(&bench, 4 * ORDER_VALID_S);
    assert_true(bench.ended_at == 0);
    const double begun_at = bench.began_at;
    line_take_back(bench.line, &bench.loan);
    while (bench.ended_at == 0 || bench.began_at == begun_at)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(bench.result, LOAN_TOO_LATE);
    line_take_back(bench.line, &first);
    close_bench(&bench);
}

/* An answer that the program no longer expects is still awaited, and is not mistaken for ours. */
TEST(goes_on_without_the_borrower)
{
    struct bench bench;
    open_bench(&bench, "");
    lend(&bench, asked, sizeof asked);
    while (bench.began_at == 0)
        ev_run(bench.loop, EVRUN_ONCE);
    line_take_back(bench.line, &bench.loan);
    memset(&bench.loan, 0x5A, sizeof bench.loan);
    const unsigned published = bench.published;
    while (bench.published < published + 2)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(bench.received, 0);
    assert_true(bench.ended_at == 0);
    close_bench(&bench);
}

/* A pack that has answered nothing for as long as an answer can take is off: the program need not wait for the answer to the
 * last poll. */
TEST(does_not_wait_for_a_pack_that_is_off)
{
    struct bench bench;
    start_bench(&bench, ",drop=1");
    run_for(&bench, ANSWER_S + 2);
    play(&bench, to_nobody, sizeof to_nobody);
    assert_int_equal(bench.result, LOAN_UNANSWERED);
    assert_true(bench.began_at - bench.loan.queued_at < 2 * REPLY_S);
    close_bench(&bench);
}
