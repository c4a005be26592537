// SPDX-License-Identifier: MIT
/* The rules of the poll scheduler, on a test-controlled clock, with a driver of three steps that
 * replies on demand. */
#include "lines/poller.h"
#include "answers.h"

#include <math.h>
#include <string.h>

#include "pack_test.h"

enum { VITAL, CELLS, SLOW, STEPS };

static const struct bms_step plan[STEPS] = {
    [VITAL] = {.name = "voltage", .vital = true},
    [CELLS] = {.name = "cells"},
    [SLOW] = {.name = "serial", .every_s = 100},
};

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    request->bytes[0] = (uint8_t) step;
    request->size = 1;
    return true;
}

/* Each byte is a frame: the number of the step that it answers. */
static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    return (struct bms_span){BMS_FRAME, 1};
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    return *frame == *request->bytes ? BMS_DONE : BMS_FOREIGN;
}

static const struct bms_driver driver = {
    .name = "test",
    .line = {.baud = 9600, .reply_ms = 500, .tries = 3},
    .plan = plan,
    .steps = STEPS,
    .build = build,
    .frame = find_frame,
    .decode = decode,
};
static const struct line_config line = {.name = "line"};
static const struct pack_config config = {
    .name = "pack", .line = &line, .driver = &driver, .poll_s = 1, .stale_after_s = 10};

/* The steps that are answered, and their values. */
struct world {
    struct poller *poller;
    bool answers[STEPS];
    double voltage, cell;
    const char *serial;
    unsigned asked[STEPS];
    double now;
};

static void answer(struct world *world, unsigned step)
{
    struct poller *poller = world->poller;
    if (!world->answers[step]) {
        plan_unanswered(poller, world->now);
        return;
    }
    if (step == VITAL)
        pack_set(&poller->incoming, VOLTAGE_V, world->voltage);
    if (step == CELLS)
        pack_set_cell(&poller->incoming, 1, world->cell);
    if (step == SLOW)
        pack_set_text(&poller->incoming, SERIAL, (const uint8_t *) world->serial, 2);
    answer_request(poller, world->now);
}

/* Runs one cycle when it is due; returns whether it published. */
static bool cycle(struct world *world)
{
    struct bms_request request;
    bool published = false;
    world->now = fmax(world->now, world->poller->pace.due);
    memset(world->asked, 0, sizeof world->asked);
    while (next_request(world->poller, world->now, &request, &published)) {
        world->asked[request.bytes[0]]++;
        answer(world, request.bytes[0]);
    }
    return published;
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){
        .answers = {true, true, true}, .voltage = 52, .cell = 3300, .serial = "A1", .now = 1000};
    world.poller = poller_new(&config);
    assert_non_null(world.poller);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    poller_free(world->poller);
    return 0;
}

#define POLLER_TEST(name) TEST_WITH(name, set_up, tear_down)

POLLER_TEST(publishes_a_whole_cycle)
{
    struct world *world = *state;
    assert_true(poller_stale(world->poller, world->now));
    assert_true(cycle(world));
    assert_values(&world->poller->values, {VOLTAGE_V, 52}, {CELL_MV, 3300}, {CELL_MAX_MV, 3300});
    assert_string_equal(world->poller->values.text[SERIAL], "A1");
    assert_false(poller_stale(world->poller, world->now));
    assert_true(fabs(world->poller->pace.due - world->now - 1) < 1e-9);
}

/* The process is stopped in the first cycle: the line does not count as slow, which would extend the validity of
 * values. */
POLLER_TEST(learns_no_pace_from_a_stop)
{
    struct world *world = *state;
    struct bms_request request;
    bool published;
    assert_true(next_request(world->poller, world->now, &request, &published));
    world->now += 8;
    world->poller->pace.interrupted = true; /* the line sets it when a reply is found late */
    answer(world, request.bytes[0]);
    while (next_request(world->poller, world->now, &request, &published))
        answer(world, request.bytes[0]);
    assert_true(published);
    assert_true(world->poller->pace.took_s == 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(cycle(world));
        assert_true(poller_stale_after(world->poller) == config.stale_after_s);
    }
}

/* Each answer takes most of the time that values stay fresh: the vital ones are published without those that the next
 * cycles bring, one at a time, and with their age. The pack is complete when nothing is left to ask. */
POLLER_TEST(keeps_what_a_slow_first_cycle_brought)
{
    struct world *world = *state;
    for (unsigned cycles = 1; cycles <= 3; cycles++) {
        struct bms_request request;
        bool published;
        const double began = world->now;
        while (next_request(world->poller, world->now, &request, &published)) {
            world->now += 7;
            answer(world, request.bytes[0]);
        }
        assert_true(published && world->now - began > config.stale_after_s);
        assert_values(&world->poller->values, {VOLTAGE_V, 52}, {CELL_MV, 3300});
        assert_string_equal(world->poller->values.text[SERIAL], cycles == 1 ? "" : "A1");
        assert_true(world->poller->published_at == began);
        assert_true(world->poller->complete == (cycles == 3));
    }
}

/* The answer to a request that stayed unanswered may be late, once. */
POLLER_TEST(is_complete_when_nothing_can_follow)
{
    struct world *world = *state;
    world->answers[SLOW] = false;
    cycle(world);
    assert_false(world->poller->complete);
    while (world->poller->steps[SLOW].misses < 2) {
        assert_false(world->poller->complete);
        world->now += 1;
        cycle(world);
    }
    assert_true(world->poller->complete);
}

/* It was asleep at the first request, and refuses the second. */
POLLER_TEST(is_complete_when_it_refuses_what_it_missed)
{
    struct world *world = *state;
    struct bms_request request;
    bool published;
    world->answers[SLOW] = false;
    cycle(world);
    assert_int_equal(world->poller->steps[SLOW].misses, 1);
    world->now = fmax(world->poller->steps[SLOW].due, world->poller->pace.due);
    while (next_request(world->poller, world->now, &request, &published)) {
        if (request.bytes[0] == SLOW)
            refuse_request(world->poller, world->now);
        else
            answer(world, request.bytes[0]);
    }
    assert_true(world->poller->complete);
}

POLLER_TEST(asks_slow_values_rarely)
{
    struct world *world = *state;
    cycle(world);
    unsigned asked = 0;
    while (world->now < 1098.5) {
        assert_true(cycle(world));
        asked += world->asked[SLOW];
        assert_string_equal(world->poller->values.text[SERIAL], "A1");
    }
    assert_int_equal(asked, 0);
    cycle(world);
    assert_int_equal(world->asked[SLOW], 1);
}

POLLER_TEST(repeats_before_it_counts)
{
    struct world *world = *state;
    cycle(world);
    world->answers[VITAL] = false;
    assert_false(cycle(world));
    assert_int_equal(world->asked[VITAL], 3);
    assert_int_equal(world->asked[CELLS], 0);
    assert_int_equal(world->poller->counters.timeouts, 1);
    assert_int_equal(world->poller->counters.repeats, 2);
}

POLLER_TEST(never_mixes_two_cycles)
{
    struct world *world = *state;
    cycle(world);
    world->answers[CELLS] = false;
    world->voltage = 48;
    world->cell = 3000;
    assert_false(cycle(world));
    assert_false(cycle(world));
    /* Still the first cycle as a whole. */
    assert_values(&world->poller->values, {VOLTAGE_V, 52}, {CELL_MV, 3300});
    /* After three misses the cells are given up: fresh values without them. */
    assert_true(cycle(world));
    assert_values(&world->poller->values, {VOLTAGE_V, 48}, {CELL_MV, NAN}, {CELL_MAX_MV, NAN});
    /* They are not requested in each cycle, but again later. */
    cycle(world);
    assert_int_equal(world->asked[CELLS], 0);
    world->answers[CELLS] = true;
    double start = world->now;
    while (!world->asked[CELLS])
        cycle(world);
    assert_in_range((int) (world->now - start), 10, 13);
    assert_values(&world->poller->values, {CELL_MV, 3000});
}

POLLER_TEST(publishes_without_what_never_came)
{
    struct world *world = *state;
    world->answers[CELLS] = false;
    assert_true(cycle(world));
    assert_values(&world->poller->values, {VOLTAGE_V, 52}, {CELL_MV, NAN});
}

/* Many boards do not answer requests that they do not support. */
static bool build_nothing(struct bms *bms, unsigned step, struct bms_request *request)
{
    return false;
}

/* A driver that cannot build any request publishes nothing. */
POLLER_TEST(publishes_nothing_that_was_not_asked)
{
    struct world *world = *state;
    struct bms_driver mute = driver;
    struct pack_config muted = config;
    mute.build = build_nothing;
    muted.driver = &mute;
    world->poller->config = &muted;
    assert_false(cycle(world));
    assert_true(poller_stale(world->poller, world->now));
    world->poller->config = &config;
}

POLLER_TEST(asks_rarely_what_was_never_answered)
{
    struct world *world = *state;
    world->answers[CELLS] = false;
    unsigned rounds = 0;
    while (world->now < 1000 + 4 * 3600.0) {
        assert_true(cycle(world));
        rounds += world->asked[CELLS];
    }
    /* At once, after 3, 6, 12 seconds and so on, then each hour. */
    assert_in_range(rounds, 1 + 11 + 2, 1 + 11 + 3);
    world->answers[CELLS] = true;
    while (world->now < 1000 + 5.1 * 3600.0)
        cycle(world);
    assert_values(&world->poller->values, {CELL_MV, 3300});
}

/* A reply that is damaged each time shows that the board supports the request. */
POLLER_TEST(asks_soon_what_came_damaged)
{
    struct world *world = *state;
    world->answers[CELLS] = false;
    unsigned asked = 0;
    while (world->now < 1060) {
        struct bms_request request;
        bool published;
        world->now = fmax(world->now, world->poller->pace.due);
        while (next_request(world->poller, world->now, &request, &published)) {
            if (request.bytes[0] == CELLS)
                plan_disturbed(world->poller, world->now);
            asked += request.bytes[0] == CELLS && world->poller->cycle.tries == 1;
            answer(world, request.bytes[0]);
        }
    }
    assert_in_range(asked, 15, 21);
}

POLLER_TEST(slows_down_when_silent)
{
    struct world *world = *state;
    cycle(world);
    world->answers[VITAL] = false;
    /* The second request follows soon: the first may have woken the pack up. */
    static const double intervals[] = {1, 4, 1, 16, 1, 20, 1, 20};
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        cycle(world);
        assert_true(fabs(world->poller->pace.due - world->now - intervals[i]) < 1e-9);
    }
    assert_true(poller_stale(world->poller, world->now));
    world->answers[VITAL] = true;
    assert_true(cycle(world));
    assert_true(fabs(world->poller->pace.due - world->now - 1) < 1e-9);
}

POLLER_TEST(is_stale_when_the_last_cycle_is_old)
{
    struct world *world = *state;
    cycle(world);
    assert_false(poller_stale(world->poller, world->now + 10));
    assert_true(poller_stale(world->poller, world->now + 10.001));
}

/* Sixteen packs on a slow line have their turn every 17 s: by default their values must not turn stale in between. */
POLLER_TEST(knows_how_long_a_round_takes)
{
    struct world *world = *state;
    cycle(world);
    world->now += 17;
    cycle(world);
    assert_true(fabs(poller_stale_after(world->poller) - 42.5) < 1e-9);
    assert_false(poller_stale(world->poller, world->now + 42));
    assert_true(poller_stale(world->poller, world->now + 43));
    /* A gap due to silence is not a round. */
    world->answers[VITAL] = false;
    cycle(world);
    world->answers[VITAL] = true;
    world->now += 300;
    cycle(world);
    assert_true(fabs(poller_stale_after(world->poller) - 42.5) < 1e-9);
    /* Nor is a single pause; but a slow line is slow each time. At most a minute. */
    world->now += 100;
    cycle(world);
    assert_true(poller_stale_after(world->poller) < 60 - 1e-9);
    world->now += 100;
    cycle(world);
    assert_true(fabs(poller_stale_after(world->poller) - 60) < 1e-9);
    poller_reset(world->poller, world->now);
    assert_true(fabs(poller_stale_after(world->poller) - 10) < 1e-9);
    struct pack_config fixed = config;
    fixed.stale_fixed = true;
    world->poller->config = &fixed;
    cycle(world);
    world->now += 17;
    cycle(world);
    assert_true(fabs(poller_stale_after(world->poller) - 10) < 1e-9);
    world->poller->config = &config;
}

/* It may be another device that comes back: its values are unknown until they are read. Slow values are kept, because
 * they usually are the same; another serial number clears them. */
POLLER_TEST(forgets_the_device_on_reset)
{
    struct world *world = *state;
    cycle(world);
    pack_set(&world->poller->steps[SLOW].part, RATED_AH, 100);
    poller_reset(world->poller, world->now);
    world->answers[SLOW] = world->answers[CELLS] = false;
    assert_true(cycle(world));
    assert_string_equal(world->poller->values.text[SERIAL], "A1");
    assert_values(&world->poller->values, {RATED_AH, 100}, {CELL_MV, NAN});
    world->serial = "B2";
    world->answers[SLOW] = true;
    poller_reset(world->poller, world->now);
    assert_true(cycle(world));
    assert_string_equal(world->poller->values.text[SERIAL], "B2");
    assert_values(&world->poller->values, {RATED_AH, NAN});
    assert_int_equal(world->poller->devices, 1);
}

/* Another pack may have been connected meanwhile: the driver starts over, and everything is read again. */
POLLER_TEST(forgets_the_device_after_a_long_silence)
{
    struct world *world = *state;
    cycle(world);
    memset(bms_memory(&world->poller->bms), 7, 1);
    world->answers[VITAL] = false;
    double start = world->now;
    while (world->now - start <= config.stale_after_s) {
        assert_string_equal(world->poller->steps[SLOW].part.text[SERIAL], "A1");
        assert_false(cycle(world));
    }
    assert_int_equal(*(uint8_t *) bms_memory(&world->poller->bms), 0);
    /* What a driver has recorded while it searches for its device is kept. */
    memset(bms_memory(&world->poller->bms), 8, 1);
    assert_false(cycle(world));
    assert_int_equal(*(uint8_t *) bms_memory(&world->poller->bms), 8);
    world->answers[VITAL] = true;
    world->answers[SLOW] = false;
    assert_true(cycle(world));
    assert_int_equal(world->asked[SLOW], 3);
    assert_string_equal(world->poller->values.text[SERIAL], "A1");
    /* A short silence does not matter. */
    world->answers[SLOW] = true;
    world->now += 10;
    assert_true(cycle(world));
    world->answers[VITAL] = false;
    assert_false(cycle(world));
    world->answers[VITAL] = true;
    assert_true(cycle(world));
    assert_string_equal(world->poller->values.text[SERIAL], "A1");
}

POLLER_TEST(forgets_a_talker_after_a_long_silence)
{
    static const struct bms_driver talker = {.name = "talker", .line = {.baud = 9600}};
    struct pack_config talking = config;
    talking.driver = &talker;
    struct poller *poller = poller_new(&talking);
    uint8_t *note = bms_memory(&poller->bms);
    pack_set(&poller->incoming, VOLTAGE_V, 52);
    poller_heard(poller, 1000, 0);
    *note = 7;
    pack_set(&poller->incoming, VOLTAGE_V, 53);
    poller_heard(poller, 1001, 0);
    assert_int_equal(*note, 7);
    pack_set(&poller->incoming, SOC_PERCENT, 80); /* the first half of a set */
    poller_unheard(poller);
    assert_int_equal(*note, 0);
    assert_values(&poller->incoming, {SOC_PERCENT, NAN});
    /* What the driver records while it waits for its device is kept. */
    *note = 8;
    poller_unheard(poller);
    assert_int_equal(*note, 8);
    assert_int_equal(poller->counters.timeouts, 2);
    poller_free(poller);
}

/* A port that is reopened because all packs are silent must not cause requests as frequent as at the start. */
POLLER_TEST(stays_patient_over_a_reset)
{
    struct world *world = *state;
    world->answers[VITAL] = false;
    for (int i = 0; i < 5; i++)
        cycle(world);
    poller_reset(world->poller, world->now);
    cycle(world);
    assert_true(fabs(world->poller->pace.due - world->now - 20) < 1e-9);
}

POLLER_TEST(counts_refused_values_once)
{
    struct world *world = *state;
    world->voltage = 9999;
    assert_true(cycle(world));
    assert_int_equal(world->poller->counters.implausible, 1);
    assert_values(&world->poller->values, {VOLTAGE_V, NAN});
}

POLLER_TEST(leaves_a_refused_step_alone)
{
    struct world *world = *state;
    struct bms_request request;
    bool published;
    world->answers[CELLS] = false;
    while (next_request(world->poller, world->now, &request, &published)) {
        if (request.bytes[0] == CELLS)
            refuse_request(world->poller, world->now);
        else
            answer(world, request.bytes[0]);
    }
    assert_true(published);
    for (int i = 0; i < 100; i++) {
        assert_true(cycle(world));
        assert_int_equal(world->asked[CELLS], 0);
    }
}

/* A refusal may be damage: a step that was answered before is requested again, and believed to be refused after two. */
POLLER_TEST(doubts_a_single_refusal)
{
    struct world *world = *state;
    struct bms_request request;
    bool published;
    for (unsigned refusals = 1; refusals <= 2; refusals++) {
        assert_true(cycle(world));
        unsigned asked = 0;
        world->now = fmax(world->now, world->poller->pace.due);
        while (next_request(world->poller, world->now, &request, &published)) {
            const bool refuses = request.bytes[0] == CELLS && asked++ < refusals;
            if (refuses)
                refuse_request(world->poller, world->now);
            else
                answer(world, request.bytes[0]);
        }
        assert_int_equal(asked, 2);
        assert_int_equal(world->poller->counters.refused, refusals - 1);
    }
}

/* The next request may have to wait until the line is quiet; a cycle that needs no further request ends with its last
 * reply. A request that was built in between is counted once. */
POLLER_TEST(ends_a_cycle_with_its_last_reply)
{
    struct world *world = *state;
    struct bms_request request;
    bool published;
    assert_false(plan_end_if_done(world->poller, world->now, &published));
    for (unsigned step = VITAL; step < STEPS; step++) {
        assert_true(next_request(world->poller, world->now, &request, &published));
        assert_int_equal(request.bytes[0], step);
        answer(world, step);
        assert_int_equal(plan_end_if_done(world->poller, world->now, &published), step == SLOW);
    }
    assert_true(published);
    assert_values(&world->poller->values, {VOLTAGE_V, 52});
    assert_false(plan_end_if_done(world->poller, world->now, &published));
    assert_int_equal(world->poller->counters.polls, 1);
    assert_int_equal(world->poller->counters.repeats, 0);

    world->answers[VITAL] = false;
    for (unsigned tries = 0; tries < 3; tries++) {
        assert_true(next_request(world->poller, world->now, &request, &published));
        answer(world, VITAL);
        assert_int_equal(plan_end_if_done(world->poller, world->now, &published), tries == 2);
    }
    assert_false(published);
    assert_int_equal(world->poller->counters.repeats, 2);
    assert_int_equal(world->poller->presence.silent_cycles, 1);
}
