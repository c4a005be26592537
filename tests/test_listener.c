// SPDX-License-Identifier: MIT
/*
 * Lines that have another master: a master polls emulated packs, and the listener only receives the
 * bytes between them, whole, byte by byte, merged, torn and damaged. It reports what the master has
 * read, never more, and never as younger than it is.
 */
#include "lines/hear/listener.h"
#include "answers.h"

#include "commands/exchange.h"
#include "lines/reply.h"
#include "bms/battery.h"
#include "bms/checksum.h"
#include "bms/prng.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define PACKS_MOST 3
#define REPLY_S 0.06
#define BYTE_S (10.0 / 9600)
#define SETTLED                                                                                    \
    14 /* rounds: with a weak checksum several readings must agree, and a master tries what packs do not know */

static const struct line_config line_config = {.name = "line", .listen = true};

enum pieces {
    WHOLE,  /* one frame at a time */
    BYTES,  /* one byte at a time */
    TORN,   /* in two halves with a pause between */
    MERGED, /* request and reply arrive together */
    PIECES
};

struct bench {
    const struct bms_driver *driver;
    unsigned count;
    struct pack_config configs[PACKS_MOST];
    struct bms devices[PACKS_MOST];
    struct pack told[PACKS_MOST]; /* the values of the packs */
    struct poller *masters[PACKS_MOST], *pollers[PACKS_MOST];
    struct wire wire;
    struct turns turns;
    struct listener *listener;
    double now;
    enum pieces pieces;
    uint8_t held[BMS_REQUEST_MAX + BMS_FRAME_MAX]; /* of MERGED: the request */
    size_t held_size;
    double first_question_at; /* of this round */
    unsigned heard[PACKS_MOST];
    double youngest_s, oldest_s; /* the ages that were reported */
    size_t shown, withheld;
    bool (*spoil)(struct bench *bench, uint8_t *bytes, size_t *size, bool question);
};

static void on_heard(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    bench->youngest_s = fmin(bench->youngest_s, now - poller->published_at);
    bench->oldest_s = fmax(bench->oldest_s, now - poller->published_at);
    for (unsigned i = 0; i < bench->count; i++)
        if (bench->pollers[i] == poller)
            bench->heard[i]++;
}

static void on_show(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct bench *bench = data;
    bench->shown += direction == '#' ? 0 : size;
    bench->withheld += direction == '#' ? size : 0;
}

static void open_bench(struct bench *bench, const struct bms_driver *driver, enum pieces pieces)
{
    *bench = (struct bench){.driver = driver, .pieces = pieces, .now = 100, .youngest_s = INFINITY};
    bench->count = bms_has_address(driver) ? PACKS_MOST : 1;
    for (unsigned i = 0; i < bench->count; i++) {
        struct battery battery;
        const struct battery_settings settings = {.cells = 16,
                                                  .temps = 4,
                                                  .capacity_ah = 100 + 10 * i,
                                                  .soc_percent = 40 + 10 * i,
                                                  .ambient_c = 20,
                                                  .seed = i};
        bench->configs[i] = (struct pack_config){
            .name = "pack",
            .line = &line_config,
            .driver = driver,
            .options = {.address = bms_has_address(driver) ? 1 + (int) i : -1, .adr = -1},
            .poll_s = 1,
            .stale_after_s = 10,
        };
        battery_init(&battery, &settings);
        battery_step(&battery, 60, &bench->told[i]);
        bms_init(&bench->devices[i], driver);
        bench->devices[i].options.address = bench->configs[i].options.address;
        bench->masters[i] = poller_new(&bench->configs[i]);
        bench->pollers[i] = poller_new(&bench->configs[i]);
    }
    bench->wire = (struct wire){.baud = 9600, .mask = {.show = on_show, .data = bench}};
    turns_init(&bench->turns, &bench->wire, bench->pollers, bench->count);
    bench->listener = listener_new(&bench->turns, on_heard, bench);
    assert_non_null(bench->listener);
}

static void close_bench(struct bench *bench)
{
    listener_free(bench->listener);
    turns_close(&bench->turns);
    for (unsigned i = 0; i < bench->count; i++) {
        poller_free(bench->masters[i]);
        poller_free(bench->pollers[i]);
    }
}

static void pass(struct bench *bench, const uint8_t *bytes, size_t size)
{
    listener_take(bench->listener, bytes, size, bench->now, 0);
}

/* Delivers bytes from the wire to the listener's port. */
static void deliver(struct bench *bench, const uint8_t *bytes, size_t size, bool question)
{
    static uint8_t copy[BMS_FRAME_MAX];
    memcpy(copy, bytes, size);
    if (bench->spoil && !bench->spoil(bench, copy, &size, question))
        return;
    switch (bench->pieces) {
    case BYTES:
        for (size_t i = 0; i < size; i++) {
            pass(bench, copy + i, 1);
            bench->now += 0.0001;
        }
        break;
    case TORN:
        pass(bench, copy, size / 2);
        bench->now += 0.05;
        pass(bench, copy + size / 2, size - size / 2);
        break;
    case MERGED:
        memcpy(bench->held + bench->held_size, copy, size);
        bench->held_size += size;
        if (!question) {
            pass(bench, bench->held, bench->held_size);
            bench->held_size = 0;
        }
        break;
    default:
        pass(bench, copy, size);
    }
}

/* The answer of a pack. A pack does not answer requests to others. */
static size_t ask(struct bench *bench, unsigned i, const struct bms_request *request,
                  struct reply *feed)
{
    static struct bms_output out;
    reply_clear(feed);
    for (size_t at = 0; at < request->size;) {
        size_t used = bms_emulate(&bench->devices[i], &bench->told[i], request->bytes + at,
                                  request->size - at, &out);
        reply_append(feed, out.bytes, out.size);
        at += used ? used : 1;
    }
    return feed->size;
}

/* The master reads all values of a pack once. */
static void read_pack(struct bench *bench, unsigned i)
{
    static struct reply feed;
    struct poller *master = bench->masters[i];
    struct bms_request request;
    bool published = false, any = false;
    master->pace.due = 0;
    while (next_request(master, bench->now, &request, &published)) {
        if (!any)
            bench->first_question_at = bench->now;
        any = true;
        deliver(bench, request.bytes, request.size, true);
        bench->now += REPLY_S;
        ask(bench, i, &request, &feed);
        if (feed.size > 0)
            deliver(bench, feed.bytes, feed.size, false);
        else if (bench->held_size > 0) { /* nothing answers the request that is held */
            pass(bench, bench->held, bench->held_size);
            bench->held_size = 0;
        }
        bench->now += 0.02;
        const enum reply_state state =
            reply_decode(&feed, &master->bms, &request, true, &master->incoming);
        if (state == REPLY_DONE)
            answer_request(master, bench->now);
        else if (state == REPLY_REFUSED)
            refuse_request(master, bench->now);
        else
            plan_unanswered(master, bench->now);
    }
    bench->now += 0.2;
    listener_wait(bench->listener, bench->now);
}

static void read_all(struct bench *bench, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < bench->count; i++)
            read_pack(bench, i);
        bench->now += 0.5;
        listener_wait(bench->listener, bench->now);
    }
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) < 1e-9;
}

/* Everything that the master has read is known, and nothing else. */
static void expect_the_masters(const struct bench *bench)
{
    for (unsigned i = 0; i < bench->count; i++) {
        const struct pack *master = &bench->masters[i]->values, *heard = &bench->pollers[i]->values;
        assert_true(pack_known(master, VOLTAGE_V));
        for (unsigned id = 0; id < PACK_VALUES; id++)
            if (!same(master->value[id], heard->value[id]))
                fail_msg("%s %u in pieces %d: value %u is %g for the master, %g was heard",
                         bench->driver->name, i, (int) bench->pieces, id, master->value[id],
                         heard->value[id]);
        if (master->alarms_known != heard->alarms_known)
            fail_msg("%s %u: alarms", bench->driver->name, i);
        assert_int_equal(master->alarms_protection, heard->alarms_protection);
        for (unsigned id = 0; id < PACK_TEXTS; id++)
            assert_string_equal(master->text[id], heard->text[id]);
    }
}

static bool listens(const struct bms_driver *driver)
{
    return driver->question != NULL;
}

TEST(hears_what_the_master_reads)
{
    unsigned drivers = 0;
    for (size_t d = 0; bms_drivers[d]; d++)
        for (unsigned pieces = 0; listens(bms_drivers[d]) && pieces < PIECES; pieces++) {
            struct bench bench;
            open_bench(&bench, bms_drivers[d], (enum pieces) pieces);
            read_all(&bench, SETTLED);
            expect_the_masters(&bench);
            for (unsigned i = 0; i < bench.count; i++)
                assert_in_range(bench.heard[i], 2, 3 * SETTLED);
            close_bench(&bench);
            drivers += pieces == 0;
        }
    assert_true(drivers >= 12);
}

/* A set is as old as the first request in it, not younger; if all arrives in one piece, it is older by the time on
 * the wire. */
TEST(tells_the_age)
{
    for (size_t d = 0; bms_drivers[d]; d++)
        for (unsigned pieces = 0; listens(bms_drivers[d]) && pieces < PIECES; pieces++) {
            struct bench bench;
            open_bench(&bench, bms_drivers[d], (enum pieces) pieces);
            read_all(&bench, SETTLED);
            read_pack(&bench, 0);
            double late = bench.pollers[0]->published_at - bench.first_question_at;
            /* A request that arrives in one piece with its reply is as old as the reply, plus the time on the
             * wire. */
            if (late > (pieces == MERGED ? REPLY_S : 1e-9) || late < -6)
                fail_msg("%s in pieces %u: told as of %.3f s after its first question",
                         bench.driver->name, pieces, late);
            assert_false(poller_stale(bench.pollers[0], bench.now));
            assert_true(poller_stale(bench.pollers[0], bench.now + 12));
            close_bench(&bench);
        }
}

/* One long pause is no habit of the master's: the values are not good for longer because of it. */
TEST(takes_one_long_round_for_a_pause)
{
    struct bench bench;
    open_bench(&bench, bms_driver_find("daren"), WHOLE);
    read_pack(&bench, 0);
    assert_int_equal(bench.heard[0], 1);
    bench.now += 24;
    read_pack(&bench, 0);
    assert_int_equal(bench.heard[0], 2);
    assert_false(poller_stale(bench.pollers[0], bench.now));
    assert_true(poller_stale(bench.pollers[0], bench.now + 12));
    /* Several are. */
    for (unsigned i = 0; i < SETTLED; i++) {
        bench.now += 24;
        read_pack(&bench, 0);
    }
    assert_false(poller_stale(bench.pollers[0], bench.now + 12));
    close_bench(&bench);
}

static bool lose_questions(struct bench *bench, uint8_t *bytes, size_t *size, bool question)
{
    return !question;
}

static bool cut_replies(struct bench *bench, uint8_t *bytes, size_t *size, bool question)
{
    if (!question)
        *size /= 2;
    return true;
}

static unsigned times_heard(const struct bms_driver *driver,
                            bool (*spoil)(struct bench *, uint8_t *, size_t *, bool))
{
    struct bench bench;
    open_bench(&bench, driver, WHOLE);
    bench.spoil = spoil;
    read_all(&bench, SETTLED);
    const unsigned heard = bench.heard[0];
    close_bench(&bench);
    return heard;
}

TEST(believes_whole_exchanges_only)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!listens(bms_drivers[d]))
            continue;
        if (!bms_drivers[d]->tells_itself)
            assert_int_equal(times_heard(bms_drivers[d], lose_questions), 0);
        if (strcmp(bms_drivers[d]->name, "daly") !=
            0) /* half a reply is a whole frame of several */
            assert_int_equal(times_heard(bms_drivers[d], cut_replies), 0);
    }
}

#define LATE_S 5

static bool delay_replies(struct bench *bench, uint8_t *bytes, size_t *size, bool question)
{
    if (!question)
        bench->now += LATE_S;
    return true;
}

/* A late reply is as old as its request. */
TEST(tells_what_comes_late_as_old)
{
    unsigned heard = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!listens(bms_drivers[d]) || bms_drivers[d]->tells_itself)
            continue;
        struct bench bench;
        open_bench(&bench, bms_drivers[d], WHOLE);
        bench.spoil = delay_replies;
        read_all(&bench, SETTLED);
        assert_true(bench.youngest_s >= LATE_S);
        heard += bench.heard[0];
        close_bench(&bench);
    }
    assert_true(heard > 0);
}

static bool repeat_replies(struct bench *bench, uint8_t *bytes, size_t *size, bool question)
{
    if (!question)
        pass(bench, bytes, *size);
    return true;
}

/* A repeated reply has no request any more. */
TEST(believes_a_reply_once)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!listens(bms_drivers[d]) || bms_drivers[d]->tells_itself)
            continue;
        const unsigned once = times_heard(bms_drivers[d], NULL);
        assert_int_equal(times_heard(bms_drivers[d], repeat_replies), once);
    }
}

/* The request that reads a pack's vital values, or (NULL) the vital steps of the plan. */
static struct bms_request question_of(const struct bms_driver *driver, int address,
                                      const char *name)
{
    struct bms bms;
    struct bms_request request = {.size = 0};
    unsigned step = 0;
    bms_init(&bms, driver);
    bms.options.address = address;
    while (name ? strcmp(driver->plan[step].name, name) != 0 : !driver->plan[step].vital)
        step++;
    assert_true(driver->build(&bms, step, &request));
    return request;
}

static struct bms_request vital_question(const struct bms_driver *driver, int address)
{
    return question_of(driver, address, NULL);
}

/* The sixth byte of a record is a counter on some boards. */
static void count_record(struct reply *feed, uint8_t number)
{
    feed->bytes[5] = number;
    feed->bytes[299] = 0;
    for (unsigned i = 0; i < 299; i++)
        feed->bytes[299] = (uint8_t) (feed->bytes[299] + feed->bytes[i]);
}

/* A JK-PB at address 0 asks packs 1 to 15, most of which do not exist, every 0.4 s, and sends its own record when it
 * would be its turn: after an unanswered request to another pack. */
TEST(hears_what_a_master_tells_of_itself)
{
    const struct bms_driver *driver = bms_driver_find("jk-pb");
    static struct reply feed;
    struct bench bench;
    open_bench(&bench, driver, WHOLE);
    bench.devices[0].options.address = bench.pollers[0]->bms.options.address = 0;
    for (unsigned round = 0; round < SETTLED; round++) {
        for (int address = 1; address <= 15; address++) {
            const struct bms_request question = vital_question(driver, address);
            deliver(&bench, question.bytes, question.size, true);
            bench.now += REPLY_S;
            if (address == 2 && ask(&bench, 1, &question, &feed) > 0)
                deliver(&bench, feed.bytes, feed.size, false);
            bench.now += 0.34;
            listener_wait(bench.listener, bench.now);
        }
        const struct bms_request itself = vital_question(driver, 0);
        assert_true(ask(&bench, 0, &itself, &feed) > 0);
        count_record(&feed, (uint8_t) round);
        deliver(&bench, feed.bytes, feed.size, false);
        const struct bms_request settings = question_of(driver, 0, "settings");
        assert_true(ask(&bench, 0, &settings, &feed) > 0);
        deliver(&bench, feed.bytes, feed.size, false);
        bench.now += 0.4;
        listener_wait(bench.listener, bench.now);
    }
    unsigned settings = 0;
    for (unsigned id = SETTINGS_FIRST; id < SETTINGS_END; id++)
        settings += pack_known(&bench.pollers[0]->values, (enum pack_value) id);
    assert_true(settings > 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct pack *heard = &bench.pollers[i]->values;
        assert_in_range(bench.heard[i], SETTLED - 4, SETTLED);
        assert_float_equal(heard->value[CELL_MV], bench.told[i].value[CELL_MV], 1);
        assert_float_equal(heard->value[SOC_PERCENT], bench.told[i].value[SOC_PERCENT], 1);
    }
    assert_int_equal(bench.heard[2], 0);
    close_bench(&bench);
}

/* Packs that are not configured on this line, polled by the same master. */
TEST(keeps_to_its_own_packs)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!listens(bms_drivers[d]) || !bms_has_address(bms_drivers[d]))
            continue;
        struct bench bench;
        open_bench(&bench, bms_drivers[d], WHOLE);
        listener_free(bench.listener);
        turns_close(&bench.turns);
        turns_init(&bench.turns, &bench.wire, &bench.pollers[1], 1);
        bench.listener = listener_new(&bench.turns, on_heard, &bench);
        read_all(&bench, SETTLED);
        assert_int_equal(bench.heard[0], 0);
        assert_int_equal(bench.heard[2], 0);
        assert_true(bench.heard[1] > 0);
        for (unsigned id = 0; id < PACK_VALUES; id++)
            assert_true(
                same(bench.masters[1]->values.value[id], bench.pollers[1]->values.value[id]));
        close_bench(&bench);
    }
}

/* Orders of another master are ignored, and change no value. */
TEST(passes_over_orders)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        if (!listens(driver) || !driver->control)
            continue;
        struct bench bench;
        static struct reply feed;
        open_bench(&bench, driver, WHOLE);
        read_all(&bench, SETTLED);
        const unsigned before = bench.heard[0];
        const uint32_t polls = bench.pollers[0]->counters.polls;
        struct bms_request request;
        if (driver->control(&bench.masters[0]->bms, BMS_DISCHARGE_MOS, false, &request)) {
            deliver(&bench, request.bytes, request.size, true);
            ask(&bench, 0, &request, &feed);
            deliver(&bench, feed.bytes, feed.size, false);
            bench.now += 1;
            listener_wait(bench.listener, bench.now);
            assert_int_equal(bench.heard[0], before);
            assert_int_equal(bench.pollers[0]->counters.polls, polls);
        }
        read_all(&bench, SETTLED);
        expect_the_masters(&bench);
        assert_true(same(bench.pollers[0]->values.value[DISCHARGE_MOS],
                         bench.masters[0]->values.value[DISCHARGE_MOS]));
        close_bench(&bench);
    }
}

/* A bridge that stalled delivers everything at once: the first bytes are as old as the wire time of all bytes after
 * them. */
TEST(reckons_with_a_backlog)
{
    static uint8_t backlog[20000];
    static struct reply feed;
    struct bench bench;
    size_t size = 0;
    open_bench(&bench, bms_driver_find("renogy"), WHOLE);
    struct bms_request request;
    for (unsigned n = 0; n < 40; n++)
        for (unsigned step = 0; step < 2; step++) {
            assert_true(bench.driver->build(&bench.masters[0]->bms, step, &request));
            memcpy(backlog + size, request.bytes, request.size);
            size += request.size;
            ask(&bench, 0, &request, &feed);
            memcpy(backlog + size, feed.bytes, feed.size);
            size += feed.size;
        }
    assert_true(size > 2000);
    pass(&bench, backlog, 2000);
    assert_true(bench.heard[0] > 1);
    /* The last set is from the last exchanges; the first ones were reported as old. */
    assert_true(bench.youngest_s > 0 && bench.youngest_s < 0.5);
    assert_true(bench.oldest_s > 1800 * BYTE_S && bench.oldest_s <= 2000 * BYTE_S);
    close_bench(&bench);
}

static uint64_t damage_random;

/* Every third frame has wrong bits, is truncated, or has garbage before it. */
static bool damage(struct bench *bench, uint8_t *bytes, size_t *size, bool question)
{
    uint8_t junk[8];
    const int what = prng_range(&damage_random, 0, 8);
    if (what == 0) {
        for (int i = prng_range(&damage_random, 1, 4); i > 0; i--) {
            const int bit = prng_range(&damage_random, 0, (int) *size * 8 - 1);
            bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
    } else if (what == 1 && *size > 1) {
        *size = (size_t) prng_range(&damage_random, 1, (int) *size - 1);
    } else if (what == 2) {
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t) prng_next(&damage_random);
        pass(bench, junk, sizeof junk);
    }
    return true;
}

/* With a CRC of 16 bits no value is reported that a pack has not sent, however damaged the frames are. */
TEST(believes_no_damage)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!listens(bms_drivers[d]) || bms_drivers[d]->check != BMS_CHECK_CRC16)
            continue;
        struct bench bench;
        damage_random = 7;
        open_bench(&bench, bms_drivers[d], BYTES);
        read_all(&bench, SETTLED);
        expect_the_masters(&bench);
        bench.spoil = damage;
        for (unsigned round = 0; round < 150; round++) {
            bench.pieces = (enum pieces)(round % PIECES);
            read_all(&bench, 1);
            for (unsigned i = 0; i < bench.count; i++)
                for (unsigned id = 0; id < PACK_VALUES; id++) {
                    const double value = bench.pollers[i]->values.value[id];
                    if (!isnan(value) && !same(value, bench.masters[i]->values.value[id]))
                        fail_msg("%s %u: value %u is %g, the pack has %g", bms_drivers[d]->name, i,
                                 id, value, bench.masters[i]->values.value[id]);
                }
        }
        assert_true(bench.heard[0] > 20);
        close_bench(&bench);
    }
}

/* The master's request to the first pack, by its name in the plan. `damaged`: the answer of a Daly board is, without a wrong
 * sum. */
static void ask_step(struct bench *bench, const char *name, bool damaged)
{
    static struct reply feed;
    struct bms_request request;
    unsigned step = 0;
    while (strcmp(bench->driver->plan[step].name, name) != 0)
        step++;
    assert_true(bench->driver->build(&bench->masters[0]->bms, step, &request));
    deliver(bench, request.bytes, request.size, true);
    bench->now += REPLY_S;
    ask(bench, 0, &request, &feed);
    if (damaged) {
        feed.bytes[5] ^= 0x01;
        feed.bytes[9] ^= 0x01;
        feed.bytes[12] = (uint8_t) sum_bytes(feed.bytes, 12);
    }
    deliver(bench, feed.bytes, feed.size, false);
    bench->now += 0.2;
    listener_wait(bench->listener, bench->now);
}

/* With a weak checksum several readings must agree. A value that the master reads only now and then must not confirm
 * itself round after round while it is the only reading. */
TEST(counts_a_rare_reading_once)
{
    struct bench bench;
    open_bench(&bench, bms_driver_find("daly"), WHOLE);
    struct pack *told = &bench.told[0], *heard = &bench.pollers[0]->values;
    const double rated_ah = told->value[RATED_AH];
    unsigned rare = 0;
    for (unsigned round = 0; round < 200; round++) {
        ask_step(&bench, "pack voltage, current and SOC", false);
        ask_step(&bench, "state", false);
        if (round == 100)
            pack_set(told, RATED_AH, rated_ah + 20);
        if (round % 8 == 4)
            ask_step(&bench, "rated capacity", ++rare == 6);
        if (round >= 30 && round < 100 && heard->value[RATED_AH] != rated_ah)
            fail_msg("round %u: rated %g Ah", round, heard->value[RATED_AH]);
        if (round % 8 == 4 && rare == 6)
            assert_true(round > 30 && round < 100);
    }
    /* A real change is accepted after enough readings. */
    assert_true(heard->value[RATED_AH] == rated_ah + 20);
    assert_false(poller_stale(bench.pollers[0], bench.now));
    close_bench(&bench);
}

/* What the master reads less often than values may be old is left out when it is half as old, so that it does not make all
 * others look old. */
TEST(is_not_held_up_by_what_is_read_rarely)
{
    struct bench bench;
    open_bench(&bench, bms_driver_find("seplos-v3"), WHOLE);
    unsigned known = 0;
    for (unsigned round = 0; round < 100; round++) {
        if (round % 15 == 0)
            ask_step(&bench, "cells", false);
        ask_step(&bench, "pack values", false);
        bench.now += 1;
        known += round >= 40 && pack_known(&bench.pollers[0]->values, CELL_MV);
        if (round == 40)
            bench.oldest_s = 0;
    }
    assert_in_range(known, 10, 25); /* of 60 rounds */
    assert_true(bench.oldest_s > 3 && bench.oldest_s < 6);
    close_bench(&bench);
}

/* Values that hardly ever change stay valid for longer than we would wait before we ask again, but not for ever. */
TEST(forgets_what_is_not_asked_any_more)
{
    struct bench bench;
    open_bench(&bench, bms_driver_find("daly"), WHOLE);
    const struct pack *heard = &bench.pollers[0]->values;
    for (unsigned round = 0; round < SETTLED; round++) {
        ask_step(&bench, "pack voltage, current and SOC", false);
        ask_step(&bench, "rated capacity", false);
    }
    const double began = bench.now;
    while (bench.now < began + 3 * 3600) {
        bench.now += 1500;
        for (unsigned round = 0; round < SETTLED; round++)
            ask_step(&bench, "pack voltage, current and SOC", false);
        assert_true(pack_known(heard, VOLTAGE_V));
        if (bench.now < began + 3600)
            assert_true(pack_known(heard, RATED_AH));
    }
    assert_false(pack_known(heard, RATED_AH));
    close_bench(&bench);
}

/* A serial server delivers a frame in two pieces, but not half a second apart: the rest of such a frame is lost. */
TEST(waits_for_the_rest_of_a_frame)
{
    struct bench bench;
    static struct reply feed;
    open_bench(&bench, bms_driver_find("renogy"), WHOLE);
    read_all(&bench, SETTLED);
    const struct bms_request question = vital_question(bench.driver, 1);
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t shown = (uint32_t) bench.shown;
        pass(&bench, question.bytes, question.size);
        assert_true(ask(&bench, 0, &question, &feed) > 10);
        pass(&bench, feed.bytes, 10);
        bench.now += i == 0 ? 0.2 : 0.5;
        listener_wait(bench.listener, bench.now);
        pass(&bench, feed.bytes + 10, feed.size - 10);
        assert_int_equal(bench.shown - shown, question.size + (i == 0 ? feed.size : 0));
        bench.now += 0.5;
        assert_true(isinf(listener_wait(bench.listener, bench.now)));
    }
    assert_int_equal(bench.withheld, feed.size);
    close_bench(&bench);
}

/* A client that listens in sees the requests of the master, but nothing that may be a password. */
TEST(hides_what_a_master_sets)
{
    struct bench bench;
    uint8_t order[25] = {1, 0x10, 0x10, 0, 0, 8, 16, 's', 'e', 'c', 'r', 'e', 't'};
    open_bench(&bench, bms_driver_find("jk-pb"), WHOLE);
    const struct bms_request question = vital_question(bench.driver, 1);
    deliver(&bench, question.bytes, question.size, true);
    assert_int_equal(bench.shown, question.size);
    bench.now += 1;
    const uint16_t crc = crc16_modbus(order, sizeof order - 2);
    order[sizeof order - 2] = (uint8_t) crc;
    order[sizeof order - 1] = (uint8_t) (crc >> 8);
    deliver(&bench, order, sizeof order, true);
    assert_int_equal(bench.shown, question.size);
    assert_int_equal(bench.withheld, sizeof order);
    close_bench(&bench);
}

static const struct exchange *load(const char *path, struct exchange **owned)
{
    char error[200];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char text[400000];
    const size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    *owned = exchange_parse(text, size, error, sizeof error);
    assert_non_null(*owned);
    return *owned;
}

static double value_named(const struct pack *pack, const char *name, bool *known)
{
    static const struct {
        const char *name;
        enum pack_value id;
    } names[] = {{"voltage_v", VOLTAGE_V},     {"current_a", CURRENT_A},
                 {"soc_percent", SOC_PERCENT}, {"cell_mv.1", CELL_MV},
                 {"cell_mv.8", CELL_MV + 7},   {"temp_c.1", TEMP_C},
                 {"cell_count", CELL_COUNT},   {"cycles", CYCLES}};
    *known = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0) {
            *known = true;
            return pack->value[names[i].id];
        }
    return NAN;
}

/* The address of the requests in a recording: the one that is asked most often. */
static int address_in(const struct bms_driver *driver, const struct exchange *exchange)
{
    struct bms bms;
    bms_init(&bms, driver);
    for (size_t i = 0; i < exchange->count; i++) {
        const struct exchange_item *item = &exchange->items[i];
        int address = -1;
        if (item->kind == EXCHANGE_REQUEST && item->size > 0 &&
            driver->question(&bms, item->bytes, item->size, &address).kind == BMS_FRAME)
            return address;
    }
    return -2;
}

/* Of several readings any may be reported. */
static bool asks_twice(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct exchange_item *a = &exchange->items[i], *b = &exchange->items[j];
            if (a->kind == EXCHANGE_REQUEST && b->kind == EXCHANGE_REQUEST && a->size == b->size &&
                memcmp(a->bytes, b->bytes, a->size) == 0)
                return true;
        }
    return false;
}

/* Returns how many values were compared. */
static unsigned hear_recording(const char *path)
{
    struct exchange *exchange;
    load(path, &exchange);
    const struct bms_driver *driver = exchange->driver;
    const int address =
        listens(driver) && !asks_twice(exchange) ? address_in(driver, exchange) : -2;
    unsigned compared = 0;
    if (address > -2 && !(bms_has_address(driver) && address > driver->address.max)) {
        struct bench bench = {.count = 1};
        const struct pack_config config = {.name = "pack",
                                           .line = &line_config,
                                           .driver = driver,
                                           .options = {.address = address, .adr = -1},
                                           .poll_s = 1,
                                           .stale_after_s = 1000,
                                           .stale_fixed = true};
        bench.pollers[0] = poller_new(&config);
        bench.wire = (struct wire){.baud = 115200, .mask = {.show = on_show, .data = &bench}};
        turns_init(&bench.turns, &bench.wire, bench.pollers, 1);
        bench.listener = listener_new(&bench.turns, on_heard, &bench);
        double now = 100;
        /* Reads round by round, as a master does. */
        for (size_t i = 0; i < 4 * exchange->count; i++) {
            const struct exchange_item *item = &exchange->items[i % exchange->count];
            if (item->kind != EXCHANGE_VALUE && item->size > 0) {
                listener_take(bench.listener, item->bytes, item->size, now += 0.05, 0);
            }
        }
        listener_wait(bench.listener, now + 2);
        for (size_t i = 0; bench.heard[0] > 0 && i < exchange->count; i++) {
            const struct exchange_item *item = &exchange->items[i];
            bool known;
            double value;
            if (item->kind != EXCHANGE_VALUE)
                continue;
            value = value_named(&bench.pollers[0]->values, item->name, &known);
            if (!known || isnan(value))
                continue;
            if (fabs(value - atof(item->value)) > item->tolerance + 1e-6)
                fail_msg("%s: %s was heard as %g, expected %s", path, item->name, value,
                         item->value);
            compared++;
        }
        listener_free(bench.listener);
        turns_close(&bench.turns);
        poller_free(bench.pollers[0]);
    }
    exchange_free(exchange);
    return compared;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

TEST(hears_recordings)
{
    unsigned files = 0, compared = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        char folder[200];
        struct dirent **entries;
        snprintf(folder, sizeof folder, "tests/captures/%s", bms_drivers[d]->name);
        const int count = scandir(folder, &entries, is_shown, alphasort);
        for (int i = 0; i < count; i++) {
            char path[600];
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            const char *end = strrchr(path, '.');
            if (end && strcmp(end, ".exch") == 0) {
                const unsigned here = hear_recording(path);
                compared += here;
                files += here > 0;
            }
            free(entries[i]);
        }
        if (count >= 0)
            free(entries);
    }
    print_message("%u recordings, %u values\n", files, compared);
    assert_true(files >= 30 && compared >= 100);
}
