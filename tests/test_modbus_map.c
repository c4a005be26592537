// SPDX-License-Identifier: MIT
/*
 * Maps of BMS without a driver: the example in conf/ compared with the driver of the same BMS, each
 * kind of row, and the message for each kind of mistake.
 */
#include "driver_test.h"

#include "config/load.h"
#include "config/modbus_map.h"
#include "commands/exchange.h"
#include "answers.h"
#include "packs/polling.h"
#include "lines/reply.h"

#include "bms/battery.h"
#include "bms/bytes.h"
#include "bms/checksum.h"

#include <stdio.h>

#define EXAMPLE "conf/modbus-map-example.txt"

extern const struct bms_driver eg4_ll_driver;

static struct modbus_user *load_example(void)
{
    struct mistakes mistakes = {0};
    struct modbus_user *map = modbus_map_load(EXAMPLE, 1, &mistakes);
    mistakes_print(&mistakes, "test", stderr);
    mistakes_free(&mistakes);
    assert_non_null(map);
    return map;
}

/* One poll cycle of a driver against an emulated EG4. */
static void poll_board(const struct bms_driver *driver, const struct modbus_user *map,
                       struct pack *told, struct pack *read)
{
    static struct reply reply;
    struct bms board = new_bms(&eg4_ll_driver);
    struct line_config line = {.name = "line"};
    struct pack_config config = {.line = &line,
                                 .driver = driver,
                                 .options = {.address = 3, .adr = -1, .map = map},
                                 .poll_s = 1,
                                 .stale_after_s = 10};
    struct poller *poller = poller_new(&config);
    struct bms_request request;
    bool published = false;
    assert_non_null(poller);
    board.options.address = 3;
    while (next_request(poller, 0, &request, &published)) {
        struct bms_output out;
        bms_emulate(&board, told, request.bytes, request.size, &out);
        reply_clear(&reply);
        reply_append(&reply, out.bytes, out.size);
        assert_int_equal(reply_decode(&reply, &poller->bms, &request, true, &poller->incoming),
                         REPLY_DONE);
        answer_request(poller, 0);
    }
    assert_true(published);
    *read = poller->values;
    poller_free(poller);
}

TEST(example)
{
    struct modbus_user *map = load_example();
    struct battery battery;
    struct battery_settings settings = {.cells = 16,
                                        .temps = 4,
                                        .capacity_ah = 100,
                                        .soc_percent = 55,
                                        .ambient_c = 20,
                                        .profile = BATTERY_DISCHARGE};
    struct pack told, by_driver, by_map;
    battery_init(&battery, &settings);
    battery_step(&battery, 100, &told);
    pack_alarm(&told, CELL_OVER_VOLTAGE, ALARM_PROTECTION);
    poll_board(&eg4_ll_driver, NULL, &told, &by_driver);
    poll_board(&modbus_user_driver, map, &told, &by_map);
    char name[VALUE_NAME_SIZE];
    for (int id = 0; id < PACK_VALUES; id++) {
        double a = by_driver.value[id], b = by_map.value[id];
        bool sensor = id == TEMP_COUNT || id == TEMP_AVG_C || id >= TEMP_C + 4;
        if (!sensor && !(fabs(a - b) < 1e-6) && !(isnan(a) && isnan(b)))
            fail_msg("%s: %g by the driver, %g by the map",
                     pack_value_name((enum pack_value) id, name), a, b);
    }
    for (int i = 0; i < PACK_TEXTS; i++)
        assert_string_equal(by_map.text[i], by_driver.text[i]);
    assert_true(by_map.alarms_protection >> CELL_OVER_VOLTAGE & 1);
    assert_int_equal(by_map.raw_alarm_count, 4);
    assert_memory_equal(by_map.raw_alarms, by_driver.raw_alarms, sizeof by_map.raw_alarms);
    free(map);
}

/* A register of each type, through a map of one row. */
TEST(rows)
{
    static const struct {
        const char *row;
        uint16_t words[4];
        int id;
        double expected; /* NaN: unknown */
    } cases[] = {
        {"voltage_v 0 u16 scale 0.01", {5325}, VOLTAGE_V, 53.25},
        {"voltage_v = 0x0, u16, scale 0.01", {5325}, VOLTAGE_V, 53.25},
        {"current_a 0 s16 scale 0.1", {0xFFFB}, CURRENT_A, -0.5},
        {"current_a 0 s16 scale -0.1", {0xFFFB}, CURRENT_A, 0.5},
        {"current_a 0 u16 offset -30000 scale 0.1", {29995}, CURRENT_A, -0.5},
        {"mos_temp_c 0 u16 offset -2731 scale 0.1", {2946}, MOS_TEMP_C, 21.5},
        {"remaining_ah 0 u32 scale 0.001", {1, 0x86A0}, REMAINING_AH, 100},
        {"remaining_ah 0 u32low scale 0.001", {0x86A0, 1}, REMAINING_AH, 100},
        {"power_w 0 s32", {0xFFFF, 0xFFFE}, POWER_W, -2},
        {"power_w 0 s32low", {0xFFFE, 0xFFFF}, POWER_W, -2},
        {"soc_percent 0 f32", {0x42B4, 0x8000}, SOC_PERCENT, 90.25},
        {"soc_percent 0 f32low", {0x8000, 0x42B4}, SOC_PERCENT, 90.25},
        {"soc_percent 0 f32", {0x7FC0, 0}, SOC_PERCENT, NAN},
        {"temp_c.2 0 s8 count 2", {0x15F6}, TEMP_C + 2, -10},
        {"charge_mos 0 bit 3", {8}, CHARGE_MOS, 1},
        {"charge_mos 0 bit 3", {0xFFF7}, CHARGE_MOS, 0},
        {"soc_percent 0 u16", {101}, SOC_PERCENT, NAN},
        {"soc_percent 0 u16 max 90", {91}, SOC_PERCENT, NAN},
        {"soc_percent 0 u16 min 1", {0}, SOC_PERCENT, NAN},
        {"soc_percent 0 u16 min 1 max 90", {90}, SOC_PERCENT, 90},
        {"cell_mv 1 u16 count 3 counted 1", {3300, 2, 3301, 3302}, CELL_MV + 1, 3301},
        {"cell_mv 1 u16 count 3 counted 1", {3300, 2, 3301, 3302}, CELL_MV + 2, NAN},
        {"cell_mv.17 0 u16 count 4", {3300, 0, 3301, 0}, CELL_MV + 17, 0},
        {"cell_mv.17 0 u16 count 4", {3300, 0, 3301, 0}, CELL_MV + 19, NAN},
        {"cell_mv.17 0 u16 count 4", {0, 0, 0, 0}, CELL_MV + 16, NAN},
        {"cell_mv.17 0 u16", {0}, CELL_MV + 16, 0}, /* one cell is no run */
        {"cell_mv.1 0 u16", {0}, CELL_MV, 0},
        {"temp_c.1 0 u16 count 4", {20, 0, 0, 0}, TEMP_C + 3, 0},
        {"balancing 0 u16", {7}, BALANCING, 1},
        {"soc_percent 0 u16 mask 0x00FF", {0x1264}, SOC_PERCENT, 100},
        {"soc_percent 0 u16 mask 0xFF00", {0x6412}, SOC_PERCENT, 100},
        {"soc_percent 0 u16 mask 0x0FF0", {0xA326}, SOC_PERCENT, 50},
        {"mos_temp_c 0 s16 mask 0x00FF", {0x12F6}, MOS_TEMP_C, -10},
        {"mos_temp_c 0 s16 mask 0x00FF", {0xFF0A}, MOS_TEMP_C, 10},
        {"mos_temp_c 0 s16 mask 0x8000", {0x8000}, MOS_TEMP_C, -1},
        {"charge_mos 0 bit 3 is 0", {8}, CHARGE_MOS, 0},
        {"charge_mos 0 bit 3 is 0", {0xFFF7}, CHARGE_MOS, 1},
        {"charge_mos 0 u16 is 3", {3}, CHARGE_MOS, 1},
        {"charge_mos 0 u16 is 3", {7}, CHARGE_MOS, 0},
        {"charge_mos 0 u16 mask 0xF0 is 3", {0x1234}, CHARGE_MOS, 1},
        {"charge_mos 0 u16 is 3 min 2 max 5", {3}, CHARGE_MOS, 1},
        {"charge_mos 0 u16 is 3 min 2 max 5", {2}, CHARGE_MOS, 0},
        {"charge_mos 0 u16 is 3 min 2 max 5", {0xFFFF}, CHARGE_MOS, NAN},
        {"charge_mos 0 s16 is 0xFFFE", {0xFFFE}, CHARGE_MOS, 1},
        {"cell_mv 0 u16 count 2 stride 2", {3300, 1, 3301, 2}, CELL_MV + 1, 3301},
        {"cell_mv 0 u16 count 2 stride 3", {3300, 1, 2, 3302}, CELL_MV + 1, 3302},
        {"voltage_v 0 u16 swapped scale 0.01", {0xCD14}, VOLTAGE_V, 53.25},
        {"remaining_ah 0 u32 swapped scale 0.001", {0x0100, 0xA086}, REMAINING_AH, 100},
        {"temp_c.1 0 s8 count 2 swapped", {0x15F6}, TEMP_C, -10},
        {"balance_mask 0 u48", {0x8000, 0, 3}, BALANCE_MASK, 140737488355331.0},
        {"balance_mask 0 u48low", {3, 0, 0x8000}, BALANCE_MASK, 140737488355331.0},
        {"current_a 0 u16 scale 0.01 negative 1 2", {804, 2}, CURRENT_A, -8.04},
        {"current_a 0 u16 scale 0.01 negative 1 2", {804, 3}, CURRENT_A, 8.04},
        {"current_a 0 u16 scale 0.01 negative 1 bit 15", {804, 0x8000}, CURRENT_A, -8.04},
        {"current_a 0 u16 scale 0.01 negative 1 bit 15", {804, 0x7FFF}, CURRENT_A, 8.04},
        /* The board that swaps the bytes of a value swaps those of the registers beside it. */
        {"cell_mv 0 u16 swapped count 3 counted 3",
         {0xE40C, 0xE40C, 0xE40C, 0x0200},
         CELL_MV + 1,
         3300},
        {"cell_mv 0 u16 swapped count 3 counted 3",
         {0xE40C, 0xE40C, 0xE40C, 0x0200},
         CELL_MV + 2,
         NAN},
        {"current_a 0 u16 scale 0.01 swapped negative 1 bit 0", {0x2403, 0x0100}, CURRENT_A, -8.04},
        {"full_ah 0 u16 swapped exponent 3", {0x1C00, 0, 0, 0x0100}, FULL_AH, 280},
        {"voltage_v 0 u16 exponent 3", {532, 0, 0, 0xFFFF}, VOLTAGE_V, 53.2},
        {"voltage_v 0 u16 exponent 3", {53, 0, 0, 0}, VOLTAGE_V, 53},
        {"full_ah 0 u16 exponent 3", {28, 0, 0, 1}, FULL_AH, 280},
        {"voltage_v 0 u16 exponent 3", {53, 0, 0, 0x8000}, VOLTAGE_V, NAN}, /* SunSpec: none */
        {"voltage_v 0 u16 exponent 3", {53, 0, 0, 11}, VOLTAGE_V, NAN},
        {"voltage_v +0 u16 scale +1e-2", {5325}, VOLTAGE_V, 53.25},
        {"voltage_v 0 u16 scale 1 scale .01 min 0x10", {5325}, VOLTAGE_V, 53.25},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        struct mistakes mistakes = {0};
        snprintf(text, sizeof text, "read holding 0 4 # all of it\n\n%s ; one\n", cases[i].row);
        struct modbus_user *map = modbus_map_parse(text, "map", 1, &mistakes);
        mistakes_print(&mistakes, cases[i].row, stderr);
        assert_non_null(map);
        struct bms bms = new_bms(&modbus_user_driver);
        bms.options.map = map;
        struct bms_request request;
        struct bytes answer = {.bytes = {1, 3, 8}, .size = 13};
        for (unsigned n = 0; n < 4; n++)
            put_be16(answer.bytes + 3 + 2 * n, cases[i].words[n]);
        put_le16(answer.bytes + 11, crc16_modbus(answer.bytes, 11));
        struct pack pack = cleared_pack();
        assert_true(bms.driver->build(&bms, 0, &request));
        assert_bytes(request.bytes, 6, "01 03 00 00 00 04");
        assert_false(bms.driver->build(&bms, 1, &request));
        request = request_of("01 03 00 00 00 04 00 00");
        assert_int_equal(receive_frame(&bms, &request, answer.bytes, answer.size, &pack), BMS_DONE);
        if (isnan(cases[i].expected))
            assert_values(&pack, {cases[i].id, NAN});
        else if (!(fabs(pack.value[cases[i].id] - cases[i].expected) < 1e-9))
            fail_msg("%s: %g", cases[i].row, pack.value[cases[i].id]);
        free(map);
    }
}

/* Four registers that answer the only read of a map. */
static int answer_words(const char *text, const uint16_t words[4], struct pack *pack)
{
    struct mistakes mistakes = {0};
    struct modbus_user *map = modbus_map_parse(text, "map", 1, &mistakes);
    mistakes_print(&mistakes, text, stderr);
    assert_non_null(map);
    struct bms bms = new_bms(&modbus_user_driver);
    bms.options.map = map;
    struct bms_request request;
    struct bytes answer = {.bytes = {1, 3, 8}, .size = 13};
    for (unsigned n = 0; n < 4; n++)
        put_be16(answer.bytes + 3 + 2 * n, words[n]);
    put_le16(answer.bytes + 11, crc16_modbus(answer.bytes, 11));
    pack_clear(pack);
    unsigned step = 0;
    while (map->reads[step].function == MODBUS_WRITE_MANY)
        step++;
    assert_true(bms.driver->build(&bms, step, &request));
    int result = receive_all(&bms, &request, answer.bytes, answer.size, pack);
    free(map);
    return result;
}

TEST(texts)
{
    static const struct {
        const char *row;
        uint16_t words[4];
        const char *expected;
    } cases[] = {
        {"serial 0 text 2", {0x4142, 0x4344}, "ABCD"},
        {"serial 0 text 2 swapped", {0x4241, 0x4443}, "ABCD"},
        {"serial 0 u16", {1234}, "1234"},
        {"serial 0 u32", {0x0001, 0x86A0}, "100000"},
        {"serial 0 u48", {0x0123, 0x4567, 0x89AB}, "1250999896491"},
        {"serial 0 u16 count 4", {5, 4810, 0, 7}, "5481007"},
        {"serial 0 u16 count 2 stride 2", {48, 1, 52, 1}, "4852"},
        {"firmware 0 u16 scale 0.01", {112}, "1.12"},
        {"firmware 0 u16 mask 0xFF", {0x1270}, "112"},
        {"serial 0 u16 min 1", {0}, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack pack;
        char text[100];
        snprintf(text, sizeof text, "read holding 0 4\n%s\n", cases[i].row);
        assert_int_equal(answer_words(text, cases[i].words, &pack), BMS_DONE);
        if (strcmp(pack.text[cases[i].row[0] == 's' ? SERIAL : FIRMWARE], cases[i].expected) != 0)
            fail_msg("%s: '%s', '%s'", cases[i].row, pack.text[SERIAL], pack.text[FIRMWARE]);
    }
}

TEST(alarms)
{
    static const struct {
        const char *row;
        uint16_t word;
        bool active;
    } cases[] = {
        {"bit 3", 8, true},
        {"bit 3", 0xFFF7, false},
        {"bit 3 is 0", 0xFFF7, true},
        {"bit 3 is 0", 8, false},
        {"u16", 0, false},
        {"u16", 0x8000, true},
        {"u16 is 3", 3, true},
        {"u16 is 3", 7, false},
        {"u16 is 0", 0, true},
        {"u16 mask 0x0300 is 2", 0xFEFF, true},
        {"u16 mask 0x0300 is 2", 0xFFFF, false},
        {"u16 mask 0x0F00", 0xF0FF, false},
        {"u16 mask 0x0F00", 0x0100, true},
        {"s16 min 60", 60, true},
        {"s16 min 60", 59, false},
        {"s16 max -10", 0xFFF5, true},
        {"u16 max 10", 0, true},
        {"u16 max 10", 10, true},
        {"u16 max 10", 11, false},
        {"s16 min -5 max 5", 0, true},
        {"u16 min 1 max 10", 0, false},
        {"u16 is 3 max 10", 0, false},
        {"u16 is 3 min 2", 3, true},
        {"u16 swapped is 3", 0x0300, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack pack;
        char text[100];
        snprintf(text, sizeof text,
                 "read holding 0 4\nvoltage_v 1 u16\nalarm soc_low 0 %s warning\n", cases[i].row);
        assert_int_equal(answer_words(text, (const uint16_t[]){cases[i].word, 53, 0, 0}, &pack),
                         BMS_DONE);
        assert_true(pack.alarms_known >> SOC_LOW & 1);
        if ((pack.alarms_warning >> SOC_LOW & 1) != cases[i].active)
            fail_msg("%s of %04x", cases[i].row, cases[i].word);
    }
}

/* What an emulated board sends is the alarm that it has, and none otherwise, also where 0 would be one. */
TEST(alarms_of_a_board)
{
    static const char *const rows[] = {"bit 3",
                                       "bit 3 is 0",
                                       "u16",
                                       "u16 is 3",
                                       "u16 is 0",
                                       "s16 min 60",
                                       "s16 max -10",
                                       "u16 max 10",
                                       "s16 max 10",
                                       "s16 min -5 max 5",
                                       "u16 min 5.5",
                                       "u16 max 9.5",
                                       "u16 min 1 max 10",
                                       "s16 min -5",
                                       "u16 min 5 max 5",
                                       "u16 is 3 max 10",
                                       "u16 mask 0x0F00 max 3",
                                       "u16 swapped max 10"};
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        const char *row = rows[i / 2];
        const bool active = i % 2;
        struct mistakes mistakes = {0};
        char text[100];
        snprintf(text, sizeof text,
                 "read holding 0 4\nvoltage_v 1 u16\nalarm soc_low 0 %s warning\n", row);
        struct modbus_user *map = modbus_map_parse(text, "map", 1, &mistakes);
        mistakes_print(&mistakes, text, stderr);
        assert_non_null(map);
        struct bms host = new_bms(&modbus_user_driver), board;
        struct bms_request request;
        struct bms_output out;
        struct pack told, read;
        host.options.map = map;
        host.options.address = 3;
        board = host;
        pack_clear(&told);
        pack_clear(&read);
        pack_alarm_at(&told, SOC_LOW, ALARM_WARNING, active);
        assert_true(host.driver->build(&host, MODBUS_USER_READS, &request) ||
                    host.driver->build(&host, 0, &request));
        assert_int_equal(bms_emulate(&board, &told, request.bytes, request.size, &out),
                         request.size);
        assert_int_equal(receive_all(&host, &request, out.bytes, out.size, &read), BMS_DONE);
        if ((read.alarms_warning >> SOC_LOW & 1) != active)
            fail_msg("%s: %d is read as %d", row, active, !active);
        free(map);
    }
}

/* A limit of a value's own register leaves the value of a board alone. */
TEST(board_with_limit_of_value)
{
    struct mistakes mistakes = {0};
    struct modbus_user *map = modbus_map_parse(
        "read holding 0 4\nsoc_percent 0 u16\nalarm soc_low 0 u16 max 10 warning\n", "map", 1,
        &mistakes);
    assert_non_null(map);
    struct bms host = new_bms(&modbus_user_driver), board;
    struct bms_request request;
    struct bms_output out;
    struct pack told, pack;
    host.options.map = map;
    board = host;
    assert_true(host.driver->build(&host, 0, &request));
    pack_clear(&told);
    for (int percent = 0; percent <= 100; percent++) {
        pack_clear(&pack);
        pack_clear_alarms(&told);
        pack_set(&told, SOC_PERCENT, percent);
        pack_alarm_at(&told, SOC_LOW, ALARM_WARNING, percent <= 10);
        bms_emulate(&board, &told, request.bytes, request.size, &out);
        assert_int_equal(receive_all(&host, &request, out.bytes, out.size, &pack), BMS_DONE);
        assert_values(&pack, {SOC_PERCENT, percent});
        assert_int_equal(pack_alarm_active(&pack, SOC_LOW), percent <= 10);
    }
    free(map);
}

/* Such a board swaps the registers beside its values as well. */
TEST(board_with_swapped_bytes)
{
    struct mistakes mistakes = {0};
    struct modbus_user *map =
        modbus_map_parse("read holding 0 6\ncell_mv 0 u16 swapped count 3 counted 3\n"
                         "current_a 4 u16 swapped scale 0.01 negative 5 bit 0\n",
                         "map", 1, &mistakes);
    assert_non_null(map);
    struct bms host = new_bms(&modbus_user_driver), board;
    struct bms_request request;
    struct bms_output out;
    struct pack told, pack;
    host.options.map = map;
    board = host;
    assert_true(host.driver->build(&host, 0, &request));
    pack_clear(&told);
    pack_clear(&pack);
    pack_set(&told, CELL_COUNT, 2);
    pack_set_cell(&told, 1, 3300);
    pack_set_cell(&told, 2, 3301);
    pack_set(&told, CURRENT_A, -8.04);
    bms_emulate(&board, &told, request.bytes, request.size, &out);
    assert_bytes(out.bytes, 15, "01 03 0C E4 0C E5 0C 00 00 02 00 24 03 01 00");
    assert_int_equal(receive_all(&host, &request, out.bytes, out.size, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV + 1, 3301}, {CELL_MV + 2, NAN}, {CURRENT_A, -8.04});
    free(map);
}

/* The BMS's own alarm words need no row of an alarm beside them. */
TEST(raw)
{
    const uint16_t words[4] = {53, 7, 0x8000, 9};
    struct pack pack;
    assert_int_equal(answer_words("read holding 0 4\nvoltage_v 0 u16\nraw 1 2\n", words, &pack),
                     BMS_DONE);
    assert_int_equal(pack.raw_alarm_count, 2);
    assert_int_equal(pack.raw_alarms[0], 7);
    assert_int_equal(pack.raw_alarms[1], 0x8000);
}

/* If an expected register has another value, the reply is rejected: the device was not ready. */
TEST(expected)
{
    static const char text[] =
        "write 0x550 1 0x8100\nread holding 0 4\nexpect 1 0x8801\nvoltage_v 0 u16\n";
    struct pack pack;
    assert_int_equal(answer_words(text, (const uint16_t[]){53, 0x8801, 0, 0}, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53});
    assert_int_equal(answer_words(text, (const uint16_t[]){53, 0x8800, 0, 0}, &pack), BMS_INVALID);
    assert_values(&pack, {VOLTAGE_V, NAN});
}

TEST(write)
{
    struct mistakes mistakes = {0};
    struct modbus_user *map = modbus_map_parse(
        "head 0xA5 0x5A\nwrite 0x550 1 0x8100\nread holding 0 4\nvoltage_v 0 u16\n", "map", 1,
        &mistakes);
    assert_non_null(map);
    struct bms bms = new_bms(&modbus_user_driver);
    bms.options.map = map;
    struct bms_request request;
    struct bms_output out;
    struct pack pack, told;
    pack_clear(&pack);
    pack_clear(&told);
    assert_true(bms.driver->build(&bms, 0, &request));
    assert_bytes(request.bytes, 13, "A5 5A 01 10 05 50 00 02 04 00 01 81 00");
    assert_int_equal(request.size, 15);
    for (size_t size = 1; size < request.size; size++)
        assert_int_equal(bms_emulate(&bms, &told, request.bytes, size, &out), 0);
    assert_int_equal(bms_emulate(&bms, &told, request.bytes, request.size, &out), 15);
    assert_bytes(out.bytes, 8, "A5 5A 01 10 05 50 00 02");
    assert_int_equal(receive_all(&bms, &request, request.bytes, request.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_all(&bms, &request, out.bytes, out.size, &pack), BMS_DONE);
    out.bytes[5]++; /* another register */
    put_le16(out.bytes + 8, crc16_modbus(out.bytes + 2, 6));
    assert_int_equal(receive_all(&bms, &request, out.bytes, out.size, &pack), NOTHING);
    free(map);
}

TEST(mistakes)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "no 'read' row"},
        {"read holding 0 4\n", "no values"},
        {"read holding 0 4 slow\nvoltage_v 0 u16\n", "no 'read' row"},
        {"read holding 0 4\nvoltage_v 0 u16 \033[2J\n",
         "map m:2: control character 0x1B; expected plain text"},
        {"read holdings 0 4\n", "map m:1: 'kind of register' of 'read' is 'holdings'; expected "
                                "coils, discrete, holding or "
                                "input; did you mean 'holding'?"},
        {"read holding 70000 4\n",
         "'register' of 'read' is '70000'; expected a whole number from 0 to 65535"},
        {"read holding 0 126\n", "expected a whole number from 1 to 125"},
        {"read holding 65535 2\n", "go beyond 65535"},
        {"read holding 0 4 quick\n", "'quick' is no option of a read; expected slow"},
        {"read holding 0 4\nvoltage 0 u16\n", "map m:2: 'voltage' is no value"},
        {"read holding 0 4\nvoltage_w 0 u16\n", "did you mean 'voltage_v'?"},
        {"read holding 0 4\nvoltage_v x u16\n", "'register' of 'voltage_v' is 'x'"},
        {"read holding 0 4\nvoltage_v 0 u17\n", "'type' of 'voltage_v' is 'u17'; expected u16"},
        {"read holding 0 4\nvoltage_v 0\n", "'type' of 'voltage_v' is ''"},
        {"read holding 0 4\nvoltage_v 0 u16 scale\n",
         "'scale' of 'voltage_v' is ''; expected a number"},
        {"read holding 0 4\nvoltage_v 0 u16 scale 0\n",
         "'scale' is 0; expected another number, such as 0.01 (with a point)"},
        {"read holding 0 4\nvoltage_v 0 u16 scale nan\n",
         "'scale' of 'voltage_v' is 'nan'; expected a number"},
        {"read holding 0 4\nvoltage_v 0 u16 times 2\n",
         "'times' is no option of a value; expected min, max"},
        {"read holding 0 4\nvoltage_v 0 u16 count 2\n", "expected a whole number from 1 to 1"},
        {"read holding 0 4\ncell_mv 0 u16 count 49\n", "expected a whole number from 1 to 48"},
        {"read holding 0 4\ncell_mv.40 0 u16 count 10\n", "expected a whole number from 1 to 9"},
        {"read holding 0 4\ncell_mv 0 u16 count 5\n",
         "cell_mv.1: register 0 or one of those behind"},
        {"read holding 0 4\nvoltage_v 4 u16\n", "voltage_v: register 4 is in no 'read'"},
        {"read holding 0 4\nvoltage_v 3 u32\n", "is in no 'read'"},
        {"read holding 0 4\ncell_mv 0 u16 count 4 counted 9\n", "register 9 is in no 'read'"},
        {"read holding 0 4\ncharge_mos 0 coil\n", "register 0 is in no 'read'"},
        {"read coils 0 4\nvoltage_v 0 u16\n", "register 0 is in no 'read'"},
        {"read holding 0 4\ncharge_mos 0 bit 16\n", "'bit' of 'charge_mos' is '16'"},
        {"read holding 0 4\ncharge_mos 0 bit 1 scale 2\n", "no meaning for a bit"},
        {"read holding 0 4\nserial 0 bit 1\n", "'serial' is text"},
        {"read holding 0 4\ncharge_mos 0 bit 1 is 2\n", "expected a whole number from 0 to 1"},
        {"read holding 0 4\nvoltage_v 0 u32 mask 0xFF\n", "'mask' has no meaning for this type"},
        {"read holding 0 4\nvoltage_v 0 u16 mask 0\n",
         "'mask' of 'voltage_v' is '0'; expected a whole number from 1 to 65535"},
        {"read holding 0 4\ncell_mv 0 u32 count 2 stride 1\n", "from 2 to 255"},
        {"read holding 0 4\ncell_mv 0 u16 count 3 stride 2\n", "cell_mv.1: register 0 or one of"},
        {"read holding 0 4\nread holding 8 1\ncurrent_a 0 u16 negative 8 1\n",
         "current_a: register 8 is not in the same 'read'"},
        {"read holding 0 4\nread holding 8 1 slow\ntemp_c 0 u16 count 4 counted 8\n",
         "temp_c.1: register 8 is not in the same 'read'"},
        {"read holding 0 4\ncharge_mos 0 u16 mask 0x0300 is 0x0100\n",
         "'is' of 'charge_mos' is 256, which 'mask' cannot give; expected 0 to 3"},
        {"read holding 0 4\nalarm soc_low 0 u16 is 4 mask 0x0300 warning\n",
         "'is' of 'soc_low' is 4, which 'mask' cannot give; expected 0 to 3"},
        {"read holding 0 4\ncurrent_a 0 u16 negative 9 bit 1\n", "register 9 is in no 'read'"},
        {"read holding 0 4\ncurrent_a 0 u16 negative 1 bit 16\n", "'bit' of 'current_a' is '16'"},
        {"read holding 0 4\ncurrent_a 0 u16 exponent 4\n", "register 4 is in no 'read'"},
        {"read holding 0 4\nbalance_mask 2 u48\n", "register 2 or one of those behind it"},
        {"read holding 0 4\nvoltage_v 0 u16\nexpect 4 1\n", "expect: register 4"},
        {"read holding 0 4\nexpect 0\n", "'value' of 'expect' is ''"},
        {"read holding 0 4\nexpect 0 1 2\n", "'2' is too much"},
        {"write 0 1\n", "no 'read' row"},
        {"write 0\n", "'value' of 'write' is ''"},
        {"write 0 1 2 3 4 5 6 7 8 9\n", "more than 8 values"},
        {"write 0 65536\n", "'value' of 'write' is '65536'"},
        {"head\n", "'byte' of 'head' is ''"},
        {"head 1\nhead 2\n", "map m:2: more than 1 'head'"},
        {"head 256\n", "'byte' of 'head' is '256'"},
        {"read holding 0 4\nalarm soc_low 0 u32 warning\n", "an alarm is in one register"},
        {"read holding 0 4\nalarm soc_low 0 u16 is 3\n",
         "'soc_low' has no level; expected 'warning' or 'protection'"},
        {"read holding 0 4\nalarm soc_low 0 u16 scale 3 warning\n",
         "'scale' is no option of an alarm; expected warning, protection, min, max, mask, is or "
         "swapped"},
        {"read holding 0 4\nvoltage_v 0 text 2\n", "'voltage_v' is a number"},
        {"read holding 0 4\nvoltage_v 0 u16 min 3 max 2\n", "'min' of 'voltage_v' is above 'max'"},
        {"read holding 0 4\nalarm soc_lo 0 bit 1 warning\n", "did you mean 'soc_low'?"},
        {"read holding 0 4\nalarm soc_low 0 bit 1 loud\n", "'loud' is no option of an alarm"},
        {"read holding 0 4\nalarm soc_low 0 bit 1 warning x\n", "'x' is no option of an alarm"},
        {"read holding 0 4\nvoltage_v 0 u16\nalarm soc_low 4 bit 1 warning\n",
         "soc_low: register 4"},
        {"read holding 0 4\nvoltage_v 0 u16\nraw 2 3\n", "raw: register 2"},
        {"read holding 0 4\nraw 0 17\n", "expected a whole number from 1 to 16"},
        {"read holding 0 4\nread input 3 4\nvoltage_v 0 u16\n", "two reads overlap at 3"},
        {"read holding 0 4\nvoltage_v 0 u16\nvoltage_v 1 u16\n",
         "map m:3: 'voltage_v' has a row already"},
        {"read holding 0 4\ncell_mv 0 u16 count 3\ncell_mv.3 3 u16\n",
         "map m:3: 'cell_mv.3' has a row already"},
        {"read holding 0 4\nserial 0 text 2\nserial 2 text 2\n",
         "map m:3: 'serial' has a row already"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mistakes mistakes = {0};
        assert_null(modbus_map_parse(cases[i].text, "m", 7, &mistakes));
        assert_true(mistakes.count > 0);
        assert_int_equal(mistakes.list[0].line, 7);
        if (!strstr(mistakes.list[0].text, cases[i].said))
            fail_msg("'%s': %s", cases[i].text, mistakes.list[0].text);
        mistakes_free(&mistakes);
    }
}

/* Random bytes: no crash, and either a map or a mistake. */
TEST(limits)
{
    static char text[20000];
    struct mistakes mistakes = {0};
    size_t at = 0;
    for (int i = 0; i < 9; i++)
        at += (size_t) sprintf(text + at, "read holding %d 4\n", 10 * i);
    assert_null(modbus_map_parse(text, "m", 1, &mistakes));
    at = (size_t) sprintf(text, "read holding 0 4\n");
    for (int i = 0; i < 200; i++)
        at += (size_t) sprintf(text + at, "voltage_v 0 u16\n");
    assert_null(modbus_map_parse(text, "m", 1, &mistakes));
    at = (size_t) sprintf(text, "read holding 0 4\nvoltage_v 0 u16\n");
    for (int i = 0; i < 200; i++)
        at += (size_t) sprintf(text + at, "alarm soc_low 0 bit 1 warning\n");
    assert_null(modbus_map_parse(text, "m", 1, &mistakes));
    memset(text, 'a', 1000);
    text[1000] = '\0';
    assert_null(modbus_map_parse(text, "m", 1, &mistakes));
    for (size_t i = 0; i < 600; i += 2)
        text[i] = ' ';
    text[200] = '\0';
    assert_null(modbus_map_parse(text, "m", 1, &mistakes));
    mistakes_free(&mistakes);
}

static const char *const maps[] = {"vatrer",     "lipower",       "buknuwo", "saihang",
                                   "huawei-esm", "felicity-lpbf", "byd-lvs"};

static struct exchange *load_exchange(const char *name)
{
    static char text[1 << 16];
    char path[100], error[200] = "";
    snprintf(path, sizeof path, "tests/maps/%s.exch", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    /* The parser accepts only listed drivers. */
    char *protocol = strstr(text, "protocol modbus");
    assert_non_null(protocol);
    memcpy(protocol, "protocol eg4-ll", strlen("protocol eg4-ll"));
    struct exchange *exchange = exchange_parse(text, size, error, sizeof error);
    if (!exchange)
        fail_msg("%s: %s", path, error);
    exchange->driver = &modbus_user_driver;
    return exchange;
}

static struct modbus_user *load_map(const char *name)
{
    char path[100];
    struct mistakes mistakes = {0};
    snprintf(path, sizeof path, "conf/maps/%s.txt", name);
    struct modbus_user *map = modbus_map_load(path, 1, &mistakes);
    mistakes_print(&mistakes, name, stderr);
    assert_non_null(map);
    return map;
}

static void replay(const struct exchange *exchange, const struct modbus_user *map,
                   struct pack *pack)
{
    struct bms bms = new_bms(&modbus_user_driver);
    struct reply_counters counters;
    bms.options.map = map;
    exchange_replay(exchange, &bms, pack, &counters);
}

/* NaN: unknown, or a text. */
static double number_of(const struct pack *pack, const char *name)
{
    char full[VALUE_NAME_SIZE];
    for (int id = 0; id < PACK_VALUES; id++)
        if (strcmp(pack_value_name((enum pack_value) id, full), name) == 0)
            return pack->value[id];
    for (int id = 0; id < PACK_ALARM_COUNT; id++) {
        snprintf(full, sizeof full, "alarm.%s", pack_alarm_name((enum pack_alarm) id));
        if (strcmp(full, name) == 0 && (pack->alarms_known >> id & 1))
            return pack_alarm_active(pack, (enum pack_alarm) id);
    }
    return NAN;
}

static bool is_text(const struct exchange_item *item)
{
    return strcmp(item->name, "serial") == 0;
}

static bool meets(const struct pack *pack, const struct exchange_item *item)
{
    if (is_text(item))
        return strcmp(pack->text[SERIAL], item->value) == 0;
    const double number = number_of(pack, item->name), expected = strtod(item->value, NULL);
    return isnan(expected) ? isnan(number) : fabs(number - expected) <= item->tolerance + 1e-9;
}

static void assert_met(const char *name, const char *how, const struct exchange *exchange,
                       const struct pack *pack)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->items[i].kind == EXCHANGE_VALUE && !meets(pack, &exchange->items[i]))
            fail_msg("%s, %s: %s is %g", name, how, exchange->items[i].name,
                     number_of(pack, exchange->items[i].name));
}

/* In a damaged exchange each value is unknown or as before. Counts, extremes and sums of the cells depend on several
 * replies. */
static void assert_not_wrong(const char *name, const struct exchange *exchange,
                             const struct pack *pack)
{
    for (size_t i = 0; i < exchange->count; i++) {
        const struct exchange_item *item = &exchange->items[i];
        if (item->kind != EXCHANGE_VALUE || strstr(item->name, "_count") ||
            strstr(item->name, "delta") || meets(pack, item))
            continue;
        if (is_text(item) ? pack->text[SERIAL][0] != '\0' : !isnan(number_of(pack, item->name)))
            fail_msg("%s: %s is %g", name, item->name, number_of(pack, item->name));
    }
}

/* The exchange with `bytes` before the reply at `at`, which is cut to `size`. */
static void replay_with(const struct exchange *exchange, size_t at,
                        const struct exchange_item *front, size_t size,
                        const struct modbus_user *map, struct pack *pack)
{
    struct exchange_item items[40];
    struct exchange changed = {.driver = exchange->driver, .items = items};
    assert_true(exchange->count < COUNT(items));
    for (size_t i = 0; i < exchange->count; i++) {
        if (i == at && front) {
            items[changed.count] = *front;
            items[changed.count++].kind = EXCHANGE_REPLY;
        }
        items[changed.count] = exchange->items[i];
        if (i == at)
            items[changed.count].size = size;
        changed.count++;
    }
    replay(&changed, map, pack);
}

TEST(maps)
{
    for (size_t n = 0; n < COUNT(maps); n++) {
        struct exchange *exchange = load_exchange(maps[n]);
        struct modbus_user *map = load_map(maps[n]);
        struct pack pack;
        uint8_t noise[] = {0x00, 0xFF, 0x7E, 0x01, 0x03, 0xA5, 0x02};
        const struct exchange_item noisy = {.bytes = noise, .size = sizeof noise};
        replay(exchange, map, &pack);
        assert_met(maps[n], "whole", exchange, &pack);
        for (size_t i = 0; i < exchange->count; i++) {
            struct exchange_item *item = &exchange->items[i];
            if (item->kind != EXCHANGE_REPLY)
                continue;
            replay_with(exchange, i, &noisy, item->size, map, &pack);
            assert_met(maps[n], "after noise", exchange, &pack);
            replay_with(exchange, i, &exchange->items[i - 1], item->size, map, &pack);
            assert_met(maps[n], "after its echo", exchange, &pack);
            if (i >= 3 && exchange->items[i - 2].size != item->size) {
                replay_with(exchange, i, &exchange->items[i - 2], item->size, map, &pack);
                assert_met(maps[n], "after a late reply", exchange, &pack);
            }
            for (size_t size = 0; size < item->size; size++) {
                replay_with(exchange, i, NULL, size, map, &pack);
                assert_not_wrong(maps[n], exchange, &pack);
            }
            for (size_t bit = 0; bit < 8 * item->size; bit++) {
                item->bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
                replay(exchange, map, &pack);
                assert_not_wrong(maps[n], exchange, &pack);
                item->bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
            }
        }
        exchange_free(exchange);
        free(map);
    }
}

/* The alarm words of Huawei, from 0x46 on. In the recording none is active. */
TEST(huawei_alarms)
{
    static const struct {
        unsigned word, bit;
        enum pack_alarm alarm;
        int level;
    } bits[] = {
        {0, 1, VOLTAGE_SENSOR_FAULT, ALARM_PROTECTION},
        {0, 2, TEMP_SENSOR_FAULT, ALARM_PROTECTION},
        {1, 15, HARDWARE_FAULT, ALARM_PROTECTION},
        {2, 0, CHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION},
        {2, 3, DISCHARGE_OVER_TEMPERATURE, ALARM_PROTECTION},
        {2, 5, CELL_OVER_VOLTAGE, ALARM_PROTECTION},
        {2, 6, PACK_UNDER_VOLTAGE, ALARM_PROTECTION},
        {2, 10, SHORT_CIRCUIT, ALARM_PROTECTION},
        {3, 1, CHARGE_OVER_TEMPERATURE, ALARM_WARNING},
        {3, 7, CELL_UNDER_VOLTAGE, ALARM_WARNING},
        {4, 4, DISCHARGE_OVER_CURRENT, ALARM_WARNING},
        {4, 11, CHARGE_OVER_CURRENT, ALARM_PROTECTION},
    };
    struct exchange *exchange = load_exchange("huawei-esm");
    struct modbus_user *map = load_map("huawei-esm");
    struct exchange_item *reply = &exchange->items[3];
    for (size_t i = 0; i < COUNT(bits); i++) {
        uint8_t *word = reply->bytes + 3 + 2 * bits[i].word;
        struct pack pack;
        put_be16(word, 1u << bits[i].bit);
        put_le16(reply->bytes + reply->size - 2, crc16_modbus(reply->bytes, reply->size - 2));
        replay(exchange, map, &pack);
        uint32_t only = 1u << bits[i].alarm;
        assert_int_equal(pack.alarms_protection, bits[i].level == ALARM_PROTECTION ? only : 0);
        assert_int_equal(pack.alarms_warning, bits[i].level == ALARM_WARNING ? only : 0);
        put_be16(word, 0);
    }
    exchange_free(exchange);
    free(map);
}

/* The values that an emulated board sends are decoded by the map, and its requests are those of the exchange. */
TEST(boards_by_maps)
{
    for (size_t n = 0; n < COUNT(maps); n++) {
        struct exchange *exchange = load_exchange(maps[n]);
        struct modbus_user *map = load_map(maps[n]);
        struct bms host = new_bms(&modbus_user_driver), board = host;
        struct pack told, pack;
        size_t known = 0, asked = 0;
        replay(exchange, map, &told);
        const struct exchange_item *first = &exchange->items[0];
        host.options.map = board.options.map = map;
        host.options.address = board.options.address = first->bytes[map->head_size];
        pack_clear(&pack);
        for (unsigned step = 0; step < 2 * MODBUS_USER_READS; step++) {
            struct bms_request request;
            struct bms_output out;
            if (!host.driver->build(&host, step, &request))
                continue;
            for (size_t i = 0; i < exchange->count; i++) {
                const struct exchange_item *item = &exchange->items[i];
                if (item->kind == EXCHANGE_REQUEST && item->size == request.size &&
                    memcmp(item->bytes, request.bytes, request.size) == 0) {
                    asked++;
                    break;
                }
            }
            assert_int_equal(bms_emulate(&board, &told, request.bytes, request.size, &out),
                             request.size);
            assert_int_equal(receive_all(&host, &request, out.bytes, out.size, &pack), BMS_DONE);
            known++;
        }
        assert_int_equal(asked, known);
        host.driver->finish(&host, &pack);
        pack_derive(&pack);
        assert_met(maps[n], "by its own board", exchange, &pack);
        exchange_free(exchange);
        free(map);
    }
}

static struct config *configure(void)
{
    struct config *config =
        config_parse("[line l]\nport = tcp://127.0.0.1:1\n[pack p]\nline = l\nunit = 1\n"
                     "protocol = modbus " EXAMPLE "\n",
                     "test", stderr);
    assert_non_null(config);
    return config;
}

/* The map is freed with its configuration, even if a reply in doubt restores values: the request in flight was built
 * before the reload. */
TEST(reload)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    const struct line_events events = {0};
    struct config *config = configure(), *renewed = configure();
    struct polling *polling = polling_new(NULL, loop, config, NULL, &events, NULL);
    assert_non_null(polling);
    struct poller *poller = polling->pollers[0];
    struct bms_request request;
    bool published;
    assert_true(next_request(poller, 0, &request, &published));
    polling = polling_new(polling, loop, renewed, NULL, &events, NULL);
    assert_ptr_equal(polling->pollers[0], poller);
    config_free(config);
    poller->steps[0].answers = true;
    refuse_request(poller, 0); /* in doubt */
    assert_ptr_equal(poller->bms.options.map, renewed->packs[0].options.map);
    assert_true(next_request(poller, 0, &request, &published));
    polling_free(polling);
    config_free(renewed);
    ev_loop_destroy(loop);
}

#define PACK "[line l]\nport = tcp://h:1\n[pack p]\nline = l\nunit = 1\n"

TEST(configuration)
{
    static const struct {
        const char *text, *said; /* NULL: valid */
    } cases[] = {
        {PACK "protocol = modbus " EXAMPLE "\n", NULL},
        {PACK "address = 0\nprotocol = modbus " EXAMPLE "\n", NULL},
        {PACK "protocol = modbus\n", "f:3: [pack p] has protocol 'modbus' without a map"},
        {PACK "protocol = modbus /nowhere\n", "f:6: map /nowhere: cannot be read"},
        {PACK "protocol = modbus /dev/zero\n",
         "f:6: map /dev/zero: cannot be read: it is not a regular file"},
        {PACK "protocol = modbus conf/demo.ini\n", "map conf/demo.ini:"},
        {"[line l]\nport = tcp://h:1\nprotocol = modbus " EXAMPLE
         "\n[pack p]\nline = l\nunit = 1\n",
         NULL},
        {PACK "protocol = daly\nmap = " EXAMPLE "\n", "'map' is for protocol 'modbus' only"},
        {PACK "writable = yes\nprotocol = modbus " EXAMPLE "\n", "no documented way"},
        {"[line l]\nport = sim:\n[pack p]\nline = l\nunit = 1\nprotocol = modbus " EXAMPLE "\n",
         NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&messages, &size);
        struct config *config = config_parse(cases[i].text, "f", out);
        fclose(out);
        if ((config != NULL) != (cases[i].said == NULL) ||
            (cases[i].said && !strstr(messages, cases[i].said)))
            fail_msg("case %zu: %s", i, messages);
        if (config)
            assert_ptr_equal(config->packs[0].options.map, config->packs[0].map.rows);
        config_free(config);
        free(messages);
    }
}

/* As an editor on Windows writes it. */
TEST(windows)
{
    struct mistakes mistakes = {0};
    struct modbus_user *map =
        modbus_map_parse("\xEF\xBB\xBFread holding 0 4\r\nvoltage_v\t0 u16\r\n", "m", 1, &mistakes);
    assert_non_null(map);
    assert_int_equal(map->value_count, 1);
    free(map);
}
