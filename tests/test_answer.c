// SPDX-License-Identifier: MIT
/*
 * The answers to requests: in which order they are checked, what is rejected, and the values. libmodbus, which has answered them before,
 * trusted lengths, wrote registers, and answered for any unit.
 */
#include "modbus/answer.h"
#include "bms/count.h"

#include <math.h>
#include <modbus.h>
#include <netinet/in.h>
#include <string.h>

#include "pack_test.h"

static const struct map_settings settings = {.base = MAP_BASE_DEFAULT,
                                             .also_at = MAP_ALSO_AT_DEFAULT};

struct bench {
    struct pack values;
    struct source source;
    struct unit unit;
    struct units units;
    struct answerer answerer;
    struct answers answers;
};

static struct bench bench;

static uint16_t pattern(unsigned address)
{
    return (uint16_t) (address * 7 + 3);
}

static int set_up(void **state)
{
    memset(&bench, 0, sizeof bench);
    bench.values = cleared_pack();
    bench.source = (struct source){.name = "house-1",
                                   .values = &bench.values,
                                   .status = {.state = MAP_STATE_FRESH},
                                   .good_until = INFINITY,
                                   .read_at = NAN};
    unit_open(&bench.unit, 1, &bench.source, &settings, STALE_EXCEPTION);
    bench.unit.known = true;
    bench.unit.shown_state = MAP_STATE_FRESH;
    for (unsigned i = 0; i < map_size(&settings); i++)
        bench.unit.registers[i] = pattern(i);
    assert_true(units_add(&bench.units, &bench.unit));
    bench.answerer.units = &bench.units;
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    unit_close(&bench.unit);
    return 0;
}

#define ANSWER_TEST(name) TEST_WITH(name, set_up, tear_down)

static void expect(const uint8_t *bytes, size_t size)
{
    assert_int_equal(bench.answers.size, size);
    assert_memory_equal(bench.answers.bytes, bytes, size);
}

#define EXPECT(...) expect((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Received at 1000 s and answered at once, by default. */
#define NOW 1000.0
#define TICKET 4711

/* False: an order is in progress. */
static bool ask_at(const uint8_t *frame, size_t size, double now)
{
    const struct sockaddr_in client = {.sin_family = AF_INET};
    const struct question question = {.client = (const struct sockaddr *) &client,
                                      .frame = frame,
                                      .size = size,
                                      .ticket = TICKET};
    bench.answers.size = 0;
    return answer(&bench.answerer, &question, now, &bench.answers);
}

static bool ask(const uint8_t *frame, size_t size)
{
    return ask_at(frame, size, NOW);
}

/* Malformed requests, and functions that there are not. */
// clang-format off
static const struct {
    const char *name;
    uint8_t frame[24];
    size_t size;
    uint8_t exception;
} malformed[] = {
    {"quantity 0",              {0, 1, 0, 0, 0,  6, 1,  3, 1, 0x22, 0,    0},                    12, 3},
    {"quantity 126",            {0, 1, 0, 0, 0,  6, 1,  3, 1, 0x22, 0,  126},                    12, 3},
    {"quantity 0 of inputs",    {0, 1, 0, 0, 0,  6, 1,  2, 0,    0, 0,    0},                    12, 3},
    {"2001 coils",              {0, 1, 0, 0, 0,  6, 1,  1, 0,    0, 7, 0xD1},                    12, 3},
    {"input registers, 0xFFFF", {0, 1, 0, 0, 0,  6, 1,  4, 1, 0x22, 0xFF, 0xFF},                 12, 3},
    {"15, byte count too low",  {0, 1, 0, 0, 0,  8, 1, 15, 0,    0, 0,    9, 1, 1},              14, 1},
    {"16, byte count odd",      {0, 1, 0, 0, 0, 10, 1, 16, 1, 0x22, 0,    1, 3, 0, 1, 2},        16, 1},
    {"23, quantity 0",          {0, 1, 0, 0, 0, 13, 1, 23, 1, 0x22, 0, 0, 1, 0x22, 0, 1, 2, 0, 1}, 19, 1},
    {"unknown function 8",      {0, 1, 0, 0, 0,  6, 1,  8, 0,    0, 0,    0},                    12, 1},
    {"unknown function 100",    {0, 1, 0, 0, 0,  2, 1, 100},                                      8, 1},
    {"function 43/14",          {0, 1, 0, 0, 0,  5, 1, 43, 14,   9, 0},                          11, 3},
};
// clang-format on

ANSWER_TEST(malformed_requests)
{
    for (size_t i = 0; i < COUNT(malformed); i++) {
        assert_true(ask(malformed[i].frame, malformed[i].size));
        EXPECT(0, 1, 0, 0, 0, 3, 1, (uint8_t) (malformed[i].frame[7] | 0x80),
               malformed[i].exception);
    }
}

/* A read request that ends after its address: the quantity is not taken from an earlier request in the buffer. */
ANSWER_TEST(short_read)
{
    uint8_t buffer[] = {0, 1, 0, 0, 0, 4, 1, 3, 1, 0x22, /* the end; left over: */ 0, 2};
    ask(buffer, 10);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x83, 3);
}

/* Function 16 that ends after its byte count: the data of an earlier request is not written. */
ANSWER_TEST(short_write)
{
    uint8_t buffer[] = {0,   1, 0, 0, 0, 7, 1, 16, 1, 0x22, 0, 1, 2, /* the end; left over: */ 0xDE,
                        0xAD};
    ask(buffer, 13);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x90, 1);
    assert_int_equal(bench.unit.registers[290], pattern(290));
}

/* A short function 22: the same of its masks. */
ANSWER_TEST(short_mask)
{
    uint8_t buffer[] = {0,   1, 0, 0, 0, 6, 1, 22, 1, 0x22, 0, 0, /* the end; left over: */ 0xBE,
                        0xEF};
    ask(buffer, 12);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x96, 1);
    assert_int_equal(bench.unit.registers[290], pattern(290));
}

/* No writing function changes anything. */
static const uint8_t writers[][19] = {
    {0, 1, 0, 0, 0, 6, 1, 5, 0, 0, 0xFF, 0},
    {0, 1, 0, 0, 0, 6, 1, 6, 1, 0x22, 0x55, 0xAA},
    {0, 1, 0, 0, 0, 8, 1, 15, 0, 0, 0, 2, 1, 3},
    {0, 1, 0, 0, 0, 9, 1, 16, 1, 0x22, 0, 1, 2, 0x55, 0xAA},
    {0, 1, 0, 0, 0, 8, 1, 22, 1, 0x22, 0, 0, 0x55, 0xAA},
    {0, 1, 0, 0, 0, 13, 1, 23, 1, 0x22, 0, 1, 1, 0x22, 0, 1, 2, 0x55, 0xAA},
};

ANSWER_TEST(read_only)
{
    struct unit *unit = &bench.unit;
    for (size_t i = 0; i < COUNT(writers); i++) {
        const size_t size = 6u + writers[i][5];
        ask(writers[i], size);
        EXPECT(0, 1, 0, 0, 0, 3, 1, (uint8_t) (writers[i][7] | 0x80), 1);
        assert_int_equal(unit->registers[290], pattern(290));
        assert_int_equal(unit->coils[0], 0);
        assert_int_equal(unit->coils[1], 0);
    }
}

/* Other unit ids. */
ANSWER_TEST(any_unit)
{
    uint8_t frame[] = {0, 1, 0, 0, 0, 6, 0, 3, 1, 0x22, 0, 1};
    for (unsigned unit = 2; unit < 256; unit++) {
        frame[6] = (uint8_t) unit;
        ask(frame, sizeof frame);
        EXPECT(0, 1, 0, 0, 0, 3, (uint8_t) unit, 0x83, 0x0A);
    }
}

/* The exception to a function from 0x81 on does not look like a response to a read. */
ANSWER_TEST(function_wraps)
{
    uint8_t frame[] = {0, 1, 0, 0, 0, 6, 1, 0x83, 1, 0x22, 0, 1};
    for (unsigned function = 0x80; function < 256; function++) {
        frame[7] = (uint8_t) function;
        ask(frame, sizeof frame);
        EXPECT(0, 1, 0, 0, 0, 3, 1, (uint8_t) function, 1);
    }
}

/* Every function with every length gets an exception or the right answer, without a delay. */
ANSWER_TEST(everything_short)
{
    for (unsigned function = 0; function < 256; function++)
        for (unsigned length = 2; length <= 254; length++) {
            uint8_t frame[260] = {0, 1, 0, 0, 0, (uint8_t) length, 1, (uint8_t) function};
            ask(frame, 6 + length);
            assert_in_range(bench.answers.size, 9, 260);
            assert_int_equal(bench.answers.size, 6u + bench.answers.bytes[5]);
        }
    for (unsigned i = 0; i < map_size(&settings); i++)
        assert_int_equal(bench.unit.registers[i], pattern(i));
}

/* Every quantity near a limit at every address near the end of a block: the size of each answer is right. */
ANSWER_TEST(everything_near_ends)
{
    static const unsigned ends[] = {0, 2, 48, 100, 158, 290, 348, 400, 800, 0xFFFE};
    static const unsigned quantities[] = {0,    1,    2,    3,    47,     48,     49,    57,  58,
                                          59,   124,  125,  126,  127,    128,    255,   256, 257,
                                          1999, 2000, 2001, 2002, 0x7FFF, 0x8000, 0xFFFF};
    for (uint8_t function = 1; function <= 4; function++)
        for (size_t e = 0; e < COUNT(ends); e++)
            for (unsigned address = ends[e] ? ends[e] - 1 : 0; address <= ends[e] + 1; address++)
                for (size_t q = 0; q < COUNT(quantities); q++) {
                    const uint8_t frame[] = {0,
                                             1,
                                             0,
                                             0,
                                             0,
                                             6,
                                             1,
                                             function,
                                             (uint8_t) (address >> 8),
                                             (uint8_t) address,
                                             (uint8_t) (quantities[q] >> 8),
                                             (uint8_t) quantities[q]};
                    ask(frame, sizeof frame);
                    assert_int_equal(bench.answers.size, 6u + bench.answers.bytes[5]);
                }
}

/* The four functions that set a value, from an allowed client: neither the order nor its end changes a register. */
// clang-format off
static const struct {
    uint8_t frame[17], confirmed[12];
} orders[] = {
    {{0, 1, 0, 0, 0,  6, 1,  5, 0, 1, 0xFF, 0},                  {0, 1, 0, 0, 0, 6, 1,  5, 0, 1, 0xFF, 0}},
    {{0, 2, 0, 0, 0,  6, 1,  6, 1, 0x34, 0, 1},                  {0, 2, 0, 0, 0, 6, 1,  6, 1, 0x34, 0, 1}},
    {{0, 3, 0, 0, 0,  8, 1, 15, 0, 0, 0, 2, 1, 3},               {0, 3, 0, 0, 0, 6, 1, 15, 0, 0, 0, 2}},
    {{0, 4, 0, 0, 0, 11, 1, 16, 1, 0x33, 0, 2, 4, 0, 1, 0, 1},   {0, 4, 0, 0, 0, 6, 1, 16, 1, 0x33, 0, 2}},
};
// clang-format on

static unsigned orders_taken;

static uint8_t take_order(void *data, struct unit *unit, const struct switches *switches,
                          const struct sockaddr *client, uint64_t ticket)
{
    assert_ptr_equal(data, &bench);
    assert_ptr_equal(unit, &bench.unit);
    assert_int_equal(ticket, TICKET);
    orders_taken++;
    return 0;
}

ANSWER_TEST(orders)
{
    struct allow_list everybody = {.count = 0};
    assert_true(allow_add(&everybody, "0.0.0.0/0"));
    bench.unit.writable = true;
    bench.answerer.allow_write = &everybody;
    bench.answerer.data = &bench;
    for (size_t i = 0; i < COUNT(orders); i++) {
        const uint8_t *frame = orders[i].frame;
        const size_t size = 6u + frame[5];
        /* Without a handler for orders the function does not exist. */
        bench.answerer.carry_out = NULL;
        assert_true(ask(frame, size));
        EXPECT(0, frame[1], 0, 0, 0, 3, 1, (uint8_t) (frame[7] | 0x80), 1);

        orders_taken = 0;
        bench.answerer.carry_out = take_order;
        assert_false(ask(frame, size));
        assert_int_equal(orders_taken, 1);
        assert_int_equal(bench.answers.size, 0);
        answer_order(&bench.answerer, frame, 0, &bench.answers);
        expect(orders[i].confirmed, sizeof orders[i].confirmed);
        bench.answers.size = 0;
        answer_order(&bench.answerer, frame, 4, &bench.answers);
        EXPECT(0, frame[1], 0, 0, 0, 3, 1, (uint8_t) (frame[7] | 0x80), 4);
    }
    for (unsigned i = 0; i < map_size(&settings); i++)
        assert_int_equal(bench.unit.registers[i], pattern(i));
    assert_int_equal(bench.unit.coils[0] + bench.unit.coils[1], 0);
}

/* Freshness is that of the moment of the answer, even without a notification; and it is consistent within an answer,
 * and between two at the same moment. */
ANSWER_TEST(judged_at_the_moment)
{
    static const uint8_t soc[] = {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 1},
                         state_and_age[] = {0, 2, 0, 0, 0, 6, 1, 3, 1, 0x91, 0, 11},
                         is_fresh[] = {0, 3, 0, 0, 0, 6, 1, 2, 0, 37, 0, 1};
    pack_set(&bench.values, SOC_PERCENT, 77);
    bench.source.good_until = NOW + 9.8;
    bench.source.read_at = NOW - 0.2;
    unit_update(&bench.unit, true, NOW);
    for (int held = 0; held < 2; held++) {
        bench.unit.on_stale = held ? STALE_HOLD : STALE_EXCEPTION;
        unit_update(&bench.unit, true, NOW);
        static const struct {
            double later;
            bool fresh;
            uint8_t age;
        } moments[] = {{0, true, 1},    {0.9, true, 2},     {9.7, true, 10},
                       {9.8, true, 10}, {9.801, false, 11}, {16, false, 17}};
        for (size_t i = 0; i < COUNT(moments); i++) {
            const bool fresh = moments[i].fresh;
            const double now = NOW + moments[i].later;
            assert_true(ask_at(soc, sizeof soc, now));
            if (fresh || held)
                EXPECT(0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 77);
            else
                EXPECT(0, 1, 0, 0, 0, 3, 1, 0x83, 0x0B);
            assert_true(ask_at(state_and_age, sizeof state_and_age, now));
            assert_int_equal(bench.answers.size, 9 + 22);
            assert_int_equal(bench.answers.bytes[10], fresh ? MAP_STATE_FRESH : MAP_STATE_STALE);
            assert_int_equal(bench.answers.bytes[9 + 2 * 9 + 1], moments[i].age);
            if (held) { /* the failure flag of the compatibility block */
                assert_int_equal(bench.unit.registers[290 + 45], !fresh);
                assert_int_equal(bench.unit.registers[100 + 45], !fresh);
            }
            assert_true(ask_at(is_fresh, sizeof is_fresh, now));
            EXPECT(0, 3, 0, 0, 0, 4, 1, 2, 1, fresh);
        }
    }
}

/* The order of the checks: unit, function, access, length and quantity, address, freshness. */
// clang-format off
static const struct {
    const char *name;
    bool stale;
    uint8_t frame[14];
    size_t size;
    uint8_t exception;
} precedences[] = {
    {"unit before function",     false, {0, 1, 0, 0, 0, 2, 9, 100},                          8, 0x0A},
    {"unit before length",       false, {0, 1, 0, 0, 0, 2, 9, 3},                            8, 0x0A},
    {"access before length",     false, {0, 1, 0, 0, 0, 2, 1, 16},                           8, 1},
    {"access before address",    false, {0, 1, 0, 0, 0, 6, 1, 6, 0, 0, 0, 0},               12, 1},
    {"quantity before address",  false, {0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 0},               12, 3},
    {"address before freshness", true,  {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x21, 0, 2},            12, 2},
    {"freshness",                true,  {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 2},            12, 0x0B},
};
// clang-format on

ANSWER_TEST(precedence)
{
    for (size_t i = 0; i < COUNT(precedences); i++) {
        bench.source.status.state = precedences[i].stale ? MAP_STATE_STALE : MAP_STATE_FRESH;
        ask(precedences[i].frame, precedences[i].size);
        if (bench.answers.size != 9 || bench.answers.bytes[8] != precedences[i].exception)
            fail_msg("%s: exception %u", precedences[i].name, bench.answers.bytes[8]);
    }
    assert_int_equal(bench.answerer.requests, COUNT(precedences));
    assert_int_equal(bench.answerer.exceptions, COUNT(precedences));
}

/* Registers are sent high byte first by functions 3 and 4; bits fill bytes from the lowest. */
ANSWER_TEST(values)
{
    const uint16_t first = pattern(290), second = pattern(291);
    uint8_t frame[] = {0x12, 0x34, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 2};
    for (uint8_t function = 3; function <= 4; function++) {
        frame[7] = function;
        ask(frame, sizeof frame);
        EXPECT(0x12, 0x34, 0, 0, 0, 7, 1, function, 4, (uint8_t) (first >> 8), (uint8_t) first,
               (uint8_t) (second >> 8), (uint8_t) second);
    }
    bench.unit.inputs[1] = bench.unit.inputs[9] = bench.unit.coils[1] = 1;
    ask((const uint8_t[]){0, 2, 0, 0, 0, 6, 1, 2, 0, 0, 0, 10}, 12);
    EXPECT(0, 2, 0, 0, 0, 5, 1, 2, 2, 0x02, 0x02);
    ask((const uint8_t[]){0, 3, 0, 0, 0, 6, 1, 1, 0, 0, 0, 2}, 12);
    EXPECT(0, 3, 0, 0, 0, 4, 1, 1, 1, 0x02);
}

ANSWER_TEST(identification)
{
    static const char expected[] = "\x00\x05\x00\x00\x00\x29\x01"
                                   "\x2B\x0E\x01\x82\x00\x00\x03"
                                   "\x00\x08packgate\x01\x08packgate\x02";
    static const uint8_t request[] = {0, 5, 0, 0, 0, 5, 1, 43, 14, 1, 0};
    const size_t version = strlen(PACKGATE_VERSION);
    uint8_t reply[64];
    memcpy(reply, expected, sizeof expected - 1);
    reply[sizeof expected - 1] = (uint8_t) version;
    memcpy(reply + sizeof expected, PACKGATE_VERSION, version);
    reply[5] = (uint8_t) (1 + 7 + 10 + 10 + 2 + version);
    ask(request, sizeof request);
    expect(reply, sizeof expected + version);
    /* The name of a silent pack can still be read. */
    bench.source.status.state = MAP_STATE_STALE;
    ask((const uint8_t[]){0, 6, 0, 0, 0, 5, 1, 43, 14, 4, 6}, 11);
    EXPECT(0, 6, 0, 0, 0, 17, 1, 43, 14, 4, 0x82, 0, 0, 1, 6, 7, 'h', 'o', 'u', 's', 'e', '-', '1');
}
