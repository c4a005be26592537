// SPDX-License-Identifier: MIT
/*
 * Spikes: sequences of one value, cells and what follows from them, the poller with values that are read rarely, and
 * every capture with a value that is wrong in one cycle. Run from the top of the source tree.
 */
#include "lines/exchange.h"
#include "lines/poller.h"
#include "lines/spike.h"
#include "bms/prng.h"

#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define FORGET_S 10

static const struct spike_limits usual = {10, 20, 300, 10};

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* ---- one value, poll by poll ---- */

#define UNKNOWN NAN
#define END INFINITY

struct sequence {
    const char *name;
    enum pack_value id;
    double readings[8], published[8];
    unsigned jumps;
};

// clang-format off
static const struct sequence sequences[] = {
    {"the first value",            SOC_PERCENT, {90, END},                 {90}, 0},
    {"steps up to the limit",      SOC_PERCENT, {50, 60, 70, 60, END},     {50, 60, 70, 60}, 0},
    {"a lone spike",               SOC_PERCENT, {50, 90, 51, 52, END},     {50, 50, 51, 52}, 1},
    {"a lone dip",                 SOC_PERCENT, {50, 0, 49, END},          {50, 50, 49}, 1},
    {"just beyond the limit",      SOC_PERCENT, {50, 60.1, 60.2, END},     {50, 50, 60.2}, 1},
    {"a real step",                SOC_PERCENT, {50, 90, 90, 91, END},     {50, 50, 90, 91}, 1},
    {"a step that goes on",        SOC_PERCENT, {50, 65, 95, 94, END},     {50, 50, 95, 94}, 1},
    {"a steep ramp",               SOC_PERCENT, {0, 15, 30, 45, 60, END},  {0, 0, 30, 30, 60}, 2},
    {"every second one is wrong",  SOC_PERCENT, {50, 90, 50, 90, 50, END}, {50, 50, 50, 50, 50}, 2},
    {"the first one is wrong",     SOC_PERCENT, {90, 50, 51, END},         {90, 90, 51}, 1},
    {"to both sides",              SOC_PERCENT, {50, 90, 10, 90, 50, END}, {50, 50, UNKNOWN, UNKNOWN, 50}, 3},
    {"to both sides, then steady", SOC_PERCENT, {50, 90, 10, 12, 30, END}, {50, 50, UNKNOWN, 12, 12}, 3},
    {"unknown in between",         SOC_PERCENT, {50, UNKNOWN, 55, END},    {50, UNKNOWN, 55}, 0},
    {"a jump behind an unknown",   SOC_PERCENT, {50, UNKNOWN, 90, 90, END},{50, UNKNOWN, UNKNOWN, 90}, 1},
    {"a spike behind an unknown",  SOC_PERCENT, {50, UNKNOWN, 90, 50, END},{50, UNKNOWN, UNKNOWN, 50}, 1},
    {"unknown, then confirmed",    SOC_PERCENT, {50, 90, UNKNOWN, 90, END},{50, 50, UNKNOWN, 90}, 1},
    {"unknown, then as before",    SOC_PERCENT, {50, 90, UNKNOWN, 52, END},{50, 50, UNKNOWN, 52}, 1},
    {"unknown, then elsewhere",    SOC_PERCENT, {50, 90, UNKNOWN, 9, END}, {50, 50, UNKNOWN, UNKNOWN}, 2},
    {"unknown at first",           SOC_PERCENT, {UNKNOWN, 50, 90, END},    {UNKNOWN, 50, 50}, 1},
    {"voltage: 20 % up and down",  VOLTAGE_V,   {50, 60, 48, 40, END},     {50, 60, 48, 40}, 0},
    {"voltage: a little more",     VOLTAGE_V,   {50, 60.1, 50, END},       {50, 50, 50}, 1},
    {"voltage: a little more down",VOLTAGE_V,   {60, 47.9, 60, END},       {60, 60, 60}, 1},
    {"voltage: a real step",       VOLTAGE_V,   {54, 26, 26, END},         {54, 54, 26}, 1},
    {"voltage: from nothing",      VOLTAGE_V,   {0, 52, 52, END},          {0, 0, 52}, 1},
    {"a cell under sudden load",   CELL_MV,     {3350, 2900, 2880, END},   {3350, 3350, 2880}, 1},
    {"a cell, 300 mV",             CELL_MV,     {3350, 3050, END},         {3350, 3050}, 0},
    {"the last cell",              CELL_MV + 47,{3350, 0, 3351, END},      {3350, 3350, 3351}, 1},
    {"a sensor comes off",         TEMP_C,      {25, -40, -40, END},       {25, 25, -40}, 1},
    {"the last sensor",            TEMP_C + 15, {25, 36, 25, END},         {25, 25, 25}, 1},
    {"a MOS, 10 °C",               MOS_TEMP_C,  {25, 35, 45.1, 45, END},   {25, 35, 35, 45}, 1},
    {"a current is not looked at", CURRENT_A,   {0, 200, -200, END},       {0, 200, -200}, 0},
    {"nor a capacity",             REMAINING_AH,{100, 10, 100, END},       {100, 10, 100}, 0},
};
// clang-format on

static void run_sequence(const struct sequence *sequence, const struct spike_limits *limits,
                         const double *expected, unsigned jumps)
{
    struct spike spike = {0};
    unsigned counted = 0;
    for (int i = 0; sequence->readings[i] < END || isnan(sequence->readings[i]); i++) {
        struct pack pack;
        pack_clear(&pack);
        pack.value[sequence->id] = sequence->readings[i];
        counted += spike_filter(&spike, limits, NULL, 1000 + i, FORGET_S, &pack);
        if (!same(pack.value[sequence->id], expected[i]))
            fail_msg("%s: poll %d is %g, expected %g", sequence->name, i + 1,
                     pack.value[sequence->id], expected[i]);
    }
    if (counted != jumps)
        fail_msg("%s: %u jumps, expected %u", sequence->name, counted, jumps);
}

static void test_sequences(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(sequences); i++)
        run_sequence(&sequences[i], &usual, sequences[i].published, sequences[i].jumps);
}

static void test_turned_off(void **state)
{
    (void) state;
    static const struct spike_limits off = {0, 0, 0, 0};
    for (size_t i = 0; i < COUNT(sequences); i++)
        run_sequence(&sequences[i], &off, sequences[i].readings, 0);
}

/* Whatever comes: what is published was just read, or published in the cycle before and then read, or is unknown; and
 * two readings in a row that agree are believed. */
static void test_random_readings(void **state)
{
    (void) state;
    uint64_t seed = 1;
    for (int run = 0; run < 2000; run++) {
        struct spike spike = {0};
        double read_before = NAN, published_before = NAN;
        bool held_before = false;
        for (int i = 0; i < 50; i++) {
            struct pack pack;
            pack_clear(&pack);
            int dice = prng_range(&seed, 0, 99);
            double reading = dice < 10 ? NAN : dice < 30 ? read_before : prng_range(&seed, 0, 100);
            pack.value[SOC_PERCENT] = reading;
            spike_filter(&spike, &usual, NULL, i, FORGET_S, &pack);
            double published = pack.value[SOC_PERCENT];
            bool held = !isnan(published) && published != reading;
            if (held && (isnan(reading) || held_before || published != published_before))
                fail_msg("run %d, poll %d: read %g, published %g", run, i, reading, published);
            if (!isnan(reading) && reading == read_before && published != reading)
                fail_msg("run %d, poll %d: %g twice, published %g", run, i, reading, published);
            read_before = reading;
            published_before = published;
            held_before = held;
        }
    }
}

static double filter_at(struct spike *spike, double now, double soc)
{
    struct pack pack;
    pack_clear(&pack);
    pack.value[SOC_PERCENT] = soc;
    spike_filter(spike, &usual, NULL, now, FORGET_S, &pack);
    return pack.value[SOC_PERCENT];
}

/* After a gap that makes the pack stale there is nothing to compare with, and nothing that may still be shown. */
static void test_gap(void **state)
{
    (void) state;
    struct spike spike = {0};
    assert_true(filter_at(&spike, 100, 50) == 50);
    assert_true(filter_at(&spike, 110.1, 90) == 90);

    spike_clear(&spike);
    assert_true(filter_at(&spike, 100, 50) == 50);
    assert_true(filter_at(&spike, 110, 90) == 50);

    spike_clear(&spike); /* a candidate does not survive either */
    assert_true(filter_at(&spike, 100, 50) == 50);
    assert_true(filter_at(&spike, 101, 90) == 50);
    assert_true(filter_at(&spike, 112, 20) == 20);

    spike_clear(&spike); /* published all the time, but unknown */
    assert_true(filter_at(&spike, 100, 50) == 50);
    for (int i = 1; i <= 10; i++)
        assert_true(isnan(filter_at(&spike, 100 + i, NAN)));
    assert_true(filter_at(&spike, 111, 90) == 90);
}

/* The same reading is merged into cycle after cycle. */
static void test_same_reading(void **state)
{
    (void) state;
    static const struct {
        double reading, read_at, expected;
        unsigned jumps;
    } cycles[] = {
        {20, 100, 20, 0}, {20, 100, 20, 0},   {20, 100, 20, 0},  {45, 103, 20, 1},
        {45, 103, 20, 0}, {45, 103, 20, 0},   {46, 106, 46, 0},  {46, 106, 46, 0},
        {99, 108, 46, 1}, {NAN, 108, NAN, 0}, {99, 108, NAN, 0}, {47, 110, 47, 0},
    };
    struct spike spike = {0};
    double read_at[PACK_VALUES] = {0};
    for (size_t i = 0; i < COUNT(cycles); i++) {
        struct pack pack;
        pack_clear(&pack);
        pack.value[TEMP_C] = cycles[i].reading;
        read_at[TEMP_C] = cycles[i].read_at;
        unsigned jumps = spike_filter(&spike, &usual, read_at, 100 + (double) i, FORGET_S, &pack);
        if (!same(pack.value[TEMP_C], cycles[i].expected) || jumps != cycles[i].jumps)
            fail_msg("cycle %zu: %g, %u jumps", i, pack.value[TEMP_C], jumps);
        bool waits = !isnan(cycles[i].reading) && cycles[i].reading != cycles[i].expected;
        assert_int_equal(spike_waits(&spike, TEMP_C), waits);
    }
}

/* ---- what follows from the values ---- */

static struct pack four_cells(double a, double b, double c, double d)
{
    struct pack pack;
    pack_clear(&pack);
    const double mv[] = {a, b, c, d};
    for (unsigned n = 1; n <= 4; n++)
        pack.value[CELL_MV + n - 1] = mv[n - 1];
    pack_set(&pack, CELL_COUNT, 4);
    return pack;
}

static unsigned filter(struct spike *spike, double now, struct pack *pack)
{
    unsigned jumps = spike_filter(spike, &usual, NULL, now, FORGET_S, pack);
    pack_derive(pack);
    return jumps;
}

static void expect(const struct pack *pack, enum pack_value id, double expected)
{
    char name[VALUE_NAME_SIZE];
    if (!same(pack->value[id], expected))
        fail_msg("%s is %g, expected %g", pack_value_name(id, name), pack->value[id], expected);
}

static void expect_cells(const struct pack *pack, double max, int max_index, double min,
                         int min_index, double average)
{
    expect(pack, CELL_MAX_MV, max);
    expect(pack, CELL_MAX_INDEX, max_index);
    expect(pack, CELL_MIN_MV, min);
    expect(pack, CELL_MIN_INDEX, min_index);
    expect(pack, CELL_DELTA_MV, max - min);
    expect(pack, CELL_AVG_MV, average);
}

static void test_extremes_are_those_of_what_is_published(void **state)
{
    (void) state;
    struct spike spike = {0};
    struct pack pack = four_cells(3300, 3310, 3320, 3330);
    assert_int_equal(filter(&spike, 1, &pack), 0);
    expect_cells(&pack, 3330, 4, 3300, 1, 3315);
    pack = four_cells(3304, 3310, 2500, 3330);
    assert_int_equal(filter(&spike, 2, &pack), 1);
    expect(&pack, CELL_MV + 2, 3320);
    expect_cells(&pack, 3330, 4, 3304, 1, 3316);
    pack = four_cells(3304, 3310, 2500, 3330);
    assert_int_equal(filter(&spike, 3, &pack), 0);
    expect_cells(&pack, 3330, 4, 2500, 3, 3111);
}

/* The BMS's own words on its extremes, which it gives beside the cells. */
static struct pack with_extremes(struct pack pack, double max, double min, double average)
{
    pack_set(&pack, CELL_MAX_MV, max);
    pack_set(&pack, CELL_MAX_INDEX, 4);
    pack_set(&pack, CELL_MIN_MV, min);
    pack_set(&pack, CELL_MIN_INDEX, 1);
    pack_set(&pack, CELL_DELTA_MV, max - min);
    pack_set(&pack, CELL_AVG_MV, average);
    return pack;
}

static void test_reported_extremes_give_way(void **state)
{
    (void) state;
    struct spike spike = {0};
    /* Sampled a moment apart: 1 mV off, which is theirs to say. */
    struct pack pack = with_extremes(four_cells(3300, 3310, 3320, 3330), 3331, 3299, 3316);
    assert_int_equal(filter(&spike, 1, &pack), 0);
    expect_cells(&pack, 3331, 4, 3299, 1, 3316);
    /* A cell and the lowest jump together: one jump, and everything from the cells. */
    pack = with_extremes(four_cells(3300, 3310, 2500, 3330), 3331, 2500, 3110);
    assert_int_equal(filter(&spike, 2, &pack), 1);
    expect_cells(&pack, 3330, 4, 3300, 1, 3315);
    /* It was a step: both are confirmed together. */
    pack = with_extremes(four_cells(3300, 3310, 2510, 3330), 3331, 2509, 3112);
    assert_int_equal(filter(&spike, 3, &pack), 0);
    expect_cells(&pack, 3331, 4, 2509, 1, 3112);
    /* Only the word on the highest jumps. */
    pack = with_extremes(four_cells(3300, 3310, 2510, 3330), 4200, 2509, 3112);
    assert_int_equal(filter(&spike, 4, &pack), 1);
    expect_cells(&pack, 3330, 4, 2510, 3, 3112.5);
}

static void test_extremes_without_cells(void **state)
{
    (void) state;
    struct spike spike = {0};
    struct pack nothing;
    pack_clear(&nothing);
    struct pack pack = with_extremes(nothing, 3330, 3300, 3315);
    assert_int_equal(filter(&spike, 1, &pack), 0);
    pack = with_extremes(nothing, 5000, 3304, 3315);
    pack_set(&pack, CELL_DELTA_MV, 1696);
    assert_int_equal(filter(&spike, 2, &pack), 1);
    expect(&pack, CELL_MAX_MV, 3330);
    expect(&pack, CELL_MAX_INDEX, NAN); /* that of the jump */
    expect(&pack, CELL_MIN_MV, 3304);
    expect(&pack, CELL_MIN_INDEX, 1);
    expect(&pack, CELL_DELTA_MV, 26);
    expect(&pack, CELL_AVG_MV, 3315);
}

/* Two cells that jump to both sides are unknown in the end, the others go on. */
static void test_cells_that_stay_doubtful(void **state)
{
    (void) state;
    struct spike spike = {0};
    struct pack pack = four_cells(3300, 3310, 3320, 3330);
    filter(&spike, 1, &pack);
    pack = four_cells(3301, 4310, 3320, 3330);
    filter(&spike, 2, &pack);
    expect_cells(&pack, 3330, 4, 3301, 1, (3301 + 3310 + 3320 + 3330) / 4.0);
    pack = four_cells(3302, 2310, 3320, 3330);
    filter(&spike, 3, &pack);
    expect(&pack, CELL_MV + 1, NAN);
    expect_cells(&pack, 3330, 4, 3302, 1, (3302 + 3320 + 3330) / 3.0);
}

static void test_behind_the_last_cell(void **state)
{
    (void) state;
    struct spike spike = {0};
    for (int i = 0; i < 6; i++) {
        struct pack pack = with_extremes(four_cells(3300, 3310, 3320, 3330), 3331, 3299, 3316);
        pack.value[CELL_MV + 4] = i % 2 ? 0 : 4000;
        assert_int_equal(filter(&spike, i, &pack), 0);
        expect_cells(&pack, 3331, 4, 3299, 1, 3316);
    }
}

static void test_temperatures(void **state)
{
    (void) state;
    struct spike spike = {0};
    struct pack pack;
    for (int i = 0; i < 3; i++) {
        pack_clear(&pack);
        pack_set_temp(&pack, 1, 20);
        pack_set_temp(&pack, 2, i == 1 ? 90 : 24);
        pack_set(&pack, TEMP_AVG_C, i == 1 ? 55 : 23); /* as the BMS rounds it */
        assert_int_equal(filter(&spike, i, &pack), i == 1);
        expect(&pack, TEMP_C + 1, 24);
        expect(&pack, TEMP_AVG_C, i == 1 ? 22 : 23);
    }
}

static void test_power_follows_the_voltage(void **state)
{
    (void) state;
    struct spike spike = {0};
    struct pack pack;
    for (int i = 0; i < 3; i++) {
        pack_clear(&pack);
        pack_set(&pack, VOLTAGE_V, i == 1 ? 90 : 50);
        pack_set(&pack, CURRENT_A, -10);
        pack_set(&pack, POWER_W, i == 1 ? -900 : -501);
        assert_int_equal(filter(&spike, i, &pack), i == 1);
        expect(&pack, POWER_W, i == 1 ? -500 : -501);
    }
}

static void test_counts_each_kind_once(void **state)
{
    (void) state;
    struct spike spike = {0};
    struct pack pack = four_cells(3300, 3300, 3300, 3300);
    pack_set(&pack, SOC_PERCENT, 50);
    pack_set(&pack, VOLTAGE_V, 52);
    pack_set_temp(&pack, 1, 20);
    pack_set_temp(&pack, 2, 20);
    filter(&spike, 1, &pack);
    pack = four_cells(1000, 1000, 1000, 1000);
    pack_set(&pack, SOC_PERCENT, 10);
    pack_set(&pack, VOLTAGE_V, 15);
    pack_set_temp(&pack, 1, -40);
    pack_set_temp(&pack, 2, -40);
    assert_int_equal(filter(&spike, 2, &pack), 4);
}

/* ---- a recorded pack, polled ---- */

/* A poller and the capture that answers it. One word of one reply can be replaced, with the frame's sum made right. */
struct world {
    struct exchange *exchange;
    struct poller *poller;
    double now;
    uint8_t command, frame, byte; /* of the reply to change; command 0: none */
    uint16_t word;
    uint8_t mute;        /* a command that is not answered */
    unsigned asked[256]; /* by command, in the last cycle */
};

#define CAPTURE "tests/captures/daly/01-readme-14s-idle.exch"
#define FRAME 13
#define PACK_REPLY 0x90
#define EXTREMES_REPLY 0x91
#define CELLS_REPLY 0x95
#define TEMPS_REPLY 0x96

static struct exchange *load(const char *path)
{
    static char text[1 << 20];
    char error[200] = "";
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing; run the test from the top of the source", path);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    struct exchange *exchange = exchange_parse(text, size, error, sizeof error);
    if (!exchange)
        fail_msg("%s: %s", path, error);
    return exchange;
}

static int set_up(void **state)
{
    static const struct line_config line = {.name = "line"};
    static struct pack_config config = {.name = "pack",
                                        .line = &line,
                                        .poll_s = 1,
                                        .stale_after_s = 10,
                                        .spikes = {10, 20, 300, 10}};
    static struct world world;
    world = (struct world){.exchange = load(CAPTURE), .now = 1000};
    config.driver = world.exchange->driver;
    config.options.address = -1;
    config.options.adr = -1;
    world.poller = poller_new(&config);
    assert_non_null(world.poller);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    poller_free(world->poller);
    exchange_free(world->exchange);
    return 0;
}

/* All frames that the capture has behind a request. */
static size_t recorded_reply(const struct world *world, const struct bms_request *request,
                             uint8_t *reply)
{
    size_t size = 0;
    bool found = false;
    for (size_t i = 0; i < world->exchange->count; i++) {
        const struct exchange_item *item = &world->exchange->items[i];
        if (item->kind == EXCHANGE_REQUEST)
            found =
                item->size == request->size && memcmp(item->bytes, request->bytes, item->size) == 0;
        if (item->kind != EXCHANGE_REPLY || !found)
            continue;
        memcpy(reply + size, item->bytes, item->size);
        size += item->size;
    }
    return size;
}

static void disturb(const struct world *world, uint8_t *reply)
{
    uint8_t *frame = reply + FRAME * world->frame, sum = 0;
    frame[4 + world->byte] = (uint8_t) (world->word >> 8);
    frame[5 + world->byte] = (uint8_t) world->word;
    for (int i = 0; i < FRAME - 1; i++)
        sum = (uint8_t) (sum + frame[i]);
    frame[FRAME - 1] = sum;
}

static void answer(struct world *world, const struct bms_request *request)
{
    struct reply feed = {0};
    uint8_t reply[1024], command = request->bytes[2];
    size_t size = command == world->mute ? 0 : recorded_reply(world, request, reply);
    world->asked[command]++;
    if (size > 0 && command == world->command)
        disturb(world, reply);
    reply_append(&feed, reply, size);
    if (reply_decode(&feed, &world->poller->bms, request, true, &world->poller->incoming) ==
        REPLY_DONE)
        poller_answered(world->poller, world->now);
    else
        poller_unanswered(world->poller, world->now);
}

/* At the time that it is due; whether it published. */
static bool run_cycle(struct world *world)
{
    struct bms_request request;
    bool published = false;
    world->now = fmax(world->now, world->poller->due);
    memset(world->asked, 0, sizeof world->asked);
    while (poller_request(world->poller, world->now, &request, &published))
        answer(world, &request);
    return published;
}

static const struct pack *cycle(struct world *world)
{
    assert_true(run_cycle(world));
    return &world->poller->values;
}

static void expect_as_recorded(const struct pack *pack)
{
    expect(pack, VOLTAGE_V, 52.5);
    expect(pack, SOC_PERCENT, 18.9);
    expect(pack, CELL_MV, 3728);
    expect(pack, CELL_MV + 4, 3736);
    expect(pack, CELL_MAX_MV, 3780);
    expect(pack, CELL_MIN_MV, 3728);
    expect(pack, CELL_DELTA_MV, 52);
    expect(pack, TEMP_C, 15);
}

static void test_recorded_spikes(void **state)
{
    struct world *world = *state;
    static const struct {
        uint8_t command, frame, byte;
        uint16_t word;
    } wrong[] = {
        {PACK_REPLY, 0, 0, 650},   /* 65.0 V */
        {PACK_REPLY, 0, 6, 999},   /* 99.9 % */
        {CELLS_REPLY, 1, 3, 2736}, /* cell 5 */
        {CELLS_REPLY, 1, 3, 4999},
    };
    expect_as_recorded(cycle(world));
    for (size_t i = 0; i < COUNT(wrong); i++) {
        world->command = wrong[i].command;
        world->frame = wrong[i].frame;
        world->byte = wrong[i].byte;
        world->word = wrong[i].word;
        expect_as_recorded(cycle(world));
        assert_int_equal(world->poller->counters.spikes, i + 1);
        world->command = 0;
        expect_as_recorded(cycle(world));
        assert_int_equal(world->poller->counters.spikes, i + 1);
    }
}

static void test_recorded_step(void **state)
{
    struct world *world = *state;
    world->mute = EXTREMES_REPLY; /* so that they follow from the cells */
    expect_as_recorded(cycle(world));
    world->command = CELLS_REPLY;
    world->frame = 1;
    world->byte = 3;
    world->word = 3200; /* a load on cell 5 */
    expect_as_recorded(cycle(world));
    const struct pack *pack = cycle(world);
    expect(pack, CELL_MV + 4, 3200);
    expect(pack, CELL_MIN_MV, 3200);
    expect(pack, CELL_MIN_INDEX, 5);
    expect(pack, CELL_DELTA_MV, 580);
    assert_int_equal(world->poller->counters.spikes, 1);
}

/* Temperatures are read every 5 s: what is held back is read again in the next cycle. */
static void test_recorded_slow_value(void **state)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    world->command = TEMPS_REPLY;
    world->word = 100 << 8; /* 60 °C, and no second sensor */
    world->frame = 0;
    world->byte = 1;
    for (int i = 1; i < 5; i++) {
        expect_as_recorded(cycle(world));
        assert_int_equal(world->asked[TEMPS_REPLY], 0);
    }
    expect_as_recorded(cycle(world)); /* read wrongly, held back */
    assert_int_equal(world->asked[TEMPS_REPLY], 1);
    assert_int_equal(world->poller->counters.spikes, 1);
    world->command = 0;
    expect_as_recorded(cycle(world));
    assert_int_equal(world->asked[TEMPS_REPLY], 1);
    expect_as_recorded(cycle(world)); /* and now every 5 s again */
    assert_int_equal(world->asked[TEMPS_REPLY], 0);
    assert_int_equal(world->poller->counters.spikes, 1);
}

static void test_recorded_slow_step(void **state)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    world->command = TEMPS_REPLY;
    world->word = 100 << 8;
    world->byte = 1;
    do
        expect_as_recorded(cycle(world));
    while (!world->asked[TEMPS_REPLY]);
    expect(cycle(world), TEMP_C, 60);
    assert_int_equal(world->asked[TEMPS_REPLY], 1);
}

/* Without a second reading the first is never believed: held, and unknown when it is given up. */
static void test_recorded_slow_value_unconfirmed(void **state)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    world->command = TEMPS_REPLY;
    world->word = 100 << 8;
    world->byte = 1;
    do
        expect_as_recorded(cycle(world));
    while (!world->asked[TEMPS_REPLY]);
    world->mute = TEMPS_REPLY;
    expect_as_recorded(cycle(world));
    expect_as_recorded(cycle(world));
    for (int i = 0; i < 20; i++)
        expect(cycle(world), TEMP_C, NAN);
}

static void test_recorded_gap(void **state)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    double silent_from = world->now;
    world->mute = PACK_REPLY;
    while (world->poller->due - silent_from <= 10)
        assert_false(run_cycle(world));
    world->mute = 0;
    world->command = PACK_REPLY;
    world->frame = 0;
    world->byte = 6;
    world->word = 999;
    expect(cycle(world), SOC_PERCENT, 99.9);
    assert_int_equal(world->poller->counters.spikes, 0);
}

/* On a crowded line each pack has its turn only every 17 s, which is no gap. */
static void test_recorded_on_a_slow_line(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 3; i++, world->now += 17)
        expect_as_recorded(cycle(world));
    world->command = PACK_REPLY;
    world->byte = 6;
    world->word = 999;
    expect_as_recorded(cycle(world));
    assert_int_equal(world->poller->counters.spikes, 1);
}

static void test_another_device(void **state)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    poller_reset(world->poller, world->now);
    world->now += 1;
    world->command = PACK_REPLY;
    world->byte = 6;
    world->word = 999;
    expect(cycle(world), SOC_PERCENT, 99.9);
}

/* ---- every capture, every value that is watched ---- */

static bool is_watched(int id)
{
    return id == VOLTAGE_V || id == SOC_PERCENT || id == MOS_TEMP_C || id >= CELL_MV;
}

/* A reading of the same value that no pack can come to between two polls. */
static double far_from(int id, double value)
{
    if (id == SOC_PERCENT)
        return value < 50 ? value + 45 : value - 45;
    if (id == VOLTAGE_V)
        return value * 1.5;
    if (id >= CELL_MV && id < TEMP_C)
        return value + 700;
    return value + 30;
}

static void try_value(const char *path, const struct pack *recorded, int id)
{
    struct spike spike = {0};
    for (int i = 0; i < 4; i++) {
        struct pack pack = *recorded;
        if (i == 2)
            pack.value[id] = far_from(id, pack.value[id]);
        unsigned jumps = filter(&spike, i, &pack);
        char name[VALUE_NAME_SIZE];
        pack_value_name((enum pack_value) id, name);
        if (jumps != (i == 2))
            fail_msg("%s, %s: %u jumps in cycle %d", path, name, jumps, i);
        for (int other = 0; other < PACK_VALUES; other++)
            if (is_watched(other) && !same(pack.value[other], recorded->value[other]))
                fail_msg("%s, %s: value %d became %g in cycle %d", path, name, other,
                         pack.value[other], i);
    }
}

static void test_captures(void **state)
{
    (void) state;
    glob_t paths;
    assert_int_equal(glob("tests/captures/*/*.exch", 0, NULL, &paths), 0);
    unsigned tried = 0;
    for (size_t i = 0; i < paths.gl_pathc; i++) {
        struct exchange *exchange = load(paths.gl_pathv[i]);
        struct bms bms;
        struct pack pack;
        struct reply_counters counters;
        bms_init(&bms, exchange->driver);
        exchange_replay(exchange, &bms, &pack, &counters);
        for (int id = 0; id < PACK_VALUES; id++)
            if (is_watched(id) && !isnan(pack.value[id]) && pack.value[id] != 0) {
                try_value(paths.gl_pathv[i], &pack, id);
                tried++;
            }
        exchange_free(exchange);
    }
    assert_true(tried > 300);
    globfree(&paths);
}

int main(void)
{
#define POLLED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_turned_off),
        cmocka_unit_test(test_random_readings),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_same_reading),
        cmocka_unit_test(test_extremes_are_those_of_what_is_published),
        cmocka_unit_test(test_reported_extremes_give_way),
        cmocka_unit_test(test_extremes_without_cells),
        cmocka_unit_test(test_cells_that_stay_doubtful),
        cmocka_unit_test(test_behind_the_last_cell),
        cmocka_unit_test(test_temperatures),
        cmocka_unit_test(test_power_follows_the_voltage),
        cmocka_unit_test(test_counts_each_kind_once),
        POLLED(test_recorded_spikes),
        POLLED(test_recorded_step),
        POLLED(test_recorded_slow_value),
        POLLED(test_recorded_slow_step),
        POLLED(test_recorded_slow_value_unconfirmed),
        POLLED(test_recorded_gap),
        POLLED(test_recorded_on_a_slow_line),
        POLLED(test_another_device),
        cmocka_unit_test(test_captures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
