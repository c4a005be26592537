// SPDX-License-Identifier: MIT
/*
 * Messages for inverters, CAN and Pylontech's system level: recorded frames are encoded again from
 * their decoded values, unknown values are not sent, and encoded messages are decoded again.
 */
#include "bms/inverter/can.h"
#include "bms/inverter/pylon_system.h"

#include "battery_random.h"
#include "bms/prng.h"
#include "driver_test.h"

#include <stdio.h>

static struct shown in_answer; /* decoded from an answer */

static struct shown new_shown(void)
{
    struct shown shown;
    shown_clear(&shown);
    pack_clear(&shown.values);
    shown.stopping = false;
    return shown;
}

static void set(struct shown *shown, unsigned id, double value)
{
    shown_set(shown, id, value);
}

/* All messages, at both levels. */
static void know_alarms(struct shown *shown)
{
    for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++)
        pack_alarm(&shown->values, (enum pack_alarm) alarm, 0);
}

/* The battery of the recordings. */
static struct shown us5000(void)
{
    struct shown shown = new_shown();
    set(&shown, CHARGE_VOLTAGE_LIMIT_V, 53.2);
    set(&shown, CHARGE_CURRENT_LIMIT_A, 480);
    set(&shown, DISCHARGE_CURRENT_LIMIT_A, 480);
    set(&shown, DISCHARGE_VOLTAGE_LIMIT_V, 45);
    set(&shown, SOC_PERCENT, 88);
    set(&shown, SOH_PERCENT, 94);
    set(&shown, VOLTAGE_V, 49.86);
    set(&shown, CURRENT_A, -27);
    set(&shown, TEMP_AVG_C, 36.3);
    set(&shown, CHARGE_MOS, 1);
    set(&shown, DISCHARGE_MOS, 1);
    set(&shown, SHOWN_PACKS, 6);
    know_alarms(&shown);
    return shown;
}

static const struct table *table_of(const char *name)
{
    const struct table *table = can_table_find(name);
    assert_non_null(table);
    return table;
}

static void expect_frame(const struct table *table, const struct shown *shown, unsigned id,
                         const char *hex)
{
    uint8_t data[TABLE_MESSAGE_MAX];
    unsigned size = table_write(table, id, shown, data);
    struct bytes expected = unhex(hex);
    if (size != expected.size || memcmp(data, expected.bytes, size) != 0)
        fail_msg("%s: %03X has %u bytes, %02X %02X %02X %02X %02X %02X %02X %02X; expected %s",
                 table->name, id, size, data[0], data[1], data[2], data[3], data[4], data[5],
                 data[6], data[7], hex);
}

/* Calls `each` for each frame of a candump log. Returns the number of frames. */
static unsigned for_frames(const char *path,
                           void (*do_it)(const struct table *, unsigned, const struct bytes *,
                                         void *),
                           const struct table *table, void *data)
{
    char line[200], hex[40];
    unsigned id, count = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || sscanf(line, "(%*[0-9.]) %*s %x#%32s", &id, hex) != 2)
            continue;
        struct bytes frame = unhex(hex);
        do_it(table, id, &frame, data);
        count++;
    }
    fclose(file);
    return count;
}

static void expect_recorded(const struct table *table, unsigned id, const struct bytes *frame,
                            void *data)
{
    char hex[40] = "";
    for (size_t i = 0; i < frame->size; i++)
        snprintf(hex + 2 * i, 3, "%02X", frame->bytes[i]);
    expect_frame(table, data, id, hex);
}

static void read_recorded(const struct table *table, unsigned id, const struct bytes *frame,
                          void *data)
{
    assert_true(table_read(table, id, frame->bytes, (unsigned) frame->size, data));
}

static bool table_carries(const struct table *table, unsigned id)
{
    for (unsigned i = 0; i < table->field_count; i++)
        if (table->fields[i].kind <= TABLE_SWITCH && table->fields[i].id == id)
            return true;
    return false;
}

TEST(pylon_12)
{
    const struct table *table = table_of("pylon-1.2");
    struct shown shown = us5000();
    assert_int_equal(for_frames("tests/recordings/pylon-1.2.log", expect_recorded, table, &shown),
                     table->message_count);
    struct shown read = new_shown();
    for_frames("tests/recordings/pylon-1.2.log", read_recorded, table, &read);
    for (unsigned id = 0; id < SHOWN_NUMBERS; id++)
        if (table_carries(table, id) &&
            !(fabs(shown_number(&read, id) - shown_number(&shown, id)) < 1e-6))
            fail_msg("number %u: %g, expected %g", id, shown_number(&read, id),
                     shown_number(&shown, id));
}

/* The recorded battery supports no alarms in 35A, and has an empty field in 355. */
TEST(pylon_13)
{
    const struct table *table = table_of("pylon-1.3");
    struct shown shown = us5000();
    set(&shown, CHARGE_VOLTAGE_LIMIT_V, 52.8);
    set(&shown, SOC_PERCENT, 84);
    set(&shown, SOH_PERCENT, 96);
    set(&shown, VOLTAGE_V, 49.87);
    set(&shown, CURRENT_A, -27.9);
    set(&shown, FULL_AH, 572);
    shown.values.alarms_can_warn = shown.values.alarms_can_protect = 0;
    assert_int_equal(for_frames("tests/recordings/pylon-1.3.log", expect_recorded, table, &shown),
                     table->message_count);
}

/* Frames that several programs document. */
TEST(quoted_frames)
{
    struct shown shown = us5000();
    set(&shown, CHARGE_CURRENT_LIMIT_A, 370);
    set(&shown, DISCHARGE_CURRENT_LIMIT_A, 370);
    set(&shown, DISCHARGE_VOLTAGE_LIMIT_V, 46);
    set(&shown, SOC_PERCENT, 26);
    set(&shown, SOH_PERCENT, 100);
    expect_frame(table_of("pylon-1.2"), &shown, 0x351, "14 02 74 0E 74 0E CC 01");
    expect_frame(table_of("pylon-1.2"), &shown, 0x355, "1A 00 64 00");
    expect_frame(table_of("victron"), &shown, 0x351, "14 02 74 0E 74 0E CC 01");
    expect_frame(table_of("victron"), &shown, 0x35A, "AA AA AA 02 AA AA AA 02");
}

TEST(alarm_bits)
{
    struct shown shown = us5000();
    pack_alarm(&shown.values, CELL_OVER_VOLTAGE, ALARM_PROTECTION);
    pack_alarm(&shown.values, CELL_IMBALANCE, ALARM_WARNING);
    pack_alarm(&shown.values, CHARGE_OVER_CURRENT, ALARM_WARNING);
    expect_frame(table_of("pylon-1.2"), &shown, 0x359, "02 00 00 01 06 50 4E");
    /* general and high voltage; general, charge current and imbalance */
    expect_frame(table_of("victron"), &shown, 0x35A, "A5 AA AA 02 A9 AA A9 01");
}

/* An unknown alarm is 0 in a pair. Without any alarms neither form is sent. */
TEST(unknown_alarms)
{
    struct shown shown = us5000();
    uint8_t data[TABLE_MESSAGE_MAX];
    pack_clear_alarms(&shown.values);
    pack_alarm_at(&shown.values, CELL_IMBALANCE, ALARM_WARNING, false);
    expect_frame(table_of("victron"), &shown, 0x35A, "00 00 00 00 02 00 00 02");
    shown.values.alarms_known = 0;
    assert_int_equal(table_write(table_of("victron"), 0x35A, &shown, data), 0);
    assert_int_equal(table_write(table_of("pylon-1.2"), 0x359, &shown, data), 0);
}

/* A missing number suppresses its messages, or shortens them. All others are sent. */
TEST(unknown_numbers)
{
    struct shown shown = us5000();
    uint8_t data[TABLE_MESSAGE_MAX];
    const struct table *table = table_of("pylon-1.2");
    for (unsigned id = 0; id < SHOWN_NUMBERS; id++) {
        struct shown without = shown;
        if (!table_carries(table, id))
            continue;
        if (id < PACK_VALUES)
            pack_unset(&without.values, (enum pack_value) id);
        else
            shown_set(&without, id, (double) NAN);
        unsigned sent = 0;
        for (unsigned i = 0; i < table->message_count; i++)
            sent += table_write(table, table->messages[i].message, &without, data) > 0;
        assert_int_equal(sent, table->message_count - (id != DISCHARGE_VOLTAGE_LIMIT_V));
    }
    pack_unset(&shown.values, DISCHARGE_VOLTAGE_LIMIT_V);
    expect_frame(table, &shown, 0x351, "14 02 C0 12 C0 12");
}

/* Limits are rounded down, and capped at what a frame can represent. Measured values are not. */
TEST(rounding)
{
    struct shown shown = us5000();
    uint8_t data[TABLE_MESSAGE_MAX];
    set(&shown, CHARGE_VOLTAGE_LIMIT_V, 53.29);
    set(&shown, CHARGE_CURRENT_LIMIT_A, 99.99);
    set(&shown, DISCHARGE_CURRENT_LIMIT_A, 4000);
    expect_frame(table_of("pylon-1.2"), &shown, 0x351, "14 02 E7 03 FF 7F C2 01");
    set(&shown, CURRENT_A, -4000);
    assert_int_equal(table_write(table_of("pylon-1.2"), 0x356, &shown, data), 0);
}

TEST(stopping)
{
    struct shown shown = us5000();
    uint8_t data[TABLE_MESSAGE_MAX];
    const struct table *table = table_of("pylon-1.2");
    shown_stop(&shown, 480);
    expect_frame(table, &shown, 0x351, "14 02 00 00 C0 12 C2 01");
    expect_frame(table, &shown, 0x35C, "40 00");
    expect_frame(table, &shown, 0x35E, "50 59 4C 4F 4E 20 20 20");
    assert_int_equal(table_write(table, 0x355, &shown, data), 0);
    assert_int_equal(table_write(table, 0x356, &shown, data), 0);
    assert_int_equal(table_write(table, 0x359, &shown, data), 0);
    shown_stop(&shown, 0);
    expect_frame(table, &shown, 0x351, "14 02 00 00 00 00 C2 01");
    expect_frame(table, &shown, 0x35C, "00 00");
}

/* All of Victron's frames, computed by hand. */
TEST(victron)
{
    const struct table *table = table_of("victron");
    struct shown shown = us5000();
    set(&shown, SOC_PERCENT, 80.44);
    set(&shown, FULL_AH, 560);
    set(&shown, RATED_AH, 600);
    set(&shown, SHOWN_PACKS, 2);
    set(&shown, SHOWN_MISSING, 1);
    set(&shown, SHOWN_BLOCKING_CHARGE, 1);
    set(&shown, SHOWN_BLOCKING_DISCHARGE, 0);
    set(&shown, CELL_MIN_MV, 3300);
    set(&shown, CELL_MAX_MV, 3333);
    set(&shown, CELL_MIN_INDEX, 7);
    set(&shown, CELL_MAX_INDEX, 16);
    set(&shown, SHOWN_CELL_MIN_PACK, 2);
    set(&shown, SHOWN_CELL_MAX_PACK, 1);
    set(&shown, SHOWN_TEMP_MIN_C, -3);
    set(&shown, SHOWN_TEMP_MAX_C, 22);
    set(&shown, SHOWN_TEMP_MIN_PACK, 1);
    set(&shown, SHOWN_TEMP_MAX_PACK, 2);
    set(&shown, SHOWN_CHARGED_WH, 1234500);
    set(&shown, SHOWN_DISCHARGED_WH, 100);
    snprintf(shown.name, sizeof shown.name, "houseboat");
    expect_frame(table, &shown, 0x355, "50 00 5E 00 6C 1F");
    expect_frame(table, &shown, 0x35F, "00 00 00 00 30 02");
    expect_frame(table, &shown, 0x370, "68 6F 75 73 65 62 6F 61");
    expect_frame(table, &shown, 0x371, "74 00 00 00 00 00 00 00");
    expect_frame(table, &shown, 0x372, "02 00 01 00 00 00 01 00");
    expect_frame(table, &shown, 0x373, "E4 0C 05 0D 0E 01 27 01");
    expect_frame(table, &shown, 0x374, "50 32 20 43 37 00 00 00");
    expect_frame(table, &shown, 0x375, "50 31 20 43 31 36 00 00");
    expect_frame(table, &shown, 0x376, "50 31 00 00 00 00 00 00");
    expect_frame(table, &shown, 0x378, "39 30 00 00 01 00 00 00");
    expect_frame(table, &shown, 0x379, "58 02");
    shown.name[0] = '\0';
    expect_frame(table, &shown, 0x370, "");
}

static void expect_answer(const struct shown *shown, const char *request, const char *expected)
{
    struct bms_output out;
    char text[200];
    snprintf(text, sizeof text, "%s\r", request);
    assert_int_equal(
        pylon_system_answer(2, shown, (const uint8_t *) text, strlen(text), &out, &in_answer),
        strlen(text));
    snprintf(text, sizeof text, "%s%s", expected, expected[0] ? "\r" : "");
    if (out.size != strlen(text) || memcmp(out.bytes, text, out.size) != 0)
        fail_msg("%s: %.*s, expected %s", request, (int) out.size, (const char *) out.bytes, text);
}

/* As recorded, except the temperatures of the board, which packgate does not know. */
TEST(system_level)
{
    struct shown shown = new_shown();
    set(&shown, VOLTAGE_V, 49.855);
    set(&shown, CURRENT_A, 0);
    set(&shown, SOC_PERCENT, 85);
    set(&shown, CYCLES, 8);
    set(&shown, SOH_PERCENT, 100);
    set(&shown, CELL_MAX_MV, 3324);
    set(&shown, CELL_MIN_MV, 3323);
    set(&shown, TEMP_AVG_C, 25.6);
    set(&shown, SHOWN_TEMP_MAX_C, 25.7);
    set(&shown, SHOWN_TEMP_MIN_C, 25.4);
    set(&shown, MOS_TEMP_C, 25.3);
    set(&shown, SHOWN_MOS_TEMP_C, 25.3);
    set(&shown, SHOWN_CELL_MAX_PACK, 2);
    set(&shown, SHOWN_CELL_MIN_PACK, 2);
    set(&shown, SHOWN_TEMP_MAX_PACK, 2);
    set(&shown, SHOWN_TEMP_MIN_PACK, 2);
    struct bms_output out;
    const char *request = "~200246610000FDAB\r";
    const char *recorded = "~200246008062C2BF0000550008000864640CFC00020CFB00020BAB0BAC00020BA90002"
                           "0BA80BA800020BA800020BB00BB000020BB00002E8CC\r";
    assert_int_equal(pylon_system_answer(2, &shown, (const uint8_t *) request, strlen(request),
                                         &out, &in_answer),
                     18);
    assert_int_equal(out.size, strlen(recorded));
    assert_memory_equal(out.bytes, recorded, 13 + 2 * 33); /* up to the hottest MOS */
    struct shown read = new_shown();
    assert_true(pylon_system_read(2, 0x61, (const uint8_t *) recorded, strlen(recorded), &read));
    for (unsigned id = 0; id < SHOWN_NUMBERS; id++)
        if (!isnan(shown_number(&shown, id)) &&
            !(fabs(shown_number(&read, id) - shown_number(&shown, id)) < 1e-6))
            fail_msg("number %u: %g", id, shown_number(&read, id));
    pack_unset(&shown.values, SOH_PERCENT);
    expect_answer(&shown, "~200246610000FDAB", "");
}

/* Recorded from a battery of 8 cells: 28.8 V, 21.6 V, 160 A, 170 A; discharging is positive. */
TEST(system_limits)
{
    struct shown shown = new_shown();
    know_alarms(&shown);
    set(&shown, CHARGE_VOLTAGE_LIMIT_V, 28.8);
    set(&shown, DISCHARGE_VOLTAGE_LIMIT_V, 21.6);
    set(&shown, CHARGE_CURRENT_LIMIT_A, 160);
    set(&shown, DISCHARGE_CURRENT_LIMIT_A, 170);
    set(&shown, CHARGE_MOS, 1);
    set(&shown, DISCHARGE_MOS, 1);
    expect_answer(&shown, "~200246630000FDA9", "~20024600D01270805460064006A4C0F9E5");
    expect_answer(&shown, "~200246620000FDAA", "~20024600800800000000FC22");
    expect_answer(&shown, "~201246620000FDA9", ""); /* another group */
    shown_stop(&shown, 0);
    expect_answer(&shown, "~200246620000FDAA", "");
    struct bms_request request;
    struct bms_output out;
    struct shown read = new_shown();
    pylon_system_ask(2, 0x63, &request);
    pylon_system_answer(2, &shown, request.bytes, request.size, &out, &in_answer);
    assert_true(pylon_system_read(2, 0x63, out.bytes, out.size, &read));
    assert_values(&read.values, {CHARGE_CURRENT_LIMIT_A, 0}, {DISCHARGE_CURRENT_LIMIT_A, 0},
                  {CHARGE_VOLTAGE_LIMIT_V, 28.8}, {CHARGE_MOS, 0});
    pack_unset(&shown.values, DISCHARGE_VOLTAGE_LIMIT_V);
    expect_answer(&shown, "~200246630000FDA9", "");
}

/* As recorded from a program that reads batteries of this make. */
TEST(two_bytes_of_info)
{
    static const struct {
        const char *asked, *shorter;
    } cases[] = {
        {"~20024642C0040202FCD1\r", "~20024642E00202FD33\r"},
        {"~20024692C0040201FCCD\r", "~20024692E00202FD2E\r"},
        {"~20024651C0040000FCD5\r", "~200246510000FDAC\r"},
        {"~20024642E00202FD33\r", NULL},
        {"~200246610000FDAB\r", NULL},
        {"~20024600C0040202FCD7\r", NULL}, /* an answer */
        {"~20024642C0040202FCD1", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms_request request = {.size = 0};
        size_t size = strlen(cases[i].asked);
        size_t used = pylon_system_shorten((const uint8_t *) cases[i].asked, size, &request);
        assert_int_equal(used, cases[i].shorter ? size : 0);
        if (cases[i].shorter) {
            assert_int_equal(request.size, strlen(cases[i].shorter));
            assert_memory_equal(request.bytes, cases[i].shorter, request.size);
        }
    }
}

TEST(versions)
{
    struct shown shown = new_shown();
    expect_answer(&shown, "~2002464FC0048520FCB2", "~200246000000FDB2");
    expect_answer(&shown, "~20024696C0040202FCC8", "");
    snprintf(shown.values.text[FIRMWARE], TEXT_SIZE, "V2.3.0.6.5");
    expect_answer(&shown, "~20024696C0040202FCC8", "~20024600400C020203000605FB49");
}

/* Random batteries: each message decodes to the presented values. */
TEST(random)
{
    uint64_t seed = 1;
    for (int n = 0; n < 200; n++) {
        struct shown shown = new_shown();
        battery_random(&shown.values, &seed, 16, 4);
        pack_derive(&shown.values);
        for (int i = prng_range(&seed, 0, 5); i > 0; i--)
            pack_unset(&shown.values, (enum pack_value) prng_range(&seed, 0, SETTINGS_FIRST - 1));
        for (const struct table *table = can_tables; table->name; table++) {
            struct shown read = new_shown();
            uint8_t data[TABLE_MESSAGE_MAX];
            for (unsigned i = 0; i < table->message_count; i++) {
                unsigned id = table->messages[i].message,
                         size = table_write(table, id, &shown, data);
                if (size > 0)
                    assert_true(table_read(table, id, data, size, &read));
            }
            for (unsigned id = 0; id < SHOWN_NUMBERS; id++)
                if (!isnan(shown_number(&read, id)) &&
                    !(fabs(shown_number(&read, id) - shown_number(&shown, id)) <= 0.51))
                    fail_msg("%s, number %u: %g, expected %g", table->name, id,
                             shown_number(&read, id), shown_number(&shown, id));
        }
    }
}

/* Random bytes: nothing beyond a message is read or written. */
TEST(hostile_bytes)
{
    uint64_t seed = 11;
    struct shown shown = us5000(), read = new_shown();
    for (int n = 0; n < 5000; n++) {
        uint8_t bytes[64];
        struct bms_output out;
        struct bms_request request;
        const size_t size = (size_t) prng_range(&seed, 1, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] =
                (uint8_t) (n % 2 ? "~20246613\r"[prng_range(&seed, 0, 9)] : (int) prng_next(&seed));
        assert_true(pylon_system_answer(2, &shown, bytes, size, &out, &in_answer) <= size);
        assert_true(pylon_system_shorten(bytes, size, &request) <= size);
        pylon_system_read(2, 0x61, bytes, size, &read);
        for (const struct table *table = can_tables; table->name; table++)
            table_read(table, 0x350u + (unsigned) n % 48, bytes, (unsigned) size % 9, &read);
    }
}
