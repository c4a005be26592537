// SPDX-License-Identifier: MIT
/* Which readings are accepted: sequences of one value, the number of additional requests, the poller with a recorded
 * pack, and every capture with one wrong reading. Run from the top of the source tree. */
#include "commands/exchange.h"
#include "lines/poller.h"
#include "answers.h"
#include "lines/spike.h"
#include "bms/count.h"
#include "bms/prng.h"

#include <glob.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "unit.h"

static const struct spike_limits usual = {10, 20, 300, 10};

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void expect(const struct pack *pack, enum pack_value id, double expected)
{
    char name[VALUE_NAME_SIZE];
    if (!same(pack->value[id], expected))
        fail_msg("%s is %g, expected %g", pack_value_name(id, name), pack->value[id], expected);
}

#define UNKNOWN NAN
#define END INFINITY

/* Readings in the order in which a device sends them, and the result of each: b accepted, r accepted and the previous
 * one refuted, d doubtful and requested again. */
struct sequence {
    const char *name;
    enum pack_value id;
    double readings[10];
    const char *verdicts;
};

// clang-format off
static const struct sequence strong_sequences[] = {
    {"the first value",             SOC_PERCENT, {90, END},                    "b"},
    {"steps up to the limit",       SOC_PERCENT, {50, 60, 70, 60, END},        "bbbb"},
    {"a lone spike",                SOC_PERCENT, {50, 90, 51, 52, END},        "bdrb"},
    {"a lone dip",                  SOC_PERCENT, {50, 0, 49, END},             "bdr"},
    {"just beyond the limit",       SOC_PERCENT, {50, 60.1, 60.2, END},        "bdb"},
    {"a real step",                 SOC_PERCENT, {50, 90, 90, 91, END},        "bdbb"},
    {"to both sides",               SOC_PERCENT, {50, 80, 20, 50, END},        "bddr"},
    {"to both sides, then steady",  SOC_PERCENT, {50, 90, 10, 12, 13, END},    "bddrb"},
    {"nothing ever agrees",         SOC_PERCENT, {50, 100, 11, 89, 22, 78, 33, 67, END}, "bddddddb"},
    {"every second one is wrong",   SOC_PERCENT, {50, 90, 50, 90, 50, END},    "bdrdr"},
    {"the first one is wrong",      SOC_PERCENT, {90, 50, 51, END},            "bdb"},
    {"an unknown one in between",   SOC_PERCENT, {50, UNKNOWN, 55, END},       "bdr"},
    {"not known any more",          SOC_PERCENT, {50, UNKNOWN, UNKNOWN, END},  "bdb"},
    {"known again",                 SOC_PERCENT, {UNKNOWN, 50, END},           "bb"},
    {"voltage: 20 % up and down",   VOLTAGE_V,   {50, 60, 48, 40, END},        "bbbb"},
    {"voltage: a little more",      VOLTAGE_V,   {50, 60.1, 50, END},          "bdr"},
    {"voltage: a little more down", VOLTAGE_V,   {60, 47.9, 60, END},          "bdr"},
    {"voltage: a real step",        VOLTAGE_V,   {54, 26, 26, END},            "bdb"},
    {"voltage: from nothing",       VOLTAGE_V,   {0, 52, 52, END},             "bdb"},
    {"a cell under sudden load",    CELL_MV,     {3350, 2900, 2880, END},      "bdb"},
    {"a cell, 300 mV",              CELL_MV,     {3350, 3050, END},            "bb"},
    {"the last cell",               CELL_MV + 47,{3350, 0, 3351, END},         "bdr"},
    {"a sensor comes off",          TEMP_C,      {25, -40, -40, END},          "bdb"},
    {"the last sensor",             TEMP_C + 15, {25, 36, 25, END},            "bdr"},
    {"a MOS, 10 °C",                MOS_TEMP_C,  {25, 35, 45.1, 45.2, END},    "bbdb"},
    {"a load comes on",             CURRENT_A,   {0, -100, 0, -80, END},       "bbbb"},
    {"a current beyond any load",   CURRENT_A,   {-20, -1291, -21, END},       "bdr"},
    {"a winch",                     CURRENT_A,   {-20, -320, -290, END},       "bdb"},
    {"a power beyond any load",     POWER_W,     {0, 5000, 12000, 200, END},   "bbdr"},
    {"a capacity",                  REMAINING_AH,{100, 10, 100, END},          "bdr"},
    {"a capacity that is set",      REMAINING_AH,{100, 280, 280, END},         "bdb"},
    {"a limit",                     CHARGE_VOLTAGE_LIMIT_V, {56, 2912, 56, END}, "bdr"},
    {"which cell is highest",       CELL_MAX_INDEX, {3, 9, 3, END},            "bdr"},
    {"a current is lost",           CURRENT_A,   {-20, UNKNOWN, -20, END},     "bdr"},
    {"a switch",                    CHARGE_MOS,  {1, 0, 1, END},               "bdr"},
    {"a switch that was turned",    CHARGE_MOS,  {1, 0, 0, 1, 1, END},         "bdbdb"},
    {"what is set",                 RATED_AH,    {100, 356, 100, END},         "bdr"},
    {"the first count",             CYCLES,      {UNKNOWN, 7, 8, 8, END},      "bbdb"},
};
/* After a first reading, which is accepted already. */
static const struct sequence weak_sequences[] = {
    {"what stands still, a digit",  SOC_PERCENT, {50, 51, 50, END},            "bdr"},
    {"a step of that size",         SOC_PERCENT, {50, 51, 51, 51, 50, 51, END},"bddbbb"},
    {"to both sides",               SOC_PERCENT, {50, 80, 20, 50, END},        "bddr"},
    {"a wobble is learned",         CELL_MV,     {3300, 3302, 3302, 3302, 3300, 3303, 3300, END}, "bddbbbb"},
    {"but not a leap",              CELL_MV,     {3300, 3400, 3400, 3400, 3300, 3300, 3300, END}, "bddbddb"},
    {"a load comes on",             CURRENT_A,   {0, -40, -43, -43, -43, END}, "bddbb"},
    {"a load that swings",          CURRENT_A,   {0, -40, -80, -70, -75, END}, "bdddr"},
    {"two wrong bits",              CURRENT_A,   {-20, 225, -20, -20, END},    "bdrb"},
    {"the same two wrong bits",     CURRENT_A,   {-20, 225, 225, -20, END},    "bddr"},
    {"a capacity",                  REMAINING_AH,{100, 10, 100, END},          "bdr"},
    {"a count",                     CELL_COUNT,  {16, 24, 24, 16, END},        "bddr"},
    {"a switch",                    CHARGE_MOS,  {1, 0, 0, 0, 1, 1, 1, END},   "bddbddb"},
    {"the direction",               FLOW,        {1, 2, 1, END},               "bdr"},
    {"nothing, then something",     CYCLES,      {UNKNOWN, 7, 7, 7, 8, 8, 8, END}, "bddbddb"},
    {"nothing any more",            CYCLES,      {7, UNKNOWN, UNKNOWN, UNKNOWN, END}, "bddb"},
    {"nothing ever agrees",         CURRENT_A,   {0, 90, -90, 60, -60, 30, -30, 9, END}, "bddddddb"},
};
/* The same after damage was seen. */
static const struct sequence noisy_sequences[] = {
    {"what stands still, a digit",  SOC_PERCENT, {50, 51, 50, END},            "bdr"},
    {"a step of that size",         SOC_PERCENT, {50, 51, 51, 51, 51, 50, 51, END}, "bdddbbb"},
    {"to both sides",               SOC_PERCENT, {50, 80, 20, 50, END},        "bddr"},
    {"a wobble is learned",         CELL_MV,     {3300, 3302, 3302, 3302, 3302, 3300, 3303, 3300, END}, "bdddbbbb"},
    {"but not a leap",              CELL_MV,     {3300, 3400, 3400, 3400, 3400, 3300, 3300, 3300, 3300, END}, "bdddbdddb"},
    {"a load comes on",             CURRENT_A,   {0, -40, -43, -43, -43, END}, "bdddb"},
    {"a load that swings",          CURRENT_A,   {0, -40, -80, -70, -75, -72, END}, "bddddr"},
    {"the same two wrong bits",     CURRENT_A,   {-20, 225, 225, 225, -20, END}, "bdddr"},
    {"a switch",                    CHARGE_MOS,  {1, 0, 0, 0, 0, 1, 1, 1, 1, END}, "bdddbdddb"},
    {"nothing, then something",     CYCLES,      {UNKNOWN, 7, 7, 7, 7, 8, 8, 8, 8, END}, "bdddbdddb"},
    {"nothing any more",            CYCLES,      {7, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, END}, "bdddb"},
    {"nothing ever agrees",         CURRENT_A,   {0, 90, -90, 60, -60, 30, -30, 9, END}, "bddddddb"},
};
/* Without a previous reading. */
static const struct sequence first_sequences[] = {
    {"the first value",             SOC_PERCENT, {90, 90, 90, END},            "dbb"},
    {"the first one is wrong",      SOC_PERCENT, {9, 90, 90, END},             "ddr"},
    {"the second one is wrong",     SOC_PERCENT, {90, 9, 90, END},             "ddr"},
};
/* The same for a pack that has fresh values already. */
static const struct sequence later_sequences[] = {
    {"the first value",             SOC_PERCENT, {90, 90, 90, 90, END},        "ddbb"},
    {"the first one is wrong",      SOC_PERCENT, {9, 90, 90, 90, END},         "dddr"},
};
static const struct sequence first_noisy_sequences[] = {
    {"the first value",             SOC_PERCENT, {90, 90, 90, 90, END},        "ddbb"},
    {"the first one is wrong",      SOC_PERCENT, {9, 90, 90, 90, END},         "dddr"},
};
// clang-format on

/* `before`: the accepted reading, if `known`. */
static char judge(struct spike *spike, const struct spike_rules *rules, const struct pack *reading,
                  struct pack *before, bool *known)
{
    enum spike_verdict verdict = spike_judge(spike, rules, *known ? before : NULL, reading);
    if (verdict == SPIKE_DOUBTED)
        return 'd';
    *before = *reading;
    *known = true;
    return verdict == SPIKE_REFUTED ? 'r' : 'b';
}

static void run_sequence(const struct sequence *sequence, const struct spike_rules *rules,
                         const char *verdicts)
{
    struct spike spike = {.readings = UINT_MAX};
    struct pack before, reading;
    bool known = verdicts && verdicts[0] == 'b';
    pack_clear(&before);
    before.value[sequence->id] = sequence->readings[0];
    for (int i = known; sequence->readings[i] < END || isnan(sequence->readings[i]); i++) {
        pack_clear(&reading);
        reading.value[sequence->id] = sequence->readings[i];
        char verdict = judge(&spike, rules, &reading, &before, &known);
        if (verdict != (verdicts ? verdicts[i] : 'b'))
            fail_msg("%s: reading %d: %c", sequence->name, i + 1, verdict);
    }
}

#define RUN_ALL(sequences, rules)                                                                  \
    for (size_t i = 0; i < COUNT(sequences); i++)                                                  \
    run_sequence(&(sequences)[i], &(rules), (sequences)[i].verdicts)

TEST(strong_protocol)
{
    static const struct spike_rules strong = {.limits = &usual};
    RUN_ALL(strong_sequences, strong);
}

TEST(weak_protocol)
{
    static const struct spike_rules weak = {
        .limits = &usual, .weak = true, .first = true, .awaited = true};
    static const struct spike_rules later = {.limits = &usual, .weak = true, .first = true};
    static const struct spike_rules noisy = {.limits = &usual, .noisy = true, .weak = true};
    RUN_ALL(weak_sequences, weak);
    RUN_ALL(noisy_sequences, noisy);
    RUN_ALL(first_sequences, weak);
    RUN_ALL(later_sequences, later);
    RUN_ALL(first_noisy_sequences, noisy);
}

/* While the usual moves of a value are unknown, readings of the same moment may differ by the largest possible
 * one. */
TEST(first_readings_that_wobble)
{
    static const struct spike_rules weak = {
        .limits = &usual, .weak = true, .first = true, .awaited = true};
    static const double cells[] = {3300, 3304, 3298, 3301};
    struct spike spike = {0};
    struct pack before, reading;
    bool known = false;
    for (size_t i = 0; i < COUNT(cells); i++) {
        pack_clear(&reading);
        pack_set_cell(&reading, 1, cells[i]);
        assert_int_equal(judge(&spike, &weak, &reading, &before, &known), i < 1 ? 'd' : 'b');
    }
}

/* The configured largest step. */
static bool has_key(int id)
{
    return id == VOLTAGE_V || id == SOC_PERCENT || id == MOS_TEMP_C || id >= CELL_MV;
}

TEST(turned_off)
{
    static const struct spike_limits off = {0, 0, 0, 0};
    static const struct spike_rules strong = {.limits = &off};
    static const struct spike_rules weak = {.limits = &off, .weak = true};
    for (size_t i = 0; i < COUNT(strong_sequences); i++)
        if (has_key(strong_sequences[i].id))
            run_sequence(&strong_sequences[i], &strong, NULL);
    for (size_t i = 0; i < COUNT(weak_sequences); i++)
        if (has_key(weak_sequences[i].id))
            run_sequence(&weak_sequences[i], &weak, NULL);
    /* A value without a known move is confirmed by any second reading. */
    static const struct spike_rules first = {
        .limits = &off, .weak = true, .first = true, .awaited = true};
    static const struct sequence sequence = {"as it comes", SOC_PERCENT, {19, 99, 19, END}, "dbb"};
    run_sequence(&sequence, &first, sequence.verdicts);
}

/* Alarms, raw words and texts must agree, too. */
TEST(states_and_texts)
{
    static const struct spike_rules weak = {.limits = &usual, .weak = true};
    struct pack packs[5], before;
    for (size_t i = 0; i < COUNT(packs); i++) {
        pack_clear(&packs[i]);
        pack_alarm(&packs[i], SOC_LOW, i == 1 ? ALARM_WARNING : 0);
        pack_alarm(&packs[i], SHORT_CIRCUIT, i == 2 ? ALARM_PROTECTION : 0);
        pack_raw_alarm(&packs[i], i == 3);
        pack_set_text(&packs[i], SERIAL, (const uint8_t *) (i == 4 ? "A1" : "A2"), 2);
    }
    for (size_t i = 1; i < COUNT(packs); i++) {
        struct spike spike = {0};
        bool known = false;
        static const unsigned sent[] = {0, 0, 0, 1, 0, 1, 1, 1};
        static const char verdicts[] = "bbbdrddb";
        for (size_t n = 0; n < COUNT(sent); n++)
            assert_int_equal(judge(&spike, &weak, &packs[sent[n] ? i : 0], &before, &known),
                             verdicts[n]);
    }
}

/* A pack as it is measured: noise on all values, a current that follows a load, cells that follow the current. */
static void measure(uint64_t *seed, double load_a, struct pack *pack)
{
    pack_clear(pack);
    double current = load_a + prng_range(seed, -9, 9) / 10.0;
    pack_set(pack, CURRENT_A, current);
    pack_set(pack, VOLTAGE_V, round(520 + current / 10) / 10);
    for (unsigned n = 1; n <= 16; n++)
        pack_set_cell(pack, n, round(3300 + current / 2 + prng_range(seed, -3, 3)));
    pack_set_temp(pack, 1, 25 + prng_range(seed, 0, 1));
}

/* Steady operation needs no additional requests once the noise is known, and a load step needs one. */
TEST(what_it_costs)
{
    static const struct spike_rules weak = {.limits = &usual, .weak = true};
    struct spike spike = {0};
    struct pack before, reading;
    bool known = false;
    uint64_t seed = 1;
    unsigned asked_again = 0, steps = 0;
    for (int cycle = 0; cycle < 3000; cycle++) {
        double load = cycle < 1000 ? -20 : cycle / 100 % 2 ? -20 : -60;
        measure(&seed, load, &reading);
        if (cycle == 200)
            asked_again = 0;
        steps += cycle > 1000 && cycle % 100 == 0;
        while (judge(&spike, &weak, &reading, &before, &known) == 'd') {
            asked_again++;
            measure(&seed, load, &reading);
        }
        if (cycle == 999)
            assert_in_range(asked_again, 0, 8);
    }
    assert_in_range(asked_again, steps, 8 + 2 * steps);
}

/* Feeds a reading `count` times; returns the result of the last one. A doubtful reading is discarded afterwards. */
static char read_value(struct spike *spike, enum pack_value id, double value, unsigned count)
{
    static const struct spike_rules weak = {.limits = &usual, .weak = true};
    static struct pack before;
    struct pack reading;
    bool known = spike->readings > 0;
    char verdict = 'b';
    for (unsigned i = 0; i < count; i++) {
        pack_clear(&reading);
        pack_set(&reading, id, value);
        verdict = judge(spike, &weak, &reading, &before, &known);
        if (verdict == 'd')
            spike_drop(spike);
        spike->readings += spike->readings == 0;
    }
    return verdict;
}

static char read_cell(struct spike *spike, double mv, unsigned count)
{
    return read_value(spike, CELL_MV, mv, count);
}

/* For a value that seldom changes, a small part of its changes may be usual. */
TEST(capacity)
{
    struct spike spike = {0};
    read_value(&spike, REMAINING_AH, 100, 20);
    assert_int_equal(read_value(&spike, REMAINING_AH, 101, 1), 'b');
    assert_int_equal(read_value(&spike, REMAINING_AH, 105, 1), 'd');
}

/* For a value that does not change, all moves are accepted in the first minutes, none later. */
TEST(learning_ends)
{
    struct spike spike = {0};
    read_cell(&spike, 3300, 60);
    assert_int_equal(read_cell(&spike, 3304, 1), 'b');
    spike = (struct spike){0};
    read_cell(&spike, 3300, 150);
    assert_int_equal(read_cell(&spike, 3304, 1), 'd');
}

/* A move may be slightly larger than those before. */
TEST(larger_move)
{
    struct spike spike = {0};
    for (unsigned i = 0; i < 150; i++)
        read_cell(&spike, 3300 + 4 * (i % 2), 1);
    assert_int_equal(read_cell(&spike, 3309, 1), 'b');
    assert_int_equal(read_cell(&spike, 3320, 1), 'd');
}

/* The usual move is remembered for an hour, not for a day. */
TEST(moves_are_forgotten)
{
    struct spike spike = {0};
    for (unsigned i = 0; i < 150; i++)
        read_cell(&spike, 3300 + 8 * (i % 2), 1);
    read_cell(&spike, 3300, 3000);
    assert_int_equal(read_cell(&spike, 3303, 1), 'b');
    read_cell(&spike, 3303, 12000);
    assert_int_equal(read_cell(&spike, 3306, 1), 'd');
}

/* After a rest so long that the noise is forgotten, on a line with damage: readings are accepted again after a
 * few. */
TEST(noise_after_a_rest)
{
    static const struct spike_rules noisy = {.limits = &usual, .weak = true, .noisy = true};
    struct spike spike = {.readings = UINT_MAX};
    struct pack before, reading;
    uint64_t seed = 1;
    unsigned unsettled = 0, believed = 0;
    measure(&seed, 0, &before);
    for (int i = 0; i < 1000; i++) {
        measure(&seed, 0, &reading);
        enum spike_verdict verdict = spike_judge(&spike, &noisy, &before, &reading);
        unsettled += verdict == SPIKE_UNSETTLED;
        if (verdict == SPIKE_BELIEVED || verdict == SPIKE_REFUTED) {
            before = reading;
            believed++;
        }
    }
    assert_in_range(unsettled, 1, 5);
    assert_true(believed > 900);
}

/* Readings that never agree show how far the value moves: three times the distance of half of them from their median. */
TEST(learns_from_readings_that_never_agree)
{
    static const struct spike_rules noisy = {.limits = &usual, .weak = true, .noisy = true};
    static const double cells[] = {3302, 3298, 3304, 3296, 3306, 3294, 3308};
    struct spike spike = {.readings = UINT_MAX};
    struct pack before, reading;
    pack_clear(&before);
    pack_set_cell(&before, 1, 3300);
    for (size_t i = 0; i < COUNT(cells); i++) {
        pack_clear(&reading);
        pack_set_cell(&reading, 1, cells[i]);
        enum spike_verdict verdict = spike_judge(&spike, &noisy, &before, &reading);
        assert_int_equal(verdict, i + 1 < COUNT(cells) ? SPIKE_DOUBTED : SPIKE_UNSETTLED);
    }
    pack_set_cell(&reading, 1, 3320);
    assert_int_equal(spike_judge(&spike, &noisy, &before, &reading), SPIKE_DOUBTED);
    spike_drop(&spike);
    pack_set_cell(&reading, 1, 3311);
    assert_int_equal(spike_judge(&spike, &noisy, &before, &reading), SPIKE_BELIEVED);
}

/* Damaged readings that never agree, on a line with much damage: nothing is learned about a value if two of six
 * readings are wrong, so that small damage is still detected. */
TEST(nothing_is_learned_from_damage)
{
    static const struct spike_rules noisy = {.limits = &usual, .weak = true, .noisy = true};
    static const double cells[] = {3315, 3315, 3313, 3283, 3315, 3315, 3315};
    struct spike spike = {.readings = UINT_MAX};
    struct pack before, reading;
    pack_clear(&before);
    pack_set_cell(&before, 1, 3315);
    pack_set_cell(&before, 2, 3300);
    for (size_t i = 0; i < COUNT(cells); i++) {
        reading = before;
        pack_set_cell(&reading, 1, cells[i]);
        pack_set(&reading, CURRENT_A, 100.0 * (double) i); /* so that all differ */
        enum spike_verdict verdict = spike_judge(&spike, &noisy, &before, &reading);
        assert_int_equal(verdict, i + 1 < COUNT(cells) ? SPIKE_DOUBTED : SPIKE_UNSETTLED);
    }
    reading = before;
    pack_set_cell(&reading, 1, 3314);
    assert_int_equal(spike_judge(&spike, &noisy, &before, &reading), SPIKE_DOUBTED);
}

/* A poller, and the capture that answers it. One word of one reply can be replaced, with a corrected checksum. */
struct world {
    struct exchange *exchange;
    struct poller *poller;
    double now;
    uint8_t command, frame, byte; /* of the reply to change; command 0: none */
    uint16_t word;
    unsigned times;      /* number of times that it is changed, or refused */
    uint8_t mute;        /* a command that is not answered */
    bool mute_behind;    /* the changed reply is not repeated from then on */
    uint8_t refuse;      /* a command that the board rejects as unknown */
    unsigned asked[256]; /* by command, in the last cycle */
};

#define CAPTURE "tests/captures/daly/01-readme-14s-idle.exch"
#define FRAME 13
#define PACK_REPLY 0x90
#define STATE_REPLY 0x93
#define STATUS_REPLY 0x94
#define EXTREMES_REPLY 0x91
#define CELLS_REPLY 0x95

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

#define SPIKE_TEST(name) TEST_WITH(name, set_up, tear_down)

/* All frames after a request in the capture. */
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
    if (command == world->refuse && world->times > 0) {
        world->times--;
        refuse_request(world->poller, world->now);
        return;
    }
    if (size > 0 && command == world->command && world->times > 0) {
        world->times--;
        disturb(world, reply);
        if (world->mute_behind)
            world->mute = command;
    }
    reply_append(&feed, reply, size);
    if (reply_decode(&feed, &world->poller->bms, request, true, &world->poller->incoming) ==
        REPLY_DONE)
        answer_request(world->poller, world->now);
    else
        plan_unanswered(world->poller, world->now);
}

/* Runs a cycle when it is due; returns whether it published. */
static bool run_cycle(struct world *world)
{
    struct bms_request request;
    bool published = false;
    world->now = fmax(world->now, world->poller->pace.due);
    memset(world->asked, 0, sizeof world->asked);
    while (next_request(world->poller, world->now, &request, &published))
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

SPIKE_TEST(recorded_spikes)
{
    struct world *world = *state;
    static const struct {
        uint8_t command, frame, byte;
        uint16_t word;
    } wrong[] = {
        {PACK_REPLY, 0, 0, 650},                                /* 65.0 V */
        {PACK_REPLY, 0, 4, 30400},                              /* 40 A */
        {PACK_REPLY, 0, 6, 999},                                /* 99.9 % */
        {PACK_REPLY, 0, 6, 60000},                              /* not a percentage */
        {CELLS_REPLY, 1, 3, 2736},                              /* cell 5 */
        {CELLS_REPLY, 1, 3, 4999}, {STATE_REPLY, 0, 0, 0x0200}, /* discharging, both MOS off */
    };
    expect_as_recorded(cycle(world));
    for (size_t i = 0; i < COUNT(wrong); i++) {
        world->command = wrong[i].command;
        world->frame = wrong[i].frame;
        world->byte = wrong[i].byte;
        world->word = wrong[i].word;
        world->times = 1;
        expect_as_recorded(cycle(world));
        assert_int_equal(world->asked[wrong[i].command], 2);
        assert_int_equal(world->poller->counters.spikes, i + 1);
        expect_as_recorded(cycle(world));
        assert_int_equal(world->asked[wrong[i].command], 1);
        assert_int_equal(world->poller->counters.spikes, i + 1);
    }
}

/* A real step is published in the cycle in which it is read. */
SPIKE_TEST(recorded_step)
{
    struct world *world = *state;
    world->mute = EXTREMES_REPLY; /* so that extremes are computed from the cells */
    expect_as_recorded(cycle(world));
    world->command = CELLS_REPLY;
    world->times = UINT_MAX;
    world->frame = 1;
    world->byte = 3;
    world->word = 3200; /* a load on cell 5 */
    const struct pack *pack = cycle(world);
    assert_int_equal(world->asked[CELLS_REPLY], 3);
    expect(pack, CELL_MV + 4, 3200);
    expect(pack, CELL_MIN_MV, 3200);
    expect(pack, CELL_MIN_INDEX, 5);
    expect(pack, CELL_DELTA_MV, 580);
    assert_int_equal(world->poller->counters.spikes, 0);
    cycle(world);
    assert_int_equal(world->asked[CELLS_REPLY], 1);
}

/* The number of cells is read rarely, and all cells depend on it: a wrong number is not even stored. */
SPIKE_TEST(recorded_count)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    assert_int_equal(world->asked[STATUS_REPLY], 2); /* the first reading */
    world->command = STATUS_REPLY;
    world->times = 1;
    world->word = 24 << 8 | 1;
    while (world->times) {
        expect_as_recorded(cycle(world));
        expect(&world->poller->values, CELL_COUNT, 14);
        assert_int_equal(world->asked[CELLS_REPLY], 1);
    }
}

/* A doubtful reading without a second one is not accepted: as if nothing had arrived. */
SPIKE_TEST(recorded_unconfirmed)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    world->command = CELLS_REPLY;
    world->times = 1;
    world->mute_behind = true;
    world->frame = 1;
    world->byte = 3;
    world->word = 3200;
    assert_false(run_cycle(world));
    expect_as_recorded(&world->poller->values);
    world->mute = 0;
    expect_as_recorded(cycle(world));
}

/* A refusal of a request that was answered before may be damage, too. */
SPIKE_TEST(recorded_refusal)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    world->refuse = CELLS_REPLY;
    world->times = 2;
    expect_as_recorded(cycle(world));
    assert_int_equal(world->asked[CELLS_REPLY], 3);
    assert_int_equal(world->poller->counters.refused, 0);
    world->times = 3;
    const struct pack *pack = cycle(world);
    expect(pack, CELL_MV, NAN);
    assert_int_equal(world->poller->counters.refused, 1);
}

/* After damage was seen, a new value needs four readings, even the first one. */
SPIKE_TEST(recorded_after_damage)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    plan_disturbed(world->poller, world->now);
    world->command = PACK_REPLY;
    world->byte = 6;
    world->word = 999;
    world->times = 2;
    expect_as_recorded(cycle(world));
    assert_int_equal(world->asked[PACK_REPLY], 3);
    world->times = UINT_MAX;
    expect(cycle(world), SOC_PERCENT, 99.9);
    assert_int_equal(world->asked[PACK_REPLY], 4);
    world->now += 61;
    world->word = 189;
    expect(cycle(world), SOC_PERCENT, 18.9);
    assert_int_equal(world->asked[PACK_REPLY], 2);
}

SPIKE_TEST(recorded_gap)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    double silent_from = world->now;
    world->mute = PACK_REPLY;
    while (world->poller->pace.due - silent_from <= 10)
        assert_false(run_cycle(world));
    world->mute = 0;
    world->command = PACK_REPLY;
    world->times = UINT_MAX;
    world->frame = 0;
    world->byte = 6;
    world->word = 999;
    expect(cycle(world), SOC_PERCENT, 99.9);
    /* A second reading confirms the first one after the gap. */
    assert_int_equal(world->asked[PACK_REPLY], 2);
}

/* On a crowded line each pack has its turn only every 17 s, which is not a gap. */
SPIKE_TEST(recorded_on_a_slow_line)
{
    struct world *world = *state;
    for (int i = 0; i < 3; i++, world->now += 17)
        expect_as_recorded(cycle(world));
    world->command = PACK_REPLY;
    world->times = 1;
    world->byte = 6;
    world->word = 999;
    expect_as_recorded(cycle(world));
    assert_int_equal(world->poller->counters.spikes, 1);
}

SPIKE_TEST(another_device)
{
    struct world *world = *state;
    expect_as_recorded(cycle(world));
    poller_reset(world->poller, world->now);
    world->now += 1;
    world->command = PACK_REPLY;
    world->times = UINT_MAX;
    world->byte = 6;
    world->word = 999;
    expect(cycle(world), SOC_PERCENT, 99.9);
}

/* A device that talks unasked is not asked: its next set confirms the reading. */
TEST(talker)
{
    static const struct line_config line = {.name = "line"};
    static const struct bms_driver talker = {
        .name = "talker", .line = {.baud = 9600}, .check = BMS_CHECK_SUM};
    static const struct pack_config config = {.line = &line,
                                              .driver = &talker,
                                              .poll_s = 1,
                                              .stale_after_s = 10,
                                              .spikes = {10, 20, 300, 10}};
    static const double socs[] = {50, 50, 80, 20, 50, 70, 70, 70, 70, 70};
    struct poller *poller = poller_new(&config);
    for (size_t i = 0; i < COUNT(socs); i++) {
        pack_set(&poller->incoming, SOC_PERCENT, socs[i]);
        double now =
            1000 + (double) i + (i > 7 ? 60 : 0); /* after a silence it is confirmed again */
        bool published = poller_heard(poller, now, 0);
        assert_int_equal(published, i < 2 || i == 4 || i == 7 || i == 9);
        expect(&poller->values, SOC_PERCENT, i >= 7 ? 70 : 50);
    }
    assert_true(poller->published_at == 1069);
    poller_free(poller);
}

/* A reading that no pack can reach between two polls. */
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
    static const struct spike_rules strong = {.limits = &usual};
    struct spike spike = {0};
    struct pack wrong = *recorded;
    wrong.value[id] = far_from(id, recorded->value[id]);
    char name[VALUE_NAME_SIZE];
    if (spike_judge(&spike, &strong, recorded, recorded) != SPIKE_BELIEVED ||
        spike_judge(&spike, &strong, recorded, &wrong) != SPIKE_DOUBTED ||
        spike_judge(&spike, &strong, recorded, recorded) != SPIKE_REFUTED)
        fail_msg("%s, %s: a jump is believed", path, pack_value_name((enum pack_value) id, name));
}

TEST(captures)
{
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
            if (has_key(id) && !isnan(pack.value[id]) && pack.value[id] != 0) {
                try_value(paths.gl_pathv[i], &pack, id);
                tried++;
            }
        exchange_free(exchange);
    }
    assert_true(tried > 300);
    globfree(&paths);
}
