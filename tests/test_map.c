// SPDX-License-Identifier: MIT
/*
 * The register map: its shape, the encoding of every kind of value at both ends of its range, what
 * is readable when, and what the generators print. Expected bit patterns are worked out here by
 * arithmetic. Run from the top of the source tree: register-map.md is compared with what the table
 * generates.
 */
#include "registers/map.h"
#include "registers/rows.h"
#include "bms/count.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pack_test.h"

#define ADDRESSES 65536

static const struct map_settings usual = {.base = MAP_BASE_DEFAULT, .also_at = MAP_ALSO_AT_DEFAULT};

static const struct map_status fresh = {.state = MAP_STATE_FRESH,
                                        .age_s = 0.4,
                                        .driver = "daly",
                                        .pack_name = "house-1",
                                        .peak = {.percent = -1},
                                        .charged_wh = NAN,
                                        .discharged_wh = NAN};

static uint16_t registers[ADDRESSES];

/* IEEE 754 single precision by arithmetic: sign, exponent with its bias, 23 bits of fraction
 * rounded to even. */
static uint32_t single(double number)
{
    if (isnan(number))
        return 0x7FC00000;
    if (number == 0)
        return 0;
    int exponent;
    double fraction = frexp(fabs(number), &exponent); /* 0.5 <= fraction < 1 */
    uint32_t bits = (uint32_t) (exponent + 126) << 23;
    bits += (uint32_t) nearbyint(ldexp(fraction * 2 - 1, 23)); /* may carry into the exponent */
    return bits | (number < 0 ? 0x80000000 : 0);
}

static void expect_word(unsigned address, uint16_t expected)
{
    if (registers[address] != expected)
        fail_msg("register %u is 0x%04X, expected 0x%04X", address, registers[address], expected);
}

/* Registers one after the other. */
#define expect_words(address, ...)                                                                 \
    expect_each(address, (const int[]){__VA_ARGS__}, COUNT(((const int[]){__VA_ARGS__})))

static void expect_each(unsigned address, const int *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_word(address + (unsigned) i, (uint16_t) expected[i]);
}

/* Two registers, low word first. */
static void expect_low_first(unsigned address, uint32_t expected)
{
    expect_word(address, (uint16_t) (expected & 0xFFFF));
    expect_word(address + 1, (uint16_t) (expected >> 16));
}

static void expect_high_first(unsigned address, uint32_t expected)
{
    expect_word(address, (uint16_t) (expected >> 16));
    expect_word(address + 1, (uint16_t) (expected & 0xFFFF));
}

static void expect_text(unsigned address, const char *expected)
{
    char text[33] = {0};
    for (unsigned i = 0; i < 16; i++) {
        text[2 * i] = (char) (registers[address + i] >> 8);
        text[2 * i + 1] = (char) (registers[address + i] & 0xFF);
    }
    assert_string_equal(text, expected);
}

static void encode(const struct map_settings *settings, const struct pack *pack,
                   const struct map_status *status)
{
    memset(registers, 0xAA, sizeof registers); /* shows registers that were not written */
    map_encode(settings, pack, status, registers);
}

static void encode_value(enum pack_value id, double value)
{
    struct pack pack = cleared_pack();
    pack.value[id] = value; /* bypasses pack_set: the encoder must handle any number */
    encode(&usual, &pack, &fresh);
}

/* 16 cells of 3301 to 3316 mV and 4 sensors, 53.58 V, 12.5 A into the pack. */
static struct pack usual_pack(void)
{
    struct pack pack = cleared_pack();
    set_values(&pack, {VOLTAGE_V, 53.58}, {CURRENT_A, 12.5}, {SOC_PERCENT, 87.5}, {SOH_PERCENT, 99},
               {REMAINING_AH, 245.25}, {FULL_AH, 280}, {RATED_AH, 304.5}, {CYCLES, 70000},
               {CELL_COUNT, 16}, {TEMP_COUNT, 4}, {MOS_TEMP_C, -12.5}, {CHARGE_MOS, 1},
               {DISCHARGE_MOS, 0});
    pack_set(&pack, BALANCE_MASK, 0x800000000001); /* cells 1 and 48 */
    set_values(&pack, {CHARGE_VOLTAGE_LIMIT_V, 57.6}, {CHARGE_CURRENT_LIMIT_A, 100},
               {DISCHARGE_VOLTAGE_LIMIT_V, 44.8}, {DISCHARGE_CURRENT_LIMIT_A, 150});
    for (unsigned n = 1; n <= 16; n++)
        pack_set_cell(&pack, n, 3300 + n);
    for (unsigned n = 1; n <= 4; n++)
        pack_set_temp(&pack, n, 20 + n);
    pack_set_text(&pack, SERIAL, (const uint8_t *) "SN-0123", 7);
    pack_set_text(&pack, FIRMWARE, (const uint8_t *) "abcdefghijklmnopqrstuvwxyz012345", 32);
    pack_derive(&pack);
    return pack;
}

TEST(single_is_right)
{
    /* 53.58 = 1.674375 * 2^5; 0.674375 * 2^23 = 5657067.52, rounded 0x5651EC */
    assert_int_equal(single(53.58), 0x425651EC);
    assert_int_equal(single(123456.0), 0x47F12000);
    assert_int_equal(single(-1), 0xBF800000);
}

TEST(size)
{
    struct map_settings settings = usual;
    assert_int_equal(map_size(&settings), 290 + 610 + 60);
    settings.also_at = 1000;
    assert_int_equal(map_size(&settings), 1058);
    settings.also_at = MAP_NONE;
    settings.base = 0;
    assert_int_equal(map_size(&settings), 670);
    settings.also_at = 620; /* overlaps the settings, which were added later */
    assert_int_equal(map_size(&settings), 620 + 58);
    settings.base = 65026; /* no room after it */
    assert_int_equal(map_size(&settings), 65536);
}

TEST(check)
{
    static const struct {
        int base, also_at;
        const char *reason; /* part of the message; NULL: accepted */
    } cases[] = {
        {290, 100, NULL},
        {290, MAP_NONE, NULL},
        {290, 290, NULL}, /* the same address: no second copy */
        {158, 100, NULL},
        {157, 100,
         "copy at also_at (100 to 157) overlaps the compatibility block at base (157 to 214)"},
        {0, 58, "overlaps the extended block at base + 110 (110 to 509)"},
        {0, 509, "overlaps the extended block"},
        {0, 510, NULL},
        {290, 900, NULL}, /* overlaps the settings */
        {0, 100, "(100 to 157) overlaps the extended block at base + 110 (110 to 509)"},
        {0, 57, "overlaps the compatibility block"},
        {100, 100, NULL},
        {1000, 942, NULL},
        {1000, 943, "overlaps"},
        {65026, 100, NULL},
        {65027, 100, "beyond address 65535"},
        {65535, 100, "beyond address 65535"},
        {65536, 100, "base = 65536 is not an address"},
        {-1, 100, "base = -1 is not an address"},
        {290, 65478, NULL},
        {290, 65479, "copy at also_at would reach from 65479 to 65536"},
        {290, 65536, "also_at = 65536 is not an address"},
        {290, -2, "also_at = -2 is not an address"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct map_settings settings = {.base = cases[i].base, .also_at = cases[i].also_at};
        char reason[160] = "";
        bool ok = map_check(&settings, reason, sizeof reason);
        if (ok != !cases[i].reason || (cases[i].reason && !strstr(reason, cases[i].reason)))
            fail_msg("base %d, also_at %d: %s \"%s\", expected \"%s\"", cases[i].base,
                     cases[i].also_at, ok ? "accepted" : "refused", reason,
                     cases[i].reason ? cases[i].reason : "accepted");
    }
}

TEST(range)
{
    static const struct {
        unsigned address, count;
        enum map_range expected;
    } cases[] = {
        {99, 1, MAP_OUTSIDE},
        {99, 2, MAP_OUTSIDE},
        {100, 1, MAP_VALUES},
        {100, 58, MAP_VALUES},
        {100, 59, MAP_OUTSIDE},
        {157, 1, MAP_STATUS},
        {158, 1, MAP_OUTSIDE},
        {289, 1, MAP_OUTSIDE},
        {289, 2, MAP_OUTSIDE},
        {290, 1, MAP_VALUES},
        {290, 58, MAP_VALUES},
        {290, 59, MAP_OUTSIDE},
        {306, 1, MAP_STATUS},  /* unused */
        {306, 2, MAP_VALUES},  /* unused, and the discharge MOS after it */
        {299, 1, MAP_VALUES},  /* second word of a float */
        {325, 1, MAP_VALUES},  /* cell 16 */
        {326, 4, MAP_STATUS},  /* unused */
        {333, 1, MAP_VALUES},  /* minute of the peak */
        {335, 1, MAP_VALUES},  /* failure flag */
        {336, 12, MAP_STATUS}, /* unused, and the gateway's values */
        {340, 8, MAP_STATUS},
        {347, 1, MAP_STATUS},
        {347, 2, MAP_OUTSIDE},
        {348, 1, MAP_OUTSIDE},
        {348, 52, MAP_OUTSIDE},
        {399, 1, MAP_OUTSIDE},
        {399, 2, MAP_OUTSIDE},
        {400, 1, MAP_STATUS},
        {400, 100, MAP_STATUS}, /* state, counters, names, self-check */
        {400, 101, MAP_VALUES},
        {499, 1, MAP_STATUS},
        {500, 2, MAP_VALUES},
        {550, 2, MAP_VALUES}, /* energy is counted from the pack's values */
        {648, 1, MAP_VALUES},
        {649, 1, MAP_STATUS},
        {786, 1, MAP_VALUES},
        {787, 13, MAP_STATUS},
        {787, 14, MAP_OUTSIDE},
        {799, 1, MAP_STATUS},
        {800, 1, MAP_OUTSIDE},
        {0, 1, MAP_OUTSIDE},
        {290, 0, MAP_OUTSIDE},
        {65535, 1, MAP_OUTSIDE},
        {65535, 125, MAP_OUTSIDE},
        {400, 4000000000u, MAP_OUTSIDE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum map_range range = map_range(&usual, cases[i].address, cases[i].count);
        if (range != cases[i].expected)
            fail_msg("%u registers from %u: %d, expected %d", cases[i].count, cases[i].address,
                     range, cases[i].expected);
    }
}

TEST(range_of_neighbours)
{
    struct map_settings settings = {.base = 158, .also_at = 100};
    assert_int_equal(map_range(&settings, 150, 8), MAP_STATUS);
    assert_int_equal(map_range(&settings, 157, 2), MAP_VALUES);
    assert_int_equal(map_range(&settings, 100, 116), MAP_VALUES);
    assert_int_equal(map_range(&settings, 100, 117), MAP_OUTSIDE);
    settings.also_at = MAP_NONE;
    assert_int_equal(map_range(&settings, 157, 2), MAP_OUTSIDE);
}

TEST(range_of_bits)
{
    assert_int_equal(map_input_range(0, 1), MAP_VALUES);
    assert_int_equal(map_input_range(0, 48), MAP_VALUES);
    assert_int_equal(map_input_range(0, 49), MAP_OUTSIDE);
    assert_int_equal(map_input_range(23, 9), MAP_STATUS); /* reserved for further alarms */
    assert_int_equal(map_input_range(37, 1), MAP_STATUS);
    assert_int_equal(map_input_range(36, 2), MAP_VALUES);
    assert_int_equal(map_input_range(47, 1), MAP_STATUS);
    assert_int_equal(map_input_range(48, 1), MAP_OUTSIDE);
    assert_int_equal(map_input_range(47, 4294967295u), MAP_OUTSIDE);
    assert_int_equal(map_input_range(0, 0), MAP_OUTSIDE);
    assert_int_equal(map_coil_range(0, 2), MAP_VALUES);
    assert_int_equal(map_coil_range(1, 1), MAP_VALUES);
    assert_int_equal(map_coil_range(1, 2), MAP_OUTSIDE);
    assert_int_equal(map_coil_range(2, 1), MAP_OUTSIDE);
}

/* No register belongs to two rows, no row exceeds its block, and each row is in exactly one group. */
TEST(rows_lie_apart)
{
    const struct map_row *owner[MAP_SETTINGS_OFFSET + MAP_SETTINGS_SIZE] = {0};
    for (unsigned i = 0; i < map_row_count; i++) {
        const struct map_row *row = &map_rows[i];
        unsigned end = row->offset + map_row_size(row);
        unsigned limit = map_row_block(row) == COMPATIBILITY ? MAP_COMPAT_SIZE
                         : row->offset < MAP_SETTINGS_OFFSET
                             ? MAP_EXTENDED_OFFSET + MAP_EXTENDED_SIZE
                             : MAP_SETTINGS_OFFSET + MAP_SETTINGS_SIZE;
        if (end > limit)
            fail_msg("%s at %u leaves its block", row->name, row->offset);
        for (unsigned k = row->offset; k < end; k++) {
            if (owner[k])
                fail_msg("offset %u: %s and %s", k, owner[k]->name, row->name);
            owner[k] = row;
        }
        unsigned groups = 0;
        for (unsigned k = 0; k < map_group_count; k++)
            groups += map_group_has(&map_groups[k], row) &&
                      end <= map_groups[k].offset + map_groups[k].size;
        if (groups != 1)
            fail_msg("%s at %u is in %u groups", row->name, row->offset, groups);
        if (row->scale != 1) /* register-map.md says that there are no scale factors */
            fail_msg("%s at %u has a scale", row->name, row->offset);
    }
}

TEST(groups)
{
    for (unsigned i = 0; i < map_group_count; i++) {
        const struct map_group *group = &map_groups[i];
        if (group->size > 125)
            fail_msg("%s does not fit one read", group->title);
        const struct map_row *first = NULL;
        for (unsigned k = 0; k < map_row_count; k++) {
            const struct map_row *row = &map_rows[k];
            if (!map_group_has(group, row))
                continue;
            bool mixed = group->offset == 0 || strcmp(group->title, "Self-check") == 0;
            if (first && row->type != first->type && !mixed)
                fail_msg("%s: %s is not of the type of %s", group->title, row->name, first->name);
            if (!first)
                first = row;
        }
        if (!first)
            fail_msg("%s is empty", group->title);
    }
}

/* The values of a pack have the same name and unit everywhere. */
TEST(names)
{
    for (unsigned i = 0; i < map_row_count; i++) {
        const struct map_row *row = &map_rows[i];
        if (row->source == OF_PACK) {
            const struct pack_value_info *info = pack_value_info((enum pack_value) row->id);
            assert_string_equal(row->name, info->name);
            assert_string_equal(row->unit, info->unit);
        }
        if (row->source == OF_TEXT && row->id < PACK_TEXTS)
            assert_string_equal(row->name, pack_text_name((enum pack_text) row->id));
    }
    for (unsigned i = 0; i < map_input_count; i++)
        assert_true(map_inputs[i].number < MAP_INPUTS);
    for (unsigned i = 0; i < PACK_ALARM_COUNT; i++) {
        assert_int_equal(map_inputs[1 + i].number, 1 + i);
        assert_memory_equal(map_inputs[1 + i].name, "alarm.", 6);
        assert_string_equal(map_inputs[1 + i].name + 6, pack_alarm_name((enum pack_alarm) i));
    }
}

TEST(compatibility_block)
{
    struct pack pack = usual_pack();
    struct map_status status = fresh;
    status.peak = (struct map_soc_peak){.percent = 98, .hour = 13, .minute = 7};
    status.memory_mib = 1880;
    status.seconds = 65535;
    status.timezone_hours = -5;
    struct map_settings settings = usual;
    settings.display[0] = 77;
    settings.display[1] = 0x01020304;
    settings.display[2] = 0xFFFEFDFC;
    encode(&settings, &pack, &status);

    expect_words(290, 88 /* 87.5 */, 54 /* 53.58 */, 13 /* 12.5 */, 670 /* 53.58 * 12.5 = 669.75 */,
                 15, 3309 /* 3308.5 */, 3316, 3301);
    expect_low_first(298, single(22.5));
    expect_low_first(300, single(53.58));
    expect_low_first(302, single(12.5));
    expect_low_first(304, single(53.58 * 12.5));
    expect_words(306, 0, 0 /* discharge MOS off */, 1 /* charge MOS on */, 0);
    for (unsigned n = 1; n <= 16; n++)
        expect_word(309 + n, (uint16_t) (3300 + n));
    for (unsigned address = 326; address <= 329; address++)
        expect_word(address, 0);
    expect_words(330, 16, 98, 13, 7, 245 /* Ah */, 0 /* no failure */);
    for (unsigned address = 336; address <= 339; address++)
        expect_word(address, 0);
    expect_words(340, 1880, 65535, 0x10000 - 5, 77);
    expect_high_first(344, 0x01020304);
    expect_high_first(346, 0xFFFEFDFC);
    assert_memory_equal(registers + 100, registers + 290, 58 * sizeof *registers);
    expect_word(960, 0xAAAA); /* nothing is written after the last block */
}

TEST(float_order)
{
    struct pack pack = usual_pack();
    struct map_settings settings = usual;
    settings.big_floats = true;
    settings.display[1] = 0x01020304;
    encode(&settings, &pack, &fresh);
    expect_high_first(300, single(53.58));
    expect_word(300, 0x4256);
    expect_word(301, 0x51EC);
    expect_high_first(344, 0x01020304); /* is high word first anyway */
    expect_high_first(472, 0x12345678);
    expect_high_first(474, single(123456));
    expect_high_first(554, 70000);
    expect_high_first(662, single(21));
    expect_words(570, 0x0000 /* balance mask, highest word first */, 0x8000, 0x0000, 0x0001);
    assert_memory_equal(registers + 100, registers + 290, 58 * sizeof *registers);
}

TEST(fahrenheit)
{
    struct pack pack = usual_pack();
    struct map_settings settings = usual;
    settings.fahrenheit = true;
    encode(&settings, &pack, &fresh);
    expect_low_first(298, single(72.5)); /* 22.5 * 9 / 5 + 32 */
    expect_low_first(660, single(22.5)); /* the extended block stays in Celsius */
    pack_unset(&pack, TEMP_AVG_C);
    encode(&settings, &pack, &fresh);
    expect_low_first(298, 0); /* unknown, not 32 */
}

/* A setting that is not configured is unknown; a configured one is 0 in every state but fresh. */
TEST(limits)
{
    struct pack pack = usual_pack();
    struct map_status status = fresh;
    encode(&usual, &pack, &status);
    for (unsigned i = 0; i < 3; i++)
        expect_low_first(788 + 2 * i, 0x7FC00000);
    for (unsigned i = 0; i < 3; i++)
        expect_word(794 + i, 0xFFFF);
    status.allowed = (struct map_allowed){.configured = true,
                                          .charge_voltage_v = 55.2,
                                          .charge_current_a = 42.5,
                                          .discharge_current_a = 0,
                                          .charge_limited_by = LIMITED_BY_CELL_HIGH,
                                          .discharge_limited_by = LIMITED_BY_SOC,
                                          .age_s = 1.5};
    encode(&usual, &pack, &status);
    expect_low_first(788, single(55.2));
    expect_low_first(790, single(42.5));
    expect_low_first(792, 0);
    expect_words(794, 2, 6, 2);
    for (enum map_state not_fresh = MAP_STATE_NEVER; not_fresh <= MAP_STATE_NO_LINE; not_fresh++) {
        status.state = not_fresh;
        if (not_fresh == MAP_STATE_FRESH)
            continue;
        map_encode(&usual, NULL, &status, registers);
        expect_low_first(788, 0x7FC00000);
        expect_low_first(790, 0);
        expect_low_first(792, 0);
        expect_words(794, 7, 7, 0xFFFF);
    }
    status.allowed.discharge_current_a = 30;
    status.allowed.discharges_stale = true;
    status.state = MAP_STATE_STALE;
    map_encode(&usual, NULL, &status, registers);
    expect_low_first(790, 0);
    expect_low_first(792, single(30));
    expect_word(795, 7);
    assert_int_equal(map_range(&usual, 788, 9), MAP_STATUS);
    assert_string_equal(map_limit_reason_name(LIMITED_BY_CONFIGURATION), "configuration");
    assert_string_equal(map_limit_reason_name(LIMITED_BY_RAMP), "ramp");
}

TEST(extended_block)
{
    struct pack pack = usual_pack();
    struct map_status status = fresh;
    status.age_s = 86400.2; /* values are never reported as younger than they are */
    status.polls = 0x01020304;
    status.timeouts = 2;
    status.checksum_errors = 3;
    status.reconnects = 4;
    status.implausible = 5;
    status.spikes = 6;
    status.charged_wh = 16777217; /* which a float cannot hold */
    status.discharged_wh = 12.5;
    encode(&usual, &pack, &status);

    expect_word(400, 3);
    expect_word(401, 1);
    expect_low_first(410, 86401);
    expect_low_first(412, 0x01020304);
    expect_low_first(414, 2);
    expect_low_first(416, 3);
    expect_low_first(418, 4);
    expect_low_first(420, 5);
    expect_low_first(422, 6);
    expect_text(430, "daly                            ");
    expect_text(446, "house-1                         ");
    expect_word(470, 12345);
    expect_word(471, 0x10000 - 12345);
    expect_low_first(472, 0x12345678);
    expect_low_first(474, 0x47F12000);

    const double floats[] = {53.58, 12.5,  53.58 * 12.5, 87.5, 99,   245.25, 280,
                             304.5, -12.5, 57.6,         100,  44.8, 150};
    for (unsigned i = 0; i < COUNT(floats); i++)
        expect_low_first(500 + 2 * i, single(floats[i]));
    expect_low_first(550, 16777217);
    expect_low_first(552, 13);
    expect_low_first(554, 70000);
    expect_words(570, 0x0001, 0x0000, 0x8000, 0x0000);
    expect_words(580, 1, 0, 1);
    expect_word(584, 16);
    expect_word(585, 4);
    expect_words(590, 3316, 3301, 16, 1, 15);
    expect_word(600, 3309);
    for (unsigned n = 1; n <= 16; n++)
        expect_word(600 + n, (uint16_t) (3300 + n));
    for (unsigned n = 17; n <= 48; n++)
        expect_word(600 + n, 0xFFFF);
    expect_low_first(660, single(22.5));
    for (unsigned n = 1; n <= 4; n++)
        expect_low_first(660 + 2 * n, single(20 + n));
    for (unsigned n = 5; n <= 16; n++)
        expect_low_first(660 + 2 * n, 0x7FC00000);
    expect_low_first(694, single(24));
    expect_low_first(696, single(21));
    expect_text(700, "SN-0123                         ");
    expect_text(720, "                                ");
    expect_text(740, "abcdefghijklmnopqrstuvwxyz012345");
}

/* Registers without a row read 0. */
TEST(holes)
{
    struct pack pack = usual_pack();
    encode(&usual, &pack, &fresh);
    bool covered[MAP_SETTINGS_OFFSET + MAP_SETTINGS_SIZE] = {false};
    for (unsigned i = 0; i < map_row_count; i++)
        for (unsigned k = 0; k < map_row_size(&map_rows[i]); k++)
            covered[map_rows[i].offset + k] = true;
    for (unsigned offset = 0; offset < COUNT(covered); offset++)
        if (!covered[offset])
            expect_word(290 + offset, 0);
}

TEST(alarms)
{
    struct pack pack = cleared_pack();
    pack_alarm(&pack, CELL_OVER_VOLTAGE, ALARM_WARNING);
    pack_alarm(&pack, SHORT_CIRCUIT, ALARM_PROTECTION);
    pack_alarm(&pack, HARDWARE_FAULT, 0);
    pack_raw_alarm(&pack, 0xFFFF);
    pack_raw_alarm(&pack, 0x1234);
    encode(&usual, &pack, &fresh);
    expect_word(335, 1);
    expect_low_first(560, 1u << 0 | 1u << 6);
    expect_low_first(562, 1u << 0);
    expect_low_first(564, 1u << 6);
    expect_low_first(566, 1u << 0 | 1u << 6 | 1u << 21);
    expect_word(583, 2);
    expect_word(586, 2);
    expect_words(771, 0xFFFF /* all alarms of this word, not "unknown": the count tells */, 0x1234,
                 0xFFFF);
    expect_word(786, 0xFFFF);

    pack_clear_alarms(&pack);
    pack_alarm(&pack, SOC_LOW, ALARM_WARNING);
    encode(&usual, &pack, &fresh);
    expect_word(335, 1);
    expect_word(583, 1);

    pack_clear_alarms(&pack);
    pack_alarm(&pack, SOC_LOW, 0);
    encode(&usual, &pack, &fresh);
    expect_word(335, 0);
    expect_low_first(560, 0);
    expect_word(583, 0);
    expect_word(586, 0);
}

TEST(unknown)
{
    struct pack pack = cleared_pack();
    struct map_status status = fresh;
    status.age_s = NAN;
    status.driver = status.pack_name = NULL;
    status.peak = (struct map_soc_peak){.percent = -1, .hour = 5, .minute = 7};
    encode(&usual, &pack, &status);
    for (unsigned address = 290; address <= 339; address++)
        expect_word(address, 0);
    expect_low_first(410, 0xFFFFFFFF);
    expect_text(430, "                                ");
    expect_text(446, "                                ");
    for (unsigned address = 500; address <= 524; address += 2)
        expect_low_first(address, 0x7FC00000);
    expect_low_first(550, 0xFFFFFFFF);
    expect_low_first(552, 0xFFFFFFFF);
    expect_low_first(554, 0xFFFFFFFF);
    expect_low_first(560, 0xFFFFFFFF);
    expect_low_first(562, 0xFFFFFFFF);
    expect_low_first(564, 0xFFFFFFFF);
    expect_low_first(566, 0); /* it is known that no alarm is known */
    for (unsigned address = 570; address <= 573; address++)
        expect_word(address, 0xFFFF);
    for (unsigned address = 580; address <= 585; address++)
        expect_word(address, 0xFFFF);
    expect_word(586, 0);
    for (unsigned address = 590; address <= 598; address++)
        expect_word(address, 0xFFFF);
    for (unsigned address = 600; address <= 648; address++)
        expect_word(address, 0xFFFF);
    for (unsigned address = 660; address <= 696; address += 2)
        expect_low_first(address, 0x7FC00000);
    for (unsigned address = 402; address <= 404; address++)
        expect_word(address, 0xFFFF); /* of a pack */
    expect_text(700, "                                ");
}

/* Rounds to nearest, halves away from 0; limits to the range rather than wrapping. In the extended block the limit is
 * one less than the pattern that means unknown. */
TEST(rounding_and_saturation)
{
    static const struct {
        enum pack_value id;
        double value;
        unsigned address;
        uint16_t expected;
    } cases[] = {
        {VOLTAGE_V, 53.49, 291, 53},
        {VOLTAGE_V, 53.5, 291, 54},
        {VOLTAGE_V, -0.4, 291, 0},
        {VOLTAGE_V, -1, 291, 0},
        {VOLTAGE_V, 65535.4, 291, 65535},
        {VOLTAGE_V, 65536, 291, 65535},
        {VOLTAGE_V, 1e30, 291, 65535},
        {CURRENT_A, -12.5, 292, 0x10000 - 13},
        {CURRENT_A, -12.4, 292, 0x10000 - 12},
        {CURRENT_A, -0.4, 292, 0},
        {POWER_W, 32767.4, 293, 32767},
        {POWER_W, 40000, 293, 32767},
        {POWER_W, -32768, 293, 0x8000},
        {POWER_W, -5e6, 293, 0x8000},
        {REMAINING_AH, 1e5, 334, 65535},
        {CELL_MV, 65535, 310, 65535},
        {CELL_MV, 65535, 601, 65534},
        {CELL_MV, 1e9, 601, 65534},
        {CELL_MV, -1, 601, 0},
        {CYCLES, 4294967295.0, 554, 0xFFFE},
        {CYCLES, 1e12, 554, 0xFFFE},
        {CYCLES, 1e12, 555, 0xFFFF},
        {VOLTAGE_V, INFINITY, 291, 65535},
        {POWER_W, -INFINITY, 293, 0x8000},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        encode_value(cases[i].id, cases[i].value);
        if (registers[cases[i].address] != cases[i].expected)
            fail_msg("%s = %g: register %u is %u, expected %u", pack_value_info(cases[i].id)->name,
                     cases[i].value, cases[i].address, registers[cases[i].address],
                     cases[i].expected);
    }
    encode_value(CURRENT_A, -0.0);
    expect_low_first(302, 0);
    expect_low_first(502, 0);
    encode_value(CURRENT_A, INFINITY);
    assert_true((registers[503] & 0x7F80) < 0x7F80); /* a number */

    struct map_status status = fresh;
    struct pack pack = usual_pack();
    status.timezone_hours = 40000;
    status.polls = UINT32_MAX;
    status.age_s = -3; /* the clock was set */
    encode(&usual, &pack, &status);
    expect_word(342, 32767);
    expect_low_first(412, 0xFFFFFFFE);
    expect_low_first(410, 0);
}

TEST(failure_flag)
{
    struct pack pack = usual_pack();
    static const enum map_state states[] = {MAP_STATE_NEVER, MAP_STATE_FRESH, MAP_STATE_STALE,
                                            MAP_STATE_NO_LINE};
    for (size_t i = 0; i < COUNT(states); i++) {
        struct map_status status = fresh;
        status.state = states[i];
        encode(&usual, &pack, &status);
        expect_word(335, states[i] != MAP_STATE_FRESH);
        expect_word(145, states[i] != MAP_STATE_FRESH);
        expect_word(401, (uint16_t) states[i]);
    }
}

static const struct map_bank two_of_three = {.present = 2,
                                             .missing = 1,
                                             .needed = 2,
                                             .cell_max_pack = 3,
                                             .cell_min_pack = 1,
                                             .temp_max_c = 31.5,
                                             .temp_min_c = -4,
                                             .temp_max_pack = 1,
                                             .temp_min_pack = 3};

static void expect_two_of_three(void)
{
    static const uint16_t counts[] = {2, 1, 2}, places[] = {3, 1, 1, 3};
    for (unsigned i = 0; i < COUNT(counts); i++)
        expect_word(402 + i, counts[i]);
    for (unsigned i = 0; i < COUNT(places); i++)
        expect_word(595 + i, places[i]);
    expect_low_first(694, single(31.5));
    expect_low_first(696, single(-4));
}

TEST(bank)
{
    struct pack pack = cleared_pack();
    struct map_status status = fresh;
    status.bank = &two_of_three;
    encode(&usual, &pack, &status);
    expect_two_of_three();

    /* While the bank is stale, the numbers of its packs are still updated; only they can be read. */
    struct map_bank one_of_three = two_of_three;
    one_of_three.present = 1;
    one_of_three.missing = 2;
    status.bank = &one_of_three;
    status.state = MAP_STATE_STALE;
    map_encode(&usual, NULL, &status, registers);
    expect_word(402, 1);
    expect_word(403, 2);
    expect_low_first(694, single(31.5));
    assert_int_equal(map_range(&usual, 402, 3), MAP_STATUS);
    assert_int_equal(map_range(&usual, 595, 4), MAP_VALUES);

    struct map_bank nothing = {.missing = 3, .needed = 2, .temp_max_c = NAN, .temp_min_c = NAN};
    status.bank = &nothing;
    encode(&usual, &pack, &status);
    expect_word(402, 0);
    expect_word(403, 3);
    for (unsigned address = 595; address <= 598; address++)
        expect_word(address, 0xFFFF);
    expect_low_first(694, 0x7FC00000);
    expect_low_first(696, 0x7FC00000);
}

/* Between two polls the gateway's own values are updated, those of the pack are not. */
TEST(status_alone)
{
    struct pack pack = usual_pack();
    pack_alarm(&pack, SOC_LOW, ALARM_WARNING);
    encode(&usual, &pack, &fresh);
    static uint16_t before[ADDRESSES];
    memcpy(before, registers, sizeof before);
    struct map_status status = fresh;
    status.age_s = 1;
    status.seconds = 4711;
    map_encode(&usual, NULL, &status, registers);
    expect_low_first(410, 1);
    expect_word(341, 4711);
    expect_word(151, 4711);
    expect_word(335, 1); /* the alarm is still there */
    registers[410] = before[410];
    registers[341] = registers[151] = before[341];
    assert_memory_equal(registers, before, sizeof before);

    pack_clear_alarms(&pack);
    encode(&usual, &pack, &fresh);
    map_encode(&usual, NULL, &status, registers);
    expect_word(335, 0);
    status.state = MAP_STATE_STALE;
    map_encode(&usual, NULL, &status, registers);
    expect_word(335, 1);
    expect_word(145, 1);
    expect_word(401, 2);
    expect_word(291, 54);
    expect_text(700, "SN-0123                         ");
    map_encode(&usual, &pack, &fresh, registers);
    expect_word(335, 0);
}

TEST(without_copy)
{
    struct pack pack = usual_pack();
    static const int places[] = {MAP_NONE, MAP_BASE_DEFAULT};
    for (size_t i = 0; i < COUNT(places); i++) {
        struct map_settings settings = usual;
        settings.also_at = places[i];
        encode(&settings, &pack, &fresh);
        expect_word(101, 0);
        expect_word(291, 54);
        map_encode(&settings, NULL, &fresh, registers);
        expect_word(101, 0);
        assert_int_equal(map_range(&settings, 100, 1), MAP_OUTSIDE);
    }
}

TEST(bits)
{
    struct pack pack = usual_pack();
    uint8_t inputs[MAP_INPUTS], coils[MAP_COILS];
    memset(inputs, 0xAA, sizeof inputs);
    map_encode_bits(&pack, &fresh, inputs, coils);
    /* the usual pack: charge MOS on, discharge MOS off, balancing, charging */
    for (unsigned i = 0; i < MAP_INPUTS; i++)
        if (inputs[i] != (i == 32 || i == 34 || i == 35 || i == 37))
            fail_msg("input %u is %u", i, inputs[i]);
    assert_int_equal(coils[0], 1);
    assert_int_equal(coils[1], 0);

    for (unsigned alarm = 0; alarm < PACK_ALARM_COUNT; alarm++) {
        int level = alarm % 2 ? ALARM_PROTECTION : ALARM_WARNING;
        pack_clear(&pack);
        pack_alarm(&pack, (enum pack_alarm) alarm, level);
        struct map_status status = fresh;
        status.state = MAP_STATE_STALE;
        map_encode_bits(&pack, &status, inputs, coils);
        for (unsigned i = 0; i < MAP_INPUTS; i++) {
            bool expected = i == 0 || i == 1 + alarm || i == (alarm % 2 ? 39 : 38);
            if (inputs[i] != expected)
                fail_msg("alarm %u: input %u is %u", alarm, i, inputs[i]);
        }
        assert_int_equal(coils[0], MAP_COIL_UNKNOWN);
        assert_int_equal(coils[1], MAP_COIL_UNKNOWN);
    }

    pack_set(&pack, CURRENT_A, -0.1);
    pack_set(&pack, DISCHARGE_MOS, 1);
    map_encode_bits(&pack, &fresh, inputs, coils);
    assert_int_equal(inputs[33], 1);
    assert_int_equal(inputs[35], 0);
    assert_int_equal(inputs[36], 1);
    assert_int_equal(coils[1], 1);
}

/* The caller frees it. */
static char *printed(const struct map_settings *settings, const char *format)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_true(map_print(settings, format, out));
    fclose(out);
    return text;
}

TEST(unknown_format)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_false(map_print(&usual, "xml", out));
    fclose(out);
    assert_int_equal(size, 0);
    free(text);
}

TEST(register_map_md)
{
    FILE *file = fopen("register-map.md", "r");
    if (!file)
        fail_msg("register-map.md is not here: run from the top of the source tree");
    char *expected = printed(&usual, "md");
    size_t size = strlen(expected);
    char *found = calloc(1, size + 2);
    size_t got = fread(found, 1, size + 1, file);
    fclose(file);
    if (got != size || memcmp(found, expected, size) != 0) {
        size_t same = 0, line = 1;
        while (same < got && found[same] == expected[same])
            line += found[same++] == '\n';
        fail_msg("register-map.md differs from the table in line %zu: "
                 "packgate map --format md > register-map.md",
                 line);
    }
    free(found);
    free(expected);
}

/* Map version 1. These lines never change: a value at another address needs a new row in unused registers. */
static const struct {
    unsigned address, count;
    const char *name, *type;
} version_1[] = {
    {290, 1, "soc_percent", "u16"},
    {291, 1, "voltage_v", "u16"},
    {292, 1, "current_a", "s16"},
    {293, 1, "power_w", "s16"},
    {294, 1, "cell_delta_mv", "u16"},
    {295, 1, "cell_avg_mv", "u16"},
    {296, 1, "cell_max_mv", "u16"},
    {297, 1, "cell_min_mv", "u16"},
    {298, 1, "temp_avg_c", "float32"},
    {300, 1, "voltage_v", "float32"},
    {302, 1, "current_a", "float32"},
    {304, 1, "power_w", "float32"},
    {307, 1, "discharge_mos", "u16"},
    {308, 1, "charge_mos", "u16"},
    {310, 16, "cell_mv", "u16"},
    {330, 1, "cell_count", "u16"},
    {331, 1, "soc_peak_percent", "u16"},
    {332, 1, "soc_peak_hour", "u16"},
    {333, 1, "soc_peak_minute", "u16"},
    {334, 1, "remaining_ah", "u16"},
    {335, 1, "failure", "u16"},
    {340, 1, "memory_mib", "u16"},
    {341, 1, "seconds", "u16"},
    {342, 1, "timezone_hours", "s16"},
    {343, 1, "dashboard_id", "u16"},
    {344, 2, "display", "u32"},
    {400, 1, "map_version", "u16"},
    {401, 1, "connection_state", "u16"},
    {402, 1, "packs_present", "u16"},
    {403, 1, "packs_missing", "u16"},
    {404, 1, "packs_needed", "u16"},
    {410, 1, "age_s", "u32"},
    {412, 1, "polls", "u32"},
    {414, 1, "timeouts", "u32"},
    {416, 1, "checksum_errors", "u32"},
    {418, 1, "reconnects", "u32"},
    {420, 1, "implausible", "u32"},
    {422, 1, "spikes", "u32"},
    {430, 1, "driver", "string"},
    {446, 1, "pack_name", "string"},
    {470, 1, "check_u16", "u16"},
    {471, 1, "check_s16", "s16"},
    {472, 1, "check_u32", "u32"},
    {474, 1, "check_float32", "float32"},
    {500, 1, "voltage_v", "float32"},
    {502, 1, "current_a", "float32"},
    {504, 1, "power_w", "float32"},
    {506, 1, "soc_percent", "float32"},
    {508, 1, "soh_percent", "float32"},
    {510, 1, "remaining_ah", "float32"},
    {512, 1, "full_ah", "float32"},
    {514, 1, "rated_ah", "float32"},
    {516, 1, "mos_temp_c", "float32"},
    {518, 1, "charge_voltage_limit_v", "float32"},
    {520, 1, "charge_current_limit_a", "float32"},
    {522, 1, "discharge_voltage_limit_v", "float32"},
    {524, 1, "discharge_current_limit_a", "float32"},
    {550, 1, "charged_wh", "u32"},
    {552, 1, "discharged_wh", "u32"},
    {554, 1, "cycles", "u32"},
    {560, 1, "alarms_active", "bits32"},
    {562, 1, "alarms_warning", "bits32"},
    {564, 1, "alarms_protection", "bits32"},
    {566, 1, "alarms_known", "bits32"},
    {570, 1, "balance_mask", "bits64"},
    {580, 1, "charge_mos", "u16"},
    {581, 1, "discharge_mos", "u16"},
    {582, 1, "balancing", "u16"},
    {583, 1, "alarm_level", "u16"},
    {584, 1, "cell_count", "u16"},
    {585, 1, "temp_count", "u16"},
    {586, 1, "raw_alarm_count", "u16"},
    {590, 1, "cell_max_mv", "u16"},
    {591, 1, "cell_min_mv", "u16"},
    {592, 1, "cell_max_index", "u16"},
    {593, 1, "cell_min_index", "u16"},
    {594, 1, "cell_delta_mv", "u16"},
    {595, 1, "cell_max_pack", "u16"},
    {596, 1, "cell_min_pack", "u16"},
    {597, 1, "temp_max_pack", "u16"},
    {598, 1, "temp_min_pack", "u16"},
    {600, 1, "cell_avg_mv", "u16"},
    {601, 48, "cell_mv", "u16"},
    {660, 1, "temp_avg_c", "float32"},
    {662, 16, "temp_c", "float32"},
    {694, 1, "temp_max_c", "float32"},
    {696, 1, "temp_min_c", "float32"},
    {700, 1, "serial", "string"},
    {720, 1, "model", "string"},
    {740, 1, "firmware", "string"},
    {771, 16, "raw_alarm", "bits16"},
};

static const struct {
    unsigned number;
    const char *name;
} version_1_inputs[] = {
    {0, "alarm"},
    {1, "alarm.cell_over_voltage"},
    {2, "alarm.cell_under_voltage"},
    {3, "alarm.pack_over_voltage"},
    {4, "alarm.pack_under_voltage"},
    {5, "alarm.charge_over_current"},
    {6, "alarm.discharge_over_current"},
    {7, "alarm.short_circuit"},
    {8, "alarm.charge_over_temperature"},
    {9, "alarm.charge_under_temperature"},
    {10, "alarm.discharge_over_temperature"},
    {11, "alarm.discharge_under_temperature"},
    {12, "alarm.mos_over_temperature"},
    {13, "alarm.cell_imbalance"},
    {14, "alarm.temperature_imbalance"},
    {15, "alarm.soc_low"},
    {16, "alarm.soc_high"},
    {17, "alarm.charge_mos_fault"},
    {18, "alarm.discharge_mos_fault"},
    {19, "alarm.temp_sensor_fault"},
    {20, "alarm.voltage_sensor_fault"},
    {21, "alarm.communication_fault"},
    {22, "alarm.hardware_fault"},
    {32, "charge_mos"},
    {33, "discharge_mos"},
    {34, "balancing"},
    {35, "charging"},
    {36, "discharging"},
    {37, "fresh"},
    {38, "warning"},
    {39, "protection"},
};

static json_t *loaded(const struct map_settings *settings)
{
    char *text = printed(settings, "json");
    json_error_t error;
    json_t *array = json_loads(text, 0, &error);
    if (!array)
        fail_msg("line %d: %s", error.line, error.text);
    assert_true(json_is_array(array));
    free(text);
    return array;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        fail_msg("no %s in an object", key);
    return text;
}

static unsigned number_of(const json_t *object, const char *key)
{
    json_t *number = json_object_get(object, key);
    if (!json_is_integer(number))
        fail_msg("%s is no integer", key);
    return (unsigned) json_integer_value(number);
}

static const json_t *find(const json_t *array, const char *table, unsigned address)
{
    size_t i;
    json_t *object;
    json_array_foreach(array, i, object)
    {
        if (number_of(object, "address") == address && strcmp(text_of(object, "table"), table) == 0)
            return object;
    }
    return NULL;
}

static void expect_entry(const json_t *array, const char *table, unsigned address, const char *name,
                         const char *type)
{
    const json_t *object = find(array, table, address);
    if (!object)
        fail_msg("%s is not at %s %u any more", name, table, address);
    if (strcmp(text_of(object, "name"), name) != 0 || strcmp(text_of(object, "type"), type) != 0)
        fail_msg("%s %u is %s, %s; it was released as %s, %s", table, address,
                 text_of(object, "name"), text_of(object, "type"), name, type);
}

TEST(version_1_never_moves)
{
    json_t *array = loaded(&usual);
    for (size_t i = 0; i < COUNT(version_1); i++) {
        unsigned address = version_1[i].address;
        for (unsigned n = 1; n <= version_1[i].count; n++) {
            char name[64];
            if (version_1[i].count > 1)
                snprintf(name, sizeof name, "%s.%u", version_1[i].name, n);
            else
                snprintf(name, sizeof name, "%s", version_1[i].name);
            expect_entry(array, "holding", address, name, version_1[i].type);
            address += number_of(find(array, "holding", address), "count");
        }
    }
    if (MAP_VERSION == 1) { /* a later version may have more */
        size_t entries = 0;
        for (size_t i = 0; i < COUNT(version_1); i++)
            entries += version_1[i].count;
        assert_int_equal(json_array_size(array), entries);
    }
    json_decref(array);
}

static void expect_bit(const char *csv, const char *table, unsigned number, const char *name)
{
    char line[100];
    snprintf(line, sizeof line, "\n%s,%s,%u,%u,%s,bit,", table, table, number, number, name);
    if (!strstr(csv, line))
        fail_msg("%s is not %s %u any more", name, table, number);
}

TEST(version_1_bits_never_move)
{
    char *csv = printed(&usual, "csv");
    for (size_t i = 0; i < COUNT(version_1_inputs); i++)
        expect_bit(csv, "discrete", version_1_inputs[i].number, version_1_inputs[i].name);
    expect_bit(csv, "coil", 0, "charge_mos");
    expect_bit(csv, "coil", 1, "discharge_mos");
    free(csv);
}

TEST(json)
{
    static const struct {
        const char *type;
        unsigned registers;
    } types[] = {{"u16", 1},     {"s16", 1},    {"u32", 2},    {"float32", 2},
                 {"string", 16}, {"bits16", 1}, {"bits32", 2}, {"bits64", 4}};
    struct map_settings settings = {.base = 1000, .also_at = MAP_NONE, .fahrenheit = true};
    json_t *array = loaded(&settings);
    size_t i;
    json_t *object;
    json_array_foreach(array, i, object)
    {
        const char *block = text_of(object, "block"), *type = text_of(object, "type");
        unsigned offset = number_of(object, "offset");
        assert_int_equal(number_of(object, "address"), offset + 1000);
        assert_string_equal(block, offset < 58    ? "compatibility"
                                   : offset < 610 ? "extended"
                                                  : "settings");
        assert_true(json_is_number(json_object_get(object, "scale")));
        assert_string_equal(text_of(object, "access"), "r");
        assert_true(strlen(text_of(object, "name")) > 0);
        assert_true(strlen(text_of(object, "description")) > 0);
        text_of(object, "unit");
        size_t k = 0;
        while (k < COUNT(types) && strcmp(types[k].type, type) != 0)
            k++;
        if (k == COUNT(types) || types[k].registers != number_of(object, "count"))
            fail_msg("%s: type %s, count %u", text_of(object, "name"), type,
                     number_of(object, "count"));
    }
    assert_string_equal(text_of(find(array, "holding", 1008), "unit"), "°F");
    assert_string_equal(text_of(find(array, "holding", 1370), "unit"), "°C");
    assert_string_equal(text_of(find(array, "holding", 1010), "word_order"), "low first");
    assert_string_equal(text_of(find(array, "holding", 1054), "word_order"), "high first");
    json_decref(array);
    settings.big_floats = settings.writable = true;
    array = loaded(&settings);
    assert_string_equal(text_of(find(array, "holding", 1010), "word_order"), "high first");
    assert_string_equal(text_of(find(array, "holding", 1017), "access"), "rw");
    assert_string_equal(text_of(find(array, "holding", 1018), "access"), "rw");
    /* Values that are served at two addresses are defined once. */
    assert_string_equal(text_of(find(array, "holding", 1290), "access"), "r");
    assert_string_equal(text_of(find(array, "holding", 1291), "access"), "r");
    assert_string_equal(text_of(find(array, "holding", 1040), "access"), "r");
    json_decref(array);
}

/* Fields of a line of CSV, counting no comma in quotes. */
static unsigned csv_fields(const char *line)
{
    unsigned fields = 1;
    bool quoted = false;
    for (; *line && *line != '\n'; line++) {
        quoted ^= *line == '"';
        fields += *line == ',' && !quoted;
    }
    return fields;
}

TEST(csv)
{
    json_t *array = loaded(&usual);
    char *text = printed(&usual, "csv");
    size_t lines = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1, lines++)
        if (csv_fields(line) != 12)
            fail_msg("line %zu has %u fields", lines + 1, csv_fields(line));
    /* JSON has the registers only. */
    if (MAP_VERSION == 1)
        assert_int_equal(lines, 1 + json_array_size(array) + COUNT(version_1_inputs) + MAP_COILS);
    assert_non_null(
        strstr(text, "holding,extended,603,313,cell_mv.3,u16,1,\"mV\",1,r,,\"cell 3, "));
    free(text);
    json_decref(array);
}

static unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    while ((text = strstr(text, part))) {
        count++;
        text += strlen(part);
    }
    return count;
}

TEST(home_assistant)
{
    struct map_settings settings = usual;
    char *little = printed(&settings, "homeassistant");
    settings.big_floats = true;
    char *big = printed(&settings, "homeassistant");
    unsigned wide =
        occurrences(little, "data_type: float32\n") + occurrences(little, "data_type: uint32\n");
    assert_true(wide > 0);
    assert_int_equal(occurrences(little, "swap: word\n"), wide);
    assert_int_equal(occurrences(big, "swap: word\n"), 0);
    assert_int_equal(occurrences(little, "        virtual_count: "), 2);
    assert_non_null(strstr(little, "        address: 600\n"));
    assert_non_null(strstr(little, "        address: 660\n"));
    assert_null(strstr(little, "        address: 601\n"));
    /* each integer can represent unknown */
    assert_int_equal(occurrences(little, "data_type: uint16\n"),
                     occurrences(little, "nan_value: 0xFFFF\n"));
    assert_int_equal(occurrences(little, "data_type: uint32\n"),
                     occurrences(little, "nan_value: 0xFFFFFFFF\n"));
    free(little);
    free(big);
}
