// SPDX-License-Identifier: MIT
/* Messages between the gateway and an outlet: parsing returns what was composed, and damage is
 * detected. */
#include "outlets/pipe.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

static const struct map_bank bank = {
    .present = 2, .needed = 2, .temp_max_c = 31.5, .temp_min_c = NAN};

static struct pipe_values make_values(void)
{
    struct pipe_values values = {.pack = 3,
                                 .changes = SOURCE_PUBLISHED | SOURCE_ALARMS,
                                 .sequence = 77,
                                 .at = 1000.5,
                                 .wall = 1.7e9,
                                 .good_until = 1010.5,
                                 .settle_s = 12,
                                 .whole = true};
    values.status = (struct map_status){.state = MAP_STATE_FRESH,
                                        .age_s = 0.25,
                                        .polls = 12,
                                        .timezone_hours = -3,
                                        .peak = {.percent = 88, .hour = 12, .minute = 34},
                                        .charged_wh = 1234.5,
                                        .discharged_wh = NAN};
    snprintf(values.driver, sizeof values.driver, "daly");
    pack_clear(&values.values);
    pack_set(&values.values, VOLTAGE_V, 53.12);
    pack_set_cell(&values.values, 48, 3333);
    pack_alarm_at(&values.values, SOC_LOW, ALARM_WARNING, true);
    pack_alarm_at(&values.values, SHORT_CIRCUIT, ALARM_PROTECTION, false);
    pack_raw_alarm(&values.values, 0xABCD);
    snprintf(values.values.text[MODEL], TEXT_SIZE, "model");
    return values;
}

static size_t put_values(struct pipe_values *values, uint8_t bytes[PIPE_SMALL_MAX])
{
    struct pipe_message message = pipe_new(PIPE_VALUES, bytes, PIPE_SMALL_MAX);
    pipe_values(&message, values);
    return pipe_finish(&message);
}

TEST(values)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_values sent = make_values(), got;
    struct pipe_message message;
    bool differs;
    memset(&got, 0x55, sizeof got);
    size_t size = put_values(&sent, bytes);
    assert_true(size > 0);
    assert_int_equal(pipe_open(&message, bytes, size, &differs), PIPE_VALUES);
    pipe_values(&message, &got);
    assert_true(pipe_over(&message));
    assert_int_equal(got.pack, 3);
    assert_int_equal(got.changes, sent.changes);
    assert_int_equal(got.sequence, 77);
    assert_true(got.wall == 1.7e9);
    assert_true(got.at == 1000.5 && got.good_until == 1010.5 && got.settle_s == 12);
    assert_int_equal(got.status.state, MAP_STATE_FRESH);
    assert_int_equal(got.status.timezone_hours, -3);
    assert_int_equal(got.status.peak.percent, 88);
    assert_true(got.status.charged_wh == 1234.5 && isnan(got.status.discharged_wh));
    assert_string_equal(got.status.driver, "daly");
    assert_null(got.status.bank);
    assert_true(got.whole);
    assert_true(got.values.value[VOLTAGE_V] == 53.12);
    assert_true(got.values.value[CELL_MV + 47] == 3333);
    assert_true(isnan(got.values.value[CURRENT_A]));
    assert_int_equal(got.values.alarms_warning, 1u << SOC_LOW);
    assert_int_equal(got.values.alarms_protection, 0);
    assert_int_equal(got.values.alarms_can_warn, 1u << SOC_LOW);
    assert_int_equal(got.values.alarms_can_protect, 1u << SHORT_CIRCUIT);
    assert_int_equal(got.values.raw_alarm_count, 1);
    assert_int_equal(got.values.raw_alarms[0], 0xABCD);
    assert_string_equal(got.values.text[MODEL], "model");
    assert_string_equal(got.values.text[SERIAL], "");
}

TEST(values_of_a_bank)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_values sent = make_values(), got;
    struct pipe_message message;
    bool differs;
    sent.bank = bank;
    sent.status.bank = &bank;
    sent.whole = false;
    size_t size = put_values(&sent, bytes);
    assert_int_equal(pipe_open(&message, bytes, size, &differs), PIPE_VALUES);
    pipe_values(&message, &got);
    assert_true(pipe_over(&message));
    assert_ptr_equal(got.status.bank, &got.bank);
    assert_int_equal(got.bank.present, 2);
    assert_true(got.bank.temp_max_c == 31.5 && isnan(got.bank.temp_min_c));
    assert_false(got.whole);
}

/* A message that was truncated anywhere, or is longer than its head says, is rejected. */
TEST(cut)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_values sent = make_values(), got;
    struct pipe_message message;
    bool differs;
    size_t size = put_values(&sent, bytes);
    for (size_t cut = 0; cut < size; cut++) {
        /* The head contains the size of the whole message. */
        assert_int_equal(pipe_open(&message, bytes, cut, &differs), 0);
        uint8_t *copy = malloc(cut + 8);
        uint32_t told = (uint32_t) cut;
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        if (cut >= 8) {
            memcpy(copy + 4, &told, sizeof told);
            if (pipe_open(&message, copy, cut, &differs)) {
                pipe_values(&message, &got);
                assert_false(pipe_over(&message));
            }
        }
        free(copy);
    }
    uint32_t longer = (uint32_t) size + 1;
    memcpy(bytes + 4, &longer, sizeof longer);
    assert_int_equal(pipe_open(&message, bytes, size + 1, &differs), PIPE_VALUES);
    pipe_values(&message, &got);
    assert_false(pipe_over(&message));
}

/* Whatever a message contains, parsing it reads nothing beyond it. */
TEST(garbage)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_values sent = make_values(), got;
    struct pipe_message message;
    bool differs;
    size_t size = put_values(&sent, bytes);
    for (size_t at = 8; at < size; at++)
        for (unsigned value = 0; value < 256; value += 51) {
            uint8_t *copy = malloc(size);
            assert_non_null(copy);
            memcpy(copy, bytes, size);
            copy[at] = (uint8_t) value;
            if (pipe_open(&message, copy, size, &differs)) {
                pipe_values(&message, &got);
                if (pipe_over(&message)) {
                    assert_true(got.pack < PIPE_PACKS_MAX);
                    assert_true(got.values.raw_alarm_count <= MAX_RAW_ALARMS);
                    assert_non_null(memchr(got.driver, '\0', sizeof got.driver));
                }
            }
            free(copy);
        }
}

TEST(version)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_values sent = make_values();
    struct pipe_message message;
    bool differs;
    size_t size = put_values(&sent, bytes);
    bytes[0]++;
    assert_int_equal(pipe_open(&message, bytes, size, &differs), 0);
    assert_true(differs);
    bytes[0]--;
    bytes[2] = 200;
    assert_int_equal(pipe_open(&message, bytes, size, &differs), 0);
    assert_false(differs);
}

struct settings {
    char name[NAME_SIZE];
    double number;
};

TEST(config)
{
    static const struct settings settings = {.name = "x", .number = 2.5};
    _Alignas(16) uint8_t bytes[4096] = {0};
    struct pipe_config sent = {
        .settings = &settings, .settings_size = sizeof settings, .pack_count = 1};
    struct pipe_pack pack = {.unit = 7, .writable = true, .is_bank = true, .member_count = 2};
    struct pipe_config got = {0};
    struct pipe_pack got_pack = {0};
    bool differs;
    snprintf(sent.version, sizeof sent.version, "1.2.3");
    snprintf(sent.kind, sizeof sent.kind, "mqtt");
    snprintf(sent.id, sizeof sent.id, "3f9a0c11");
    snprintf(pack.name, sizeof pack.name, "house");
    snprintf(pack.members[1], sizeof pack.members[1], "second");
    struct pipe_message message = pipe_new(PIPE_CONFIG, bytes, sizeof bytes);
    pipe_config(&message, &sent);
    pipe_pack(&message, &pack);
    size_t size = pipe_finish(&message);
    assert_int_equal(pipe_open(&message, bytes, size, &differs), PIPE_CONFIG);
    pipe_config(&message, &got);
    pipe_pack(&message, &got_pack);
    assert_true(pipe_over(&message));
    assert_string_equal(got.version, "1.2.3");
    assert_string_equal(got.id, "3f9a0c11");
    assert_int_equal(got.settings_size, sizeof settings);
    assert_int_equal((uintptr_t) got.settings % 16, 0);
    assert_true(((const struct settings *) got.settings)->number == 2.5);
    assert_string_equal(got_pack.name, "house");
    assert_string_equal(got_pack.members[0], "");
    assert_string_equal(got_pack.members[1], "second");
    assert_true(got_pack.writable && got_pack.is_bank && got_pack.unit == 7);
}

TEST(small_ones)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    bool differs;
    struct pipe_order order = {.ticket = UINT64_C(1) << 40,
                               .pack = 2,
                               .what = {.wanted = {true, false}, .on = {true, false}}};
    struct pipe_message message = pipe_new(PIPE_ORDER, bytes, sizeof bytes);
    pipe_order(&message, &order);
    size_t size = pipe_finish(&message);
    struct pipe_order got = {0};
    assert_int_equal(pipe_open(&message, bytes, size, &differs), PIPE_ORDER);
    pipe_order(&message, &got);
    assert_true(pipe_over(&message));
    assert_true(got.ticket == order.ticket && got.what.wanted[0] && !got.what.wanted[1]);

    order.what = (struct switches){.sets = true, .setting = RATED_AH, .value = 280};
    for (int i = 0; i < 2; i++, order.what.value = NAN) {
        message = pipe_new(PIPE_ORDER, bytes, sizeof bytes);
        pipe_order(&message, &order);
        size = pipe_finish(&message);
        got = (struct pipe_order){0};
        assert_int_equal(pipe_open(&message, bytes, size, &differs), PIPE_ORDER);
        pipe_order(&message, &got);
        assert_int_equal(pipe_over(&message), i == 0); /* a setting is a number */
        assert_true(i > 0 || (got.what.sets && got.what.setting == RATED_AH &&
                              got.what.value == 280 && isnan(got.what.before)));
    }

    struct pipe_note note = {.key = "pack.a", .text = "daly 1234"}, got_note = {{0}, {0}};
    message = pipe_new(PIPE_NOTE, bytes, sizeof bytes);
    pipe_note(&message, &note);
    size = pipe_finish(&message);
    assert_int_equal(pipe_open(&message, bytes, size, &differs), PIPE_NOTE);
    pipe_note(&message, &got_note);
    assert_true(pipe_over(&message));
    assert_string_equal(got_note.key, "pack.a");
    assert_string_equal(got_note.text, "daly 1234");
}

/* A text that does not fit is reported rather than cut. */
TEST(no_room)
{
    uint8_t bytes[64];
    struct pipe_values sent = make_values();
    struct pipe_message message = pipe_new(PIPE_VALUES, bytes, sizeof bytes);
    pipe_values(&message, &sent);
    assert_int_equal(pipe_finish(&message), 0);
}
