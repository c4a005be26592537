// SPDX-License-Identifier: MIT
/*
 * The pure parts of a push: numbers by name, numbers in registers, requests and their responses,
 * and what is due when. Expected frames are the examples of "MODBUS Application Protocol
 * Specification V1.1b3", sections 6.6 and 6.12.
 */
#include "modbus/push_plan.h"
#include "registers/value.h"
#include "bms/count.h"
#include "bms/prng.h"
#include "pack_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

TEST(names)
{
    static const struct {
        const char *name;
        enum value_kind kind;
        int id;
    } cases[] = {
        {"voltage_v", VALUE_NUMBER, VOLTAGE_V},
        {"cell_mv.1", VALUE_NUMBER, CELL_MV},
        {"cell_mv.48", VALUE_NUMBER, CELL_MV + 47},
        {"temp_c.16", VALUE_NUMBER, TEMP_C + 15},
        {"discharge_current_limit_a", VALUE_NUMBER, DISCHARGE_CURRENT_LIMIT_A},
        {"alarm.cell_over_voltage", VALUE_ALARM, CELL_OVER_VOLTAGE},
        {"alarm.hardware_fault", VALUE_ALARM, HARDWARE_FAULT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value_ref ref;
        char name[VALUE_NAME_SIZE];
        if (!value_find(cases[i].name, &ref) || ref.kind != cases[i].kind || ref.id != cases[i].id)
            fail_msg("%s: not found, or something else", cases[i].name);
        assert_string_equal(value_format(&ref, name), cases[i].name);
    }
    static const char *const mapped[] = {"alarm_level",  "alarms_active",    "charged_wh",
                                         "temp_max_c",   "connection_state", "age_s",
                                         "packs_missing"};
    for (size_t i = 0; i < COUNT(mapped); i++) {
        struct value_ref ref;
        char name[VALUE_NAME_SIZE];
        if (!value_find(mapped[i], &ref) || ref.kind != VALUE_MAPPED)
            fail_msg("%s: not found, or something else", mapped[i]);
        assert_string_equal(value_format(&ref, name), mapped[i]);
    }
    static const char *const unknown[] = {"",           "voltage",    "cell_mv",   "cell_mv.0",
                                          "cell_mv.49", "cell_mv.01", "alarm.",    "alarm",
                                          "serial",     "VOLTAGE_V",  "voltage_v "};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        struct value_ref ref;
        if (value_find(unknown[i], &ref))
            fail_msg("'%s' was found", unknown[i]);
    }
}

static double look_up_with(const struct pack *pack, const struct map_status *status,
                           const char *name)
{
    struct value_ref ref;
    assert_true(value_find(name, &ref));
    return value_of(&ref, pack, status);
}

static double look_up(const struct pack *pack, const char *name)
{
    static const struct map_status status;
    return look_up_with(pack, &status, name);
}

TEST(values)
{
    struct pack pack = cleared_pack();
    assert_true(isnan(look_up(&pack, "voltage_v")));
    assert_true(isnan(look_up(&pack, "alarm.soc_low")));
    assert_true(isnan(look_up(&pack, "alarm_level")));
    assert_true(isnan(look_up(&pack, "alarms_active")));
    pack_set(&pack, VOLTAGE_V, 53.5);
    pack_set_cell(&pack, 3, 3301);
    pack_alarm(&pack, SOC_LOW, ALARM_WARNING);
    pack_alarm(&pack, SOC_HIGH, 0);
    assert_true(look_up(&pack, "voltage_v") == 53.5);
    assert_true(look_up(&pack, "cell_mv.3") == 3301);
    assert_true(look_up(&pack, "alarm.soc_low") == 1);
    assert_true(look_up(&pack, "alarm.soc_high") == 0);
    assert_true(isnan(look_up(&pack, "alarm.short_circuit")));
    assert_true(look_up(&pack, "alarm_level") == 1);
    pack_alarm(&pack, SHORT_CIRCUIT, ALARM_PROTECTION);
    assert_true(look_up(&pack, "alarm_level") == 2);
    assert_true(look_up(&pack, "alarms_active") == (1 << SOC_LOW | 1 << SHORT_CIRCUIT));
    assert_true(look_up(&pack, "alarms_warning") == 1 << SOC_LOW);
    assert_true(look_up(&pack, "alarms_protection") == 1 << SHORT_CIRCUIT);
}

/* The gateway's own values, for a pack and for a bank. */
TEST(mapped_values)
{
    const struct map_bank extras = {.missing = 2, .temp_max_c = 41.5, .temp_max_pack = 3};
    struct map_status status = {.state = MAP_STATE_STALE, .age_s = 17, .charged_wh = 1234.5};
    struct pack pack = cleared_pack();
    pack_set(&pack, TEMP_C, 21.5);
    pack_set(&pack, TEMP_C + 1, 19);
    assert_true(look_up_with(&pack, &status, "connection_state") == MAP_STATE_STALE);
    assert_true(look_up_with(&pack, &status, "age_s") == 17);
    assert_true(look_up_with(&pack, &status, "charged_wh") == 1234.5);
    assert_true(look_up_with(&pack, &status, "temp_max_c") == 21.5);
    assert_true(look_up_with(&pack, &status, "temp_min_c") == 19);
    assert_true(isnan(look_up_with(&pack, &status, "packs_missing")));
    status.bank = &extras;
    assert_true(look_up_with(&pack, &status, "packs_missing") == 2);
    assert_true(look_up_with(&pack, &status, "temp_max_c") == 41.5);
    assert_true(look_up_with(&pack, &status, "temp_max_pack") == 3);
    assert_true(isnan(look_up_with(&pack, &status, "cell_min_pack")));
}

// clang-format off
TEST(encode)
{
    static const struct {
        const char *name;
        enum map_type type;
        bool big;
        enum instead instead;
        double number; /* for INSTEAD_NUMBER */
        double scale, offset, value;
        enum push_encoded result;
        uint16_t words[2];
    } cases[] = {
        {"u16", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, 88, PUSH_EXACT, {88}},
        {"rounded down", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, 61.4, PUSH_EXACT, {61}},
        {"rounded up", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, 61.5, PUSH_EXACT, {62}},
        {"scale, then offset", REG_U16, false, INSTEAD_SKIP, 0, 10, 400, -7, PUSH_EXACT, {330}},
        {"fine scale", REG_U16, false, INSTEAD_SKIP, 0, 0.1, 0, 535, PUSH_EXACT, {54}},
        {"negative scale", REG_S16, false, INSTEAD_SKIP, 0, -100, 0, 12.3, PUSH_EXACT, {0x10000 - 1230}},
        {"below u16", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, -1, PUSH_CLIPPED, {0}},
        {"rounds to 0", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, -0.4, PUSH_EXACT, {0}},
        {"end of u16", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, 65535.4, PUSH_EXACT, {65535}},
        {"above u16", REG_U16, false, INSTEAD_SKIP, 0, 1000, 0, 66, PUSH_CLIPPED, {65535}},
        {"ends of s16", REG_S16, false, INSTEAD_SKIP, 0, 1, 0, -32768, PUSH_EXACT, {0x8000}},
        {"below s16", REG_S16, false, INSTEAD_SKIP, 0, 100, 0, -400, PUSH_CLIPPED, {0x8000}},
        {"above s16", REG_S16, false, INSTEAD_SKIP, 0, 100, 0, 400, PUSH_CLIPPED, {0x7FFF}},
        {"u32 low first", REG_U32, false, INSTEAD_SKIP, 0, 1, 0, 0x12345678, PUSH_EXACT, {0x5678, 0x1234}},
        {"u32 high first", REG_U32, true, INSTEAD_SKIP, 0, 1, 0, 0x12345678, PUSH_EXACT, {0x1234, 0x5678}},
        {"above u32", REG_U32, true, INSTEAD_SKIP, 0, 1e6, 0, 1e6, PUSH_CLIPPED, {0xFFFF, 0xFFFF}},
        {"below u32", REG_U32, true, INSTEAD_SKIP, 0, 1, 0, -1, PUSH_CLIPPED, {0, 0}},
        {"s32", REG_S32, true, INSTEAD_SKIP, 0, 1000, 0, -0.002, PUSH_EXACT, {0xFFFF, 0xFFFE}},
        {"below s32", REG_S32, true, INSTEAD_SKIP, 0, 1e6, 0, -1e6, PUSH_CLIPPED, {0x8000, 0}},
        {"above s32", REG_S32, false, INSTEAD_SKIP, 0, 1e6, 0, 1e6, PUSH_CLIPPED, {0xFFFF, 0x7FFF}},
        /* 1.0 is 3F800000, -2.5 is C0200000, 123456.0 is 47F12000 in IEEE 754 */
        {"float low first", REG_FLOAT32, false, INSTEAD_SKIP, 0, 1, 0, 123456, PUSH_EXACT, {0x2000, 0x47F1}},
        {"float high first", REG_FLOAT32, true, INSTEAD_SKIP, 0, 1, 0, -2.5, PUSH_EXACT, {0xC020, 0}},
        {"float is not rounded", REG_FLOAT32, true, INSTEAD_SKIP, 0, 0.5, 0, -5, PUSH_EXACT, {0xC020, 0}},
        {"float, scaled to 1", REG_FLOAT32, true, INSTEAD_SKIP, 0, 0.25, -4, 20, PUSH_EXACT, {0x3F80, 0}},
        {"no minus zero", REG_FLOAT32, true, INSTEAD_SKIP, 0, -1, 0, 0, PUSH_EXACT, {0, 0}},
        {"skipped", REG_U16, false, INSTEAD_SKIP, 0, 1, 0, NAN, PUSH_NOTHING, {0}},
        {"a number, not scaled", REG_S16, false, INSTEAD_NUMBER, -1, 100, 7, NAN, PUSH_EXACT, {0xFFFF}},
        {"a float", REG_FLOAT32, true, INSTEAD_NUMBER, -2.5, 100, 7, NAN, PUSH_EXACT, {0xC020, 0}},
        {"a number in two", REG_U32, true, INSTEAD_NUMBER, 65537, 1, 0, NAN, PUSH_EXACT, {1, 1}},
        {"unknown u16", REG_U16, false, INSTEAD_UNKNOWN, 0, 1, 0, NAN, PUSH_EXACT, {0xFFFF}},
        {"unknown s16", REG_S16, false, INSTEAD_UNKNOWN, 0, 1, 0, NAN, PUSH_EXACT, {0x8000}},
        {"unknown u32", REG_U32, false, INSTEAD_UNKNOWN, 0, 1, 0, NAN, PUSH_EXACT, {0xFFFF, 0xFFFF}},
        {"unknown s32", REG_S32, false, INSTEAD_UNKNOWN, 0, 1, 0, NAN, PUSH_EXACT, {0, 0x8000}},
        {"unknown float", REG_FLOAT32, false, INSTEAD_UNKNOWN, 0, 1, 0, NAN, PUSH_EXACT, {0, 0x7FC0}},
        {"known u16 is never unknown", REG_U16, false, INSTEAD_UNKNOWN, 0, 1, 0, 65535, PUSH_CLIPPED, {0xFFFE}},
        {"known s16 is never unknown", REG_S16, false, INSTEAD_UNKNOWN, 0, 1, 0, -32768, PUSH_CLIPPED, {0x8001}},
        {"known u32 is never unknown", REG_U32, true, INSTEAD_UNKNOWN, 0, 1, 0, 4294967295.0, PUSH_CLIPPED, {0xFFFF, 0xFFFE}},
        {"known s32 is never unknown", REG_S32, true, INSTEAD_UNKNOWN, 0, 1, 0, -2147483648.0, PUSH_CLIPPED, {0x8000, 1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct register_row write = {.type = cases[i].type,
                                   .size = map_types[cases[i].type].registers,
                                   .min = -INFINITY,
                                   .max = INFINITY,
                                   .big_words = cases[i].big,
                                   .scale = cases[i].scale,
                                   .offset = cases[i].offset,
                                   .on_stale = {cases[i].instead, cases[i].number}};
        uint16_t words[2] = {0};
        enum push_encoded result = push_encode(&write, cases[i].value, words);
        if (result != cases[i].result || memcmp(words, cases[i].words, sizeof words) != 0)
            fail_msg("%s: expected %d, %04X %04X, got %d, %04X %04X", cases[i].name, cases[i].result,
                     cases[i].words[0], cases[i].words[1], result, words[0], words[1]);
    }
}
// clang-format on

/* A limit is never rounded up. */
TEST(encode_limit)
{
    struct register_row write = {.type = REG_U16,
                                 .scale = 10,
                                 .min = -INFINITY,
                                 .max = INFINITY,
                                 .terms = {{.what = ROW_VALUE}},
                                 .term_count = 1};
    uint16_t words[2];
    assert_true(value_find("allowed_charge_current_a", &write.terms[0].value));
    push_encode(&write, 46.49, words);
    assert_int_equal(words[0], 464);
    push_encode(&write, 46.3, words);
    assert_int_equal(words[0], 463);
    assert_true(value_find("current_a", &write.terms[0].value));
    push_encode(&write, 46.49, words);
    assert_int_equal(words[0], 465);
}

/* Translated values of a register of a view: a value without a translation is unknown. */
TEST(encode_bounds)
{
    struct register_row write = {.type = REG_U16,
                                 .size = 1,
                                 .scale = 10,
                                 .min = 0,
                                 .max = 500,
                                 .on_stale = {INSTEAD_UNKNOWN, 0}};
    uint16_t words[2];
    assert_int_equal(push_encode(&write, -3, words), PUSH_EXACT);
    assert_int_equal(words[0], 0);
    assert_int_equal(push_encode(&write, 51, words), PUSH_EXACT);
    assert_int_equal(words[0], 500);
    write.pairs[0] = (struct row_pair){1, 4};
    write.pair_count = 1;
    assert_int_equal(push_encode(&write, 1, words), PUSH_EXACT);
    assert_int_equal(words[0], 40);
    assert_int_equal(push_encode(&write, 2, words), PUSH_EXACT);
    assert_int_equal(words[0], 0xFFFF);
}

static void expect_bytes(const char *name, const struct push_request *request, const uint8_t *bytes,
                         size_t size)
{
    if (request->size != size || memcmp(request->bytes, bytes, size) != 0)
        fail_msg("%s: not the frame expected", name);
}

TEST(requests)
{
    static const uint8_t single[] = {0x12, 0x34, 0, 0, 0, 6, 0xFF, 0x06, 0x00, 0x01, 0x00, 0x03};
    static const uint8_t multiple[] = {0xFF, 0xFE, 0,    0,    0,    11,   1,    0x10, 0x00,
                                       0x01, 0x00, 0x02, 0x04, 0x00, 0x0A, 0x01, 0x02};
    struct push_request request;
    push_request_build(&request, 0x1234, 255, true, 1, (const uint16_t[]){3}, 1);
    expect_bytes("function 6", &request, single, sizeof single);
    push_request_build(&request, 0xFFFE, 1, false, 1, (const uint16_t[]){0x000A, 0x0102}, 2);
    expect_bytes("function 16", &request, multiple, sizeof multiple);

    uint16_t words[PUSH_REGISTERS_MAX] = {[PUSH_REGISTERS_MAX - 1] = 0xABCD};
    push_request_build(&request, 1, 1, false, 65535 - 122, words, PUSH_REGISTERS_MAX);
    assert_int_equal(request.size, 7 + 6 + 2 * 123);
    assert_int_equal(request.bytes[4] << 8 | request.bytes[5], request.size - 6);
    assert_int_equal(request.bytes[12], 246);
    assert_int_equal(request.bytes[request.size - 1], 0xCD);
    /* Our own server's checks accept the request. */
    struct mbap_request found;
    assert_int_equal(mbap_find(request.bytes, request.size).kind, MBAP_FRAME);
    assert_int_equal(mbap_check(request.bytes, request.size, &found), 0);
    assert_int_equal(found.write.address, 65535 - 122);
    assert_int_equal(found.write.count, 123);
}

// clang-format off
TEST(answers)
{
    static const struct {
        const char *name;
        bool single; /* request: register 1 gets 3, or registers 1 and 2 get 3 and 4; transaction 0x0102 */
        uint8_t frame[16];
        size_t size;
        enum push_reply reply;
        uint8_t exception;
    } cases[] = {
        {"single", true, {1, 2, 0, 0, 0, 6, 9, 6, 0, 1, 0, 3}, 12, PUSH_DONE, 0},
        {"multiple", false, {1, 2, 0, 0, 0, 6, 9, 16, 0, 1, 0, 2}, 12, PUSH_DONE, 0},
        {"another unit", true, {1, 2, 0, 0, 0, 6, 255, 6, 0, 1, 0, 3}, 12, PUSH_DONE, 0},
        {"exception", true, {1, 2, 0, 0, 0, 3, 9, 0x86, 2}, 9, PUSH_REFUSED, 2},
        {"exception, multiple", false, {1, 2, 0, 0, 0, 3, 9, 0x90, 11}, 9, PUSH_REFUSED, 11},
        {"exception of a late answer", false, {1, 1, 0, 0, 0, 3, 9, 0x90, 11}, 9, PUSH_FOREIGN, 0},
        {"late answer", true, {1, 1, 0, 0, 0, 6, 9, 6, 0, 1, 0, 3}, 12, PUSH_FOREIGN, 0},
        {"another value", true, {1, 2, 0, 0, 0, 6, 9, 6, 0, 1, 0, 4}, 12, PUSH_MALFORMED, 0},
        {"another count", false, {1, 2, 0, 0, 0, 6, 9, 16, 0, 1, 0, 1}, 12, PUSH_MALFORMED, 0},
        {"another register", false, {1, 2, 0, 0, 0, 6, 9, 16, 0, 2, 0, 2}, 12, PUSH_MALFORMED, 0},
        {"another function", true, {1, 2, 0, 0, 0, 6, 9, 16, 0, 1, 0, 3}, 12, PUSH_MALFORMED, 0},
        {"exception of another function", true, {1, 2, 0, 0, 0, 3, 9, 0x90, 2}, 9, PUSH_MALFORMED, 0},
        {"too short", true, {1, 2, 0, 0, 0, 5, 9, 6, 0, 1, 0}, 11, PUSH_MALFORMED, 0},
        {"too long", true, {1, 2, 0, 0, 0, 7, 9, 6, 0, 1, 0, 3, 0}, 13, PUSH_MALFORMED, 0},
        {"function alone", true, {1, 2, 0, 0, 0, 2, 9, 0x86}, 8, PUSH_MALFORMED, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct push_request request;
        uint8_t exception = 0;
        push_request_build(&request, 0x0102, 9, cases[i].single, 1, (const uint16_t[]){3, 4}, cases[i].single ? 1 : 2);
        /* A copy of exactly this size: the sanitizer detects reads beyond it. */
        uint8_t *frame = malloc(cases[i].size);
        memcpy(frame, cases[i].frame, cases[i].size);
        assert_int_equal(mbap_find(frame, cases[i].size).kind, MBAP_FRAME);
        enum push_reply reply = push_reply_check(&request, frame, cases[i].size, &exception);
        free(frame);
        if (reply != cases[i].reply || exception != cases[i].exception)
            fail_msg("%s: expected %d (%u), got %d (%u)", cases[i].name, cases[i].reply, cases[i].exception, reply,
                     exception);
    }
}
// clang-format on

#define WRITES_MAX 130
#define SETTLE_S 10

/* A push of one pack whose values, freshness and clock the test controls. */
struct bench {
    struct register_row writes[WRITES_MAX];
    struct push_config config;
    struct pack pack;
    struct source source;
    double now;
    double counts_from;
    struct push_plan plan;
};

static const struct source *bench_find(const void *data, const char *name)
{
    const struct bench *bench = data;
    assert_string_equal(name, "p");
    return &bench->source;
}

static struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->config.writes = bench->writes;
    bench->source = (struct source){.name = "p",
                                    .values = &bench->pack,
                                    .status = {.state = MAP_STATE_FRESH},
                                    .good_until = INFINITY,
                                    .settle_s = SETTLE_S};
    bench->now = 1000;
    pack_clear(&bench->pack);
    return bench;
}

static void bench_free(struct bench *bench)
{
    push_plan_close(&bench->plan);
    free(bench);
}

static int set_up(void **state)
{
    *state = bench_new();
    return 0;
}

static int tear_down(void **state)
{
    bench_free(*state);
    return 0;
}

#define BENCH_TEST(name) TEST_WITH(name, set_up, tear_down)

static struct register_row *add(struct bench *bench, unsigned address, enum map_type type, int id)
{
    struct register_row *write = &bench->writes[bench->config.write_count++];
    *write = (struct register_row){
        .terms = {{.what = ROW_VALUE, .source = "p", .value = {VALUE_NUMBER, id}}},
        .term_count = 1,
        .address = address,
        .size = map_types[type].registers,
        .type = type,
        .scale = 1,
        .min = -INFINITY,
        .max = INFINITY};
    return write;
}

static void begin(struct bench *bench)
{
    push_plan_init(&bench->plan, &bench->config, bench_find, bench, bench->counts_from, bench->now);
}

static void set(struct bench *bench, enum pack_value id, double value)
{
    pack_set(&bench->pack, id, value);
}

static void publish(struct bench *bench)
{
    push_plan_changes(&bench->plan, &bench->source, bench->now);
}

/* The next request must write these registers. */
static void expect(struct bench *bench, const char *name, unsigned address, unsigned size,
                   const uint16_t *words)
{
    struct push_span span;
    if (!push_plan_take(&bench->plan, bench->now, true, &span))
        fail_msg("%s: nothing is due", name);
    if (span.address != address || span.size != size ||
        memcmp(span.words, words, size * sizeof *words) != 0)
        fail_msg("%s: expected %u registers from %u on, got %u from %u on (first %u)", name, size,
                 address, span.size, span.address, span.words[0]);
}
#define EXPECT(bench, name, address, ...)                                                          \
    expect(bench, name, address, sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t),       \
           (const uint16_t[]){__VA_ARGS__})

static void expect_nothing(struct bench *bench, const char *name)
{
    struct push_span span;
    if (push_plan_take(&bench->plan, bench->now, true, &span))
        fail_msg("%s: %u registers from %u on are due", name, span.size, span.address);
}

BENCH_TEST(neighbours)
{
    struct bench *bench = *state;
    add(bench, 10, REG_U16, SOC_PERCENT);
    add(bench, 11, REG_U32, CYCLES)->big_words = true;
    add(bench, 13, REG_U16, CELL_COUNT);
    add(bench, 15, REG_U16, CELL_MV);
    add(bench, 16, REG_U16, CELL_MV + 1);
    begin(bench);
    expect_nothing(bench, "before anything happened");
    set(bench, SOC_PERCENT, 50);
    set(bench, CYCLES, 65536 + 7);
    set(bench, CELL_COUNT, 2);
    set(bench, CELL_MV, 3300);
    set(bench, CELL_MV + 1, 3301);
    push_plan_all(&bench->plan);
    EXPECT(bench, "up to the gap", 10, 50, 1, 7, 2);
    EXPECT(bench, "behind the gap", 15, 3300, 3301);
    expect_nothing(bench, "all taken");

    /* An unknown value splits the run; it stays due until it is known. */
    pack_unset(&bench->pack, CYCLES);
    bench->now += SETTLE_S;
    push_plan_all(&bench->plan);
    EXPECT(bench, "before the unknown", 10, 50);
    EXPECT(bench, "behind the unknown", 13, 2);
    EXPECT(bench, "behind the gap again", 15, 3300, 3301);
    expect_nothing(bench, "only the unknown is left");
    set(bench, CYCLES, 8);
    EXPECT(bench, "known again", 11, 0, 8);
    expect_nothing(bench, "nothing left");
}

BENCH_TEST(largest_request)
{
    struct bench *bench = *state;
    uint16_t words[PUSH_REGISTERS_MAX];
    for (unsigned i = 0; i < 122; i++) {
        add(bench, 100 + i, REG_U16, CELL_MV);
        words[i] = 3300;
    }
    add(bench, 222, REG_U32, CELL_MV);
    add(bench, 224, REG_U16, CELL_MV);
    begin(bench);
    set(bench, CELL_MV, 3300);
    push_plan_all(&bench->plan);
    expect(bench, "a value is not cut in two", 100, 122, words);
    EXPECT(bench, "the rest", 222, 3300, 0, 3300);
}

/* A slow target: the interval ends before all requests are done. */
BENCH_TEST(turns)
{
    struct bench *bench = *state;
    add(bench, 1, REG_U16, SOC_PERCENT);
    add(bench, 3, REG_U16, SOC_PERCENT);
    add(bench, 5, REG_U16, SOC_PERCENT);
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    push_plan_all(&bench->plan);
    EXPECT(bench, "first", 1, 50);
    push_plan_all(&bench->plan);
    set(bench, SOC_PERCENT, 51);
    EXPECT(bench, "second, with the value of now", 3, 51);
    push_plan_all(&bench->plan);
    EXPECT(bench, "third", 5, 51);
    EXPECT(bench, "round again", 1, 51);
    EXPECT(bench, "and on", 3, 51);
    expect_nothing(bench, "the third was written since the last interval");
    push_plan_all(&bench->plan);
    EXPECT(bench, "from the first register again", 1, 51);
}

BENCH_TEST(changes)
{
    struct bench *bench = *state;
    bench->config.on_change = true;
    add(bench, 1, REG_U16, SOC_PERCENT);
    add(bench, 2, REG_S16, CURRENT_A)->deadband = 0.5;
    add(bench, 3, REG_U16, VOLTAGE_V)->scale = 10;
    bench->writes[1].scale = 100;
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    set(bench, CURRENT_A, 10);
    set(bench, VOLTAGE_V, 53.5);
    publish(bench);
    EXPECT(bench, "all are new", 1, 50, 1000, 535);
    publish(bench);
    expect_nothing(bench, "nothing changed");
    set(bench, SOC_PERCENT, 50.3);
    publish(bench);
    expect_nothing(bench, "the register stays the same");
    set(bench, CURRENT_A, 10.4);
    publish(bench);
    expect_nothing(bench, "inside of the dead band");
    set(bench, CURRENT_A, 10.5);
    publish(bench);
    expect_nothing(bench, "as large as the dead band");
    set(bench, CURRENT_A, 10.51);
    publish(bench);
    EXPECT(bench, "beyond the dead band", 2, 1051);
    set(bench, CURRENT_A, 10.1);
    publish(bench);
    expect_nothing(bench, "the dead band is around what was written");
    set(bench, CURRENT_A, 10.0);
    publish(bench);
    EXPECT(bench, "beyond the dead band downwards", 2, 1000);
    set(bench, CURRENT_A, 10.2);
    publish(bench);
    expect_nothing(bench, "inside of the dead band again");
    set(bench, SOC_PERCENT, 51);
    set(bench, VOLTAGE_V, 53.6);
    publish(bench);
    EXPECT(bench, "one request for two that changed, and what lies between", 1, 51, 1020, 536);
    set(bench, CURRENT_A, 9.8);
    publish(bench);
    expect_nothing(bench, "what lay between was written as well");
    push_plan_all(&bench->plan);
    EXPECT(bench, "the interval is over", 1, 51, 980, 536);
}

/* Steps of 0.1 are not exactly 0.1 in binary. */
BENCH_TEST(dead_band_of_a_step)
{
    struct bench *bench = *state;
    bench->config.on_change = true;
    struct register_row *write = add(bench, 1, REG_U16, VOLTAGE_V);
    write->scale = 10;
    write->deadband = 0.1;
    begin(bench);
    set(bench, VOLTAGE_V, 53.3);
    publish(bench);
    EXPECT(bench, "first", 1, 533);
    for (unsigned i = 0; i < 1000; i++) {
        double at = (533 + i) / 10.0;
        set(bench, VOLTAGE_V, at);
        push_plan_all(&bench->plan);
        EXPECT(bench, "interval", 1, (uint16_t) (533 + i));
        set(bench, VOLTAGE_V, (534 + i) / 10.0);
        publish(bench);
        expect_nothing(bench, "one step");
        set(bench, VOLTAGE_V, (535 + i) / 10.0);
        publish(bench);
        EXPECT(bench, "two steps", 1, (uint16_t) (535 + i));
    }
}

/* If only the interval counts, changes wait for it; values that become known or unknown do not. */
BENCH_TEST(interval_only)
{
    struct bench *bench = *state;
    add(bench, 1, REG_U16, SOC_PERCENT)->on_stale = (struct substitute){INSTEAD_NUMBER, 9999};
    add(bench, 3, REG_U16, SOC_PERCENT);
    add(bench, 5, REG_U16, SOC_PERCENT)->terms[0].what = ROW_FRESH;
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    publish(bench);
    EXPECT(bench, "new", 1, 50);
    EXPECT(bench, "new", 3, 50);
    EXPECT(bench, "new", 5, 1);
    set(bench, SOC_PERCENT, 60);
    publish(bench);
    expect_nothing(bench, "has to wait");
    bench->source.good_until = -INFINITY;
    publish(bench);
    EXPECT(bench, "stale at once", 1, 9999);
    EXPECT(bench, "not fresh at once", 5, 0);
    expect_nothing(bench, "skipped");
    push_plan_all(&bench->plan);
    EXPECT(bench, "still stale", 1, 9999);
    EXPECT(bench, "still not fresh", 5, 0);
    expect_nothing(bench, "still skipped");
    bench->source.good_until = INFINITY;
    publish(bench);
    EXPECT(bench, "back", 1, 60);
    EXPECT(bench, "back", 3, 60);
    EXPECT(bench, "back", 5, 1);
    expect_nothing(bench, "all is told");
}

/* The values of a pack may have turned stale without a notification, as after a pause of the host. */
BENCH_TEST(limits_of_a_pack_that_is_late)
{
    struct bench *bench = *state;
    assert_true(value_find("allowed_charge_current_a", &add(bench, 1, REG_U16, 0)->terms[0].value));
    bench->source.status = (struct map_status){
        .state = MAP_STATE_FRESH, .allowed = {.configured = true, .charge_current_a = 42}};
    begin(bench);
    publish(bench);
    EXPECT(bench, "fresh", 1, 42);
    bench->source.good_until = -INFINITY;
    publish(bench);
    EXPECT(bench, "not any more", 1, 0);
}

/* After the start a pack has time to answer before its registers are overwritten. */
BENCH_TEST(settling)
{
    struct bench *bench = *state;
    add(bench, 1, REG_U16, SOC_PERCENT)->on_stale.kind = INSTEAD_UNKNOWN;
    add(bench, 2, REG_U16, SOH_PERCENT)->on_stale.kind = INSTEAD_UNKNOWN;
    bench->source.good_until = -INFINITY;
    begin(bench);
    push_plan_all(&bench->plan);
    bench->now += SETTLE_S - 1;
    publish(bench);
    expect_nothing(bench, "not yet");
    bench->source.good_until = INFINITY;
    set(bench, SOC_PERCENT, 50);
    publish(bench);
    EXPECT(bench, "what is known", 1, 50);
    pack_unset(&bench->pack, SOC_PERCENT);
    publish(bench);
    EXPECT(bench, "known before: told at once", 1, 0xFFFF);
    expect_nothing(bench, "the other never was known");
    bench->now += 1;
    publish(bench);
    EXPECT(bench, "time is over", 2, 0xFFFF);
    expect_nothing(bench, "told once");
}

/* The gateway's own values about a pack are known while it is silent, too. */
BENCH_TEST(status_of_a_silent_pack)
{
    struct bench *bench = *state;
    assert_true(value_find("connection_state", &add(bench, 1, REG_U16, 0)->terms[0].value));
    add(bench, 2, REG_U16, SOC_PERCENT);
    assert_true(value_find("charged_wh", &add(bench, 3, REG_U16, 0)->terms[0].value));
    bench->source.status = (struct map_status){.state = MAP_STATE_FRESH, .charged_wh = 1234.4};
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    publish(bench);
    EXPECT(bench, "all", 1, MAP_STATE_FRESH, 50, 1234);
    bench->source.good_until = -INFINITY;
    bench->source.status.state = MAP_STATE_STALE;
    push_plan_all(&bench->plan);
    publish(bench);
    EXPECT(bench, "the state alone", 1, MAP_STATE_STALE);
    expect_nothing(bench, "not what belongs to the values");
}

BENCH_TEST(lost)
{
    struct bench *bench = *state;
    struct push_span span;
    bench->config.on_change = true;
    add(bench, 1, REG_U16, SOC_PERCENT)->deadband = 50;
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    publish(bench);
    assert_true(push_plan_take(&bench->plan, bench->now, false, &span));
    push_plan_unanswered(&bench->plan, &span, false, bench->now);
    set(bench, SOC_PERCENT, 51);
    EXPECT(bench, "again, with the value of now", 1, 51);
    expect_nothing(bench, "sent");
}

/* The next span, which must have these registers. */
static struct push_span take(struct bench *bench, const char *name, bool last, unsigned address,
                             unsigned size)
{
    struct push_span span = {0};
    if (!push_plan_take(&bench->plan, bench->now, last, &span))
        fail_msg("%s: nothing is due", name);
    if (span.address != address || span.size != size)
        fail_msg("%s: expected %u registers from %u on, got %u from %u on", name, size, address,
                 span.size, span.address);
    return span;
}

/* A target that reports once that it is busy must not keep "fresh" for a whole interval. */
TEST(busy)
{
    static const uint8_t for_now[] = {5, 6, 10, 11};
    for (size_t i = 0; i < COUNT(for_now); i++) {
        struct bench *bench = bench_new();
        bench->config.interval_s = 3600;
        add(bench, 1, REG_S16, CURRENT_A)->on_stale = (struct substitute){INSTEAD_NUMBER, 0};
        add(bench, 2, REG_U16, 0)->terms[0].what = ROW_FRESH;
        begin(bench);
        set(bench, CURRENT_A, -20);
        publish(bench);
        struct push_span span = take(bench, "first", false, 1, 2);
        push_plan_done(&bench->plan, &span);
        bench->source.good_until = -INFINITY;
        publish(bench);
        static const double pauses[] = {0.5, 1, 2};
        for (size_t n = 0; n < COUNT(pauses); n++) {
            span = take(bench, "not fresh any more", false, 1, 2);
            assert_int_equal(span.words[0], 0);
            assert_int_equal(span.words[1], 0);
            push_plan_refused(&bench->plan, &span, for_now[i], bench->now);
            bench->now += pauses[n] - 0.01;
            push_plan_all(&bench->plan);
            publish(bench);
            expect_nothing(bench, "a pause");
            bench->now += 0.02;
        }
        bench->source.good_until = INFINITY;
        set(bench, CURRENT_A, 7);
        span = take(bench, "with the values of now", false, 1, 2);
        assert_int_equal(span.words[0], 7);
        assert_int_equal(span.words[1], 1);
        push_plan_done(&bench->plan, &span);
        expect_nothing(bench, "all is taken");
        bench_free(bench);
    }
}

/* A pause is never longer than the interval, because the register would have been retried by then anyway, nor than
 * half a minute. */
TEST(pauses)
{
    static const struct {
        double interval_s;
        uint8_t exception;
        double pauses[8];
    } cases[] = {
        {3600, 6, {0.5, 1, 2, 4, 8, 16, 30, 30}},
        {5, 6, {0.5, 1, 2, 4, 5, 5, 5, 5}},
        {5, PUSH_NO_EXCEPTION, {0.5, 1, 2, 4, 5, 5, 5, 5}},
        {5, 3, {0.5, 1, 2, 4, 5, 5, 5, 5}}, /* another value may be accepted */
        {5, 2, {0.5, 1, 2, 4, 8, 16, 30, 30}},
        {0.1, 6, {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bench *bench = bench_new();
        bench->config.interval_s = cases[i].interval_s;
        add(bench, 1, REG_U16, SOC_PERCENT);
        begin(bench);
        set(bench, SOC_PERCENT, 50);
        publish(bench);
        for (size_t n = 0; n < COUNT(cases[i].pauses); n++) {
            struct push_span span = take(bench, "again", false, 1, 1);
            push_plan_refused(&bench->plan, &span, cases[i].exception, bench->now);
            bench->now += cases[i].pauses[n] - 0.01;
            push_plan_all(&bench->plan);
            expect_nothing(bench, "a pause");
            bench->now += 0.02;
        }
        bench_free(bench);
    }
}

/* A device with 64 registers from 100 on, whose behaviour the test sets. */
#define DEVICE_SIZE 64
#define DEVICE_FIRST 100
struct link {
    bool answered; /* since the last time-out */
    bool down;     /* nothing was answered between two time-outs */
};
struct device {
    struct link link;
    bool refuses[DEVICE_SIZE]; /* a request with it gets exception 2 */
    bool ignores[DEVICE_SIZE];
    bool puts_off[DEVICE_SIZE]; /* a request with it gets exception 6 */
    unsigned most;              /* registers in a request; 0: any */
    bool dead, one_by_one;      /* never answers; accepts only single registers */
    unsigned requests, refusals, silences, largest;
    unsigned written[DEVICE_SIZE]; /* number of writes */
};

static bool device_has(const bool *which, const struct push_span *span)
{
    for (unsigned i = 0; i < span->size; i++)
        if (which[span->address - DEVICE_FIRST + i])
            return true;
    return false;
}

/* Sends everything that is due to the device, as push.c would. */
#define TIMEOUT_S 10
static void drive(struct bench *bench, struct device *device)
{
    struct link *link = &device->link;
    struct push_span span;
    for (unsigned n = 0; push_plan_take(&bench->plan, bench->now, false, &span) ||
                         push_plan_take(&bench->plan, bench->now, true, &span);
         n++) {
        assert_true(n < 1000);
        device->requests++;
        device->largest = span.size > device->largest ? span.size : device->largest;
        if (device->dead || device_has(device->ignores, &span)) {
            device->silences++;
            bench->now += TIMEOUT_S;
            push_plan_unanswered(&bench->plan, &span, link->answered, bench->now);
            link->down |= !link->answered;
            link->answered = false;
            bench->now += 0.5;
            push_plan_all(&bench->plan);
            if (device->dead)
                return;
            continue;
        }
        if (link->down)
            push_plan_end_pauses(&bench->plan);
        *link = (struct link){.answered = true};
        if (device_has(device->refuses, &span) || (device->most && span.size > device->most) ||
            (device->one_by_one && span.count > 1)) {
            device->refusals++;
            push_plan_refused(&bench->plan, &span, 2, bench->now);
            continue;
        }
        if (device_has(device->puts_off, &span)) {
            device->refusals++;
            push_plan_refused(&bench->plan, &span, 6, bench->now);
            continue;
        }
        for (unsigned i = 0; i < span.size; i++)
            device->written[span.address - DEVICE_FIRST + i]++;
        push_plan_done(&bench->plan, &span);
    }
}

static void run(struct bench *bench, struct device *device, double seconds)
{
    double end = bench->now + seconds;
    while (bench->now < end) {
        push_plan_all(&bench->plan);
        drive(bench, device);
        bench->now += bench->config.interval_s;
    }
}

static struct bench *bench_of_device(unsigned writes)
{
    struct bench *bench = bench_new();
    bench->config.interval_s = 5;
    for (unsigned i = 0; i < writes; i++)
        add(bench, DEVICE_FIRST + i, REG_U16, SOC_PERCENT);
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    return bench;
}

static void forget_counts(struct device *device)
{
    device->requests = device->refusals = device->silences = device->largest = 0;
    memset(device->written, 0, sizeof device->written);
}

/* Bisection finds the rejected registers; the others are written together without them. */
TEST(refused_registers)
{
    struct bench *bench = bench_of_device(32);
    struct device device = {.refuses = {[5] = true, [6] = true, [29] = true}};
    run(bench, &device, 5);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(device.written[i] > 0, !device.refuses[i]);
        assert_int_equal(bench->plan.items[i].state, device.refuses[i] ? PUSH_BARRED : PUSH_TAKEN);
        assert_false(bench->plan.items[i].searching);
    }
    assert_in_range(device.requests, 1, 40);
    /* Then three requests for the accepted ones, and one for each rejected one now and then. */
    run(bench, &device, 120);
    forget_counts(&device);
    run(bench, &device, 300);
    assert_int_equal(device.written[4], 60);
    assert_int_equal(device.largest, 22);
    assert_in_range(device.refusals, 3 * 8, 3 * 12); /* each 30 s */
    assert_int_equal(device.requests - device.refusals, 3 * 60);
    /* The device now accepts them. */
    memset(device.refuses, 0, sizeof device.refuses);
    run(bench, &device, 40);
    forget_counts(&device);
    run(bench, &device, 50);
    assert_int_equal(device.requests, 10);
    assert_int_equal(device.largest, 32);
    bench_free(bench);
}

/* Requests that are too long for the target, or that write more than one register: values are still written in the
 * way that it accepts. */
TEST(limits_of_a_target)
{
    for (unsigned most = 1; most <= 16; most++) {
        struct bench *bench = bench_of_device(32);
        struct device device = {.most = most, .one_by_one = most == 1};
        run(bench, &device, 5);
        forget_counts(&device);
        run(bench, &device, 50);
        assert_int_equal(device.refusals, 0);
        assert_in_range(device.requests, 10, 10 * (2 * 32 / most + 1));
        for (unsigned i = 0; i < 32; i++)
            assert_int_equal(device.written[i], 10);
        bench_free(bench);
    }
}

/* A register that is never answered is found and tried last and rarely; the others are written. */
TEST(ignored_register)
{
    struct bench *bench = bench_of_device(16);
    struct device device = {.ignores = {[11] = true}};
    run(bench, &device, 120);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(bench->plan.items[i].state, i == 11 ? PUSH_IGNORED : PUSH_TAKEN);
    assert_in_range(device.silences, 6, 8); /* twice, four halves, and then now and then */
    run(bench, &device, 1200);
    forget_counts(&device);
    run(bench, &device, 3600);
    assert_in_range(device.silences, 5, 7); /* each 10 minutes */
    assert_in_range(device.written[10], 3600 / 5 - 30, 3600 / 5);
    assert_int_equal(device.largest, 11);
    /* It is written again when it answers. */
    device.ignores[11] = false;
    run(bench, &device, 620);
    assert_int_equal(bench->plan.items[11].state, PUSH_TAKEN);
    forget_counts(&device);
    run(bench, &device, 50);
    assert_int_equal(device.requests, 10);
    bench_free(bench);
}

/* A register that is always deferred does not delay its neighbours for long; when it is accepted, all are written
 * together again. */
TEST(register_that_is_put_off)
{
    struct bench *bench = bench_of_device(32);
    struct device device = {.puts_off = {[20] = true}};
    run(bench, &device, 100);
    forget_counts(&device);
    run(bench, &device, 100);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(device.written[i], i == 20 ? 0 : 20);
        assert_int_equal(bench->plan.items[i].state, i == 20 ? PUSH_PUT_OFF : PUSH_TAKEN);
    }
    memset(device.puts_off, true, sizeof device.puts_off);
    run(bench, &device, 100);
    memset(device.puts_off, false, sizeof device.puts_off);
    run(bench, &device, 20);
    forget_counts(&device);
    run(bench, &device, 50);
    assert_int_equal(device.requests, 10);
    bench_free(bench);
}

/* All others take precedence, but it gets its turn even if others are always due. */
BENCH_TEST(doubtful_comes_last)
{
    struct bench *bench = *state;
    bench->config.interval_s = 5;
    add(bench, 1, REG_U16, SOC_PERCENT);
    add(bench, 3, REG_U16, SOC_PERCENT);
    begin(bench);
    set(bench, SOC_PERCENT, 50);
    push_plan_all(&bench->plan);
    struct push_span span = take(bench, "first", false, 1, 1);
    push_plan_unanswered(&bench->plan, &span, true, bench->now);
    for (unsigned i = 0; i < 10; i++) {
        span = take(bench, "the other first", false, 3, 1);
        push_plan_done(&bench->plan, &span);
        assert_false(push_plan_take(&bench->plan, bench->now, false, &span));
        push_plan_all(&bench->plan);
        bench->now += 0.9;
    }
    bench->now += 1.1;
    span = take(bench, "its turn has come", false, 1, 1);
}

/* A target that is away says nothing about its registers. */
TEST(dead_target)
{
    struct bench *bench = bench_of_device(16);
    for (unsigned i = 8; i < 16; i++) /* two spans */
        bench->writes[i].address += 8;
    struct device device = {.dead = false};
    run(bench, &device, 20);
    device.dead = true;
    run(bench, &device, 600);
    device.dead = false;
    run(bench, &device, 20);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(bench->plan.items[i].state, PUSH_TAKEN);
    device.dead = true;
    run(bench, &device, 600);
    device.dead = false;
    run(bench, &device, 20);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(bench->plan.items[i].state, PUSH_TAKEN);
    forget_counts(&device);
    run(bench, &device, 50);
    assert_int_equal(device.requests, 2 * 10);
    bench_free(bench);
}

/* Devices of all kinds: after a while the accepted registers are written in every interval, and the rejected ones are
 * known. */
TEST(any_device)
{
    uint64_t seed = 1;
    for (unsigned round = 0; round < 200; round++) {
        struct bench *bench = bench_of_device(DEVICE_SIZE);
        struct device device = {
            .most = (unsigned) prng_range(&seed, 0, 2) ? 0 : (unsigned) prng_range(&seed, 1, 20)};
        unsigned ignored = 0;
        for (int n = prng_range(&seed, 0, 5); n > 0; n--)
            device.refuses[prng_range(&seed, 0, DEVICE_SIZE - 1)] = true;
        for (int n = prng_range(&seed, 0, 2); n > 0; n--)
            device.ignores[prng_range(&seed, 0, DEVICE_SIZE - 1)] = true;
        for (int n = prng_range(&seed, 0, 2); n > 0; n--)
            device.puts_off[prng_range(&seed, 0, DEVICE_SIZE - 1)] = true;
        run(bench, &device, 1000);
        forget_counts(&device);
        run(bench, &device, 1000);
        for (unsigned i = 0; i < DEVICE_SIZE; i++) {
            enum push_state expected = device.ignores[i]    ? PUSH_IGNORED
                                       : device.refuses[i]  ? PUSH_BARRED
                                       : device.puts_off[i] ? PUSH_PUT_OFF
                                                            : PUSH_TAKEN;
            ignored += device.ignores[i];
            if (bench->plan.items[i].state != expected)
                fail_msg("round %u, register %u: expected %d, got %d", round, i, expected,
                         bench->plan.items[i].state);
            if (expected == PUSH_TAKEN)
                assert_in_range(device.written[i], 1000 / 5 - 30, 1000 / 5);
        }
        assert_in_range(device.silences, ignored, 4 * ignored);
        bench_free(bench);
    }
}

/* After the target was away, rejected registers are retried at once. */
TEST(hope)
{
    struct bench *bench = bench_of_device(4);
    struct device device = {.refuses = {[1] = true}, .ignores = {[2] = true}};
    run(bench, &device, 600);
    push_plan_all(&bench->plan);
    struct push_span span;
    while (push_plan_take(&bench->plan, bench->now, true, &span))
        push_plan_done(&bench->plan, &span);
    assert_int_equal(bench->plan.items[2].state, PUSH_IGNORED);
    push_plan_end_pauses(&bench->plan);
    push_plan_all(&bench->plan);
    memset(device.refuses, 0, sizeof device.refuses);
    memset(device.ignores, 0, sizeof device.ignores);
    drive(bench, &device);
    assert_int_equal(bench->plan.items[1].state, PUSH_TAKEN);
    assert_int_equal(bench->plan.items[2].state, PUSH_TAKEN);
    bench_free(bench);
}

BENCH_TEST(counter)
{
    struct bench *bench = *state;
    struct register_row *write = add(bench, 7, REG_U16, 0);
    write->terms[0].what = ROW_SECONDS;
    write->terms[0].source[0] = 0;
    bench->counts_from = 900;
    begin(bench);
    static const struct {
        double after;
        uint16_t count;
    } cases[] = {{0, 0},
                 {0.9, 0},
                 {1, 1},
                 {65535.9, 65535},
                 {65536, 0},
                 {65537, 1},
                 {1e9, 1000000000 % 65536}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        bench->now = 900 + cases[i].after;
        push_plan_all(&bench->plan);
        EXPECT(bench, "counter", 7, cases[i].count);
    }
}
