// SPDX-License-Identifier: MIT
/*
 * pace-modbus beyond its captures: both layouts and how they are
 * recognized, missing sensors, and devices that are no such pack.
 */
#include "modbus_test.h"

extern const struct bms_driver pace_modbus_driver;

enum { STEP_VALUES, STEP_LONG_VALUES, STEP_IDENTITY, STEP_LONG_IDENTITY };

static struct bms at_address(int address)
{
    struct bms bms = new_bms(&pace_modbus_driver);
    bms.options.address = address;
    return bms;
}

/* 16 cells of 3.3 V and four sensors, no alarms; or 20 cells and two sensors. */
static void fill_short(uint16_t words[37])
{
    static const uint16_t fixed[37] = {[1] = 5280, 50, 100, [11] = 0x0C00};
    memcpy(words, fixed, sizeof fixed);
    for (unsigned i = 15; i < 31; i++)
        words[i] = 3300;
    for (unsigned i = 31; i < 37; i++)
        words[i] = (uint16_t) (200 + i);
}

static void fill_long(uint16_t words[59])
{
    static const uint16_t fixed[59] = {[1] = 6600, 50,  100,           [15] = 20, [46] = 2,
                                       201,        202, [57] = 0xFFFF, 0xFFFF};
    memcpy(words, fixed, sizeof fixed);
    for (unsigned i = 16; i < 36; i++)
        words[i] = 3300;
}

TEST(requests)
{
    struct bms bms = at_address(1);
    uint16_t words[37];
    struct bms_request request = request_of_step(&bms, STEP_VALUES);
    assert_request(&request, "01 03 00 00 00 25 84 11");
    request = request_of_step(&bms, STEP_IDENTITY);
    assert_request(&request, "01 03 00 96 00 1E 25 EE");
    assert_false(bms.driver->build(&bms, STEP_LONG_VALUES, &request));
    assert_false(bms.driver->build(&bms, STEP_LONG_IDENTITY, &request));
    uint16_t many[59];
    fill_long(many);
    memcpy(words, many, sizeof words);
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_VALUES, words, &pack), BMS_DONE);
    request = request_of_step(&bms, STEP_LONG_VALUES);
    assert_request(&request, "01 03 00 00 00 3B 04 19");
    request = request_of_step(&bms, STEP_LONG_IDENTITY);
    assert_request(&request, "01 03 00 AA 00 23 24 33");
    assert_false(bms.driver->build(&bms, STEP_VALUES, &request));
    assert_false(bms.driver->build(&bms, STEP_IDENTITY, &request));
}

/* F830 means that the sensor is not fitted. */
TEST(sensors)
{
    struct bms bms = at_address(1);
    uint16_t words[37];
    fill_short(words);
    words[31] = 0xF830;
    words[32] = 0xFFE1;
    words[34] = 0xF830;
    words[35] = 0xF830;
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_VALUES, words, &pack), BMS_DONE);
    bms.driver->finish(&bms, &pack);
    assert_values(&pack, {TEMP_C, NAN}, {TEMP_C + 1, -3.1}, {TEMP_C + 2, 23.3}, {TEMP_C + 3, NAN},
                  {TEMP_COUNT, 3}, {MOS_TEMP_C, NAN});
    assert_int_equal(pack.implausible, 0);
}

TEST(long_layout)
{
    struct bms bms = at_address(1);
    struct pack first, pack;
    uint16_t words[59];
    fill_long(words);
    pack_clear(&first);
    assert_int_equal(take_registers(&bms, STEP_VALUES, words, &first), BMS_DONE);
    assert_values(&first, {CELL_COUNT, 20});
    pack_clear(&pack);
    words[57] = 0xFFD3;
    assert_int_equal(take_registers(&bms, STEP_LONG_VALUES, words, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV + 19, 3300}, {CELL_MV + 20, NAN}, {TEMP_COUNT, 2},
                  {TEMP_C + 1, 20.2}, {MOS_TEMP_C, -4.5});
    pack_merge(&first, &pack);
    bms.driver->finish(&bms, &first);
    assert_int_equal(first.raw_alarm_count, 3);
    /* A count that is too large is ignored. */
    words[46] = 11;
    pack_clear(&pack);
    assert_int_equal(take_registers(&bms, STEP_LONG_VALUES, words, &pack), BMS_DONE);
    assert_values(&pack, {TEMP_COUNT, NAN}, {TEMP_C + 10, NAN});
}

TEST(not_a_pack)
{
    static const struct {
        unsigned at;
        uint16_t word;
    } cases[] = {{15, 0},  {15, 31},  {15, 499}, {15, 5001},
                 {2, 101}, {3, 3300}, {1, 4000}, {1, 6000}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = at_address(1);
        uint16_t words[37];
        fill_short(words);
        words[cases[i].at] = cases[i].word;
        struct pack pack = cleared_pack();
        assert_int_equal(take_registers(&bms, STEP_VALUES, words, &pack), BMS_INVALID);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
}

/* The reply to a read by another master. */
static enum bms_result take_read(struct bms *bms, unsigned first, unsigned count,
                                 const uint16_t *words, struct pack *pack)
{
    struct bms_request request = {.size = 8, .bytes = {1, 3}};
    put_be16(request.bytes + 2, (uint16_t) first);
    put_be16(request.bytes + 4, (uint16_t) count);
    put_le16(request.bytes + 6, crc16_modbus(request.bytes, 6));
    struct bytes reply = reply_of(&request, words);
    return receive_frame(bms, &request, reply.bytes, reply.size, pack);
}

/* Another master reads in smaller pieces: what comes before register 15 is alike in both layouts. */
TEST(in_pieces)
{
    static const struct {
        unsigned first, count;
    } reads[] = {{0, 8}, {9, 4}, {15, 22}};
    struct bms bms = at_address(1);
    uint16_t words[37];
    fill_short(words);
    struct pack pack = cleared_pack();
    for (size_t i = 0; i < COUNT(reads); i++)
        assert_int_equal(
            take_read(&bms, reads[i].first, reads[i].count, words + reads[i].first, &pack),
            BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 52.8}, {SOC_PERCENT, 50}, {DISCHARGE_MOS, 1}, {CELL_MV, 3300},
                  {CELL_MV + 16, NAN}, {TEMP_C, 23.1}, {MOS_TEMP_C, 23.5});
    /* Which layout the registers behind that have is unknown. */
    bms = at_address(1);
    pack_clear(&pack);
    assert_int_equal(take_read(&bms, 16, 2, words + 16, &pack), BMS_INVALID);
}

/* 170 is the pack's serial number in the one layout and the firmware in the other. */
TEST(identity_in_pieces)
{
    uint16_t serial[10], words[37];
    for (unsigned i = 0; i < COUNT(serial); i++)
        serial[i] = 'P' << 8 | 'K';
    fill_short(words);
    struct bms bms = at_address(1);
    struct pack pack = cleared_pack();
    assert_int_equal(take_read(&bms, 170, 10, serial, &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "");
    assert_int_equal(take_read(&bms, 0, 37, words, &pack), BMS_DONE);
    assert_int_equal(take_read(&bms, 170, 10, serial, &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "");
    assert_int_equal(take_read(&bms, 150, 10, serial, &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "PKPKPKPKPKPKPKPKPKPK");
}

/* A known pack may lose the wire of a cell. */
TEST(broken_wire)
{
    struct bms bms = at_address(1);
    uint16_t words[37];
    fill_short(words);
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_VALUES, words, &pack), BMS_DONE);
    words[15] = 0;
    pack_clear(&pack);
    assert_int_equal(take_registers(&bms, STEP_VALUES, words, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV, 0}, {CELL_MV + 1, 3300});
}
