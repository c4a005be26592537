// SPDX-License-Identifier: MIT
/*
 * eg4-ll beyond its captures: the generation that counts in tenths,
 * sensors whose number is not reported, and devices that are no such pack.
 */
#include "modbus_test.h"

extern const struct bms_driver eg4_ll_driver;

enum { STEP_VALUES, STEP_IDENTITY };

/* Four cells of 3.3 V, 400 Ah, at 75 %. */
static void fill(uint16_t words[39])
{
    static const uint16_t fixed[39] = {
        1320, (uint16_t) -250, 3300,   3300,   3300,     3300, [18] = 25, [21] = 300, 200, 99,
        75,   [30] = 12,       0x55D4, 0xA800, [36] = 4, 4000};
    memcpy(words, fixed, sizeof fixed);
}

static enum bms_result take(struct bms *bms, const uint16_t words[39], struct pack *pack)
{
    pack_clear(pack);
    return take_registers(bms, STEP_VALUES, words, pack);
}

/* Section 3: once recognized, the generation is kept, even if the current numbers do not show it. */
TEST(tenths)
{
    struct bms bms = new_bms(&eg4_ll_driver);
    struct pack pack;
    uint16_t words[39];
    fill(words);
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -2.5}, {REMAINING_AH, 300}, {CHARGE_CURRENT_LIMIT_A, 200},
                  {FULL_AH, 400}, {RATED_AH, 400});
    words[22] = 499;
    words[21] = 480;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -2.5});
    words[21] = 481;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -25}, {REMAINING_AH, 48.1}, {CHARGE_CURRENT_LIMIT_A, 49.9});
    words[21] = 100;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 10});
    bms_init(&bms, &eg4_ll_driver);
    words[22] = 500;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 10}, {CHARGE_CURRENT_LIMIT_A, 50});
}

/* A state of charge of 0 is unknown if the pack is not empty; so is a capacity of 0. */
TEST(zeros)
{
    struct bms bms = new_bms(&eg4_ll_driver);
    struct pack pack;
    uint16_t words[39];
    fill(words);
    words[21] = 0;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, NAN});
    words[24] = 0;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 0});
    words[31] = words[32] = words[37] = 0;
    assert_int_equal(take(&bms, words, &pack), BMS_DONE);
    assert_values(&pack, {FULL_AH, NAN}, {RATED_AH, NAN});
}

TEST(sensors)
{
    static const struct {
        int8_t bytes[6];
        double expected[6];
    } cases[] = {
        {{20, 21, 22, 23, 0, 0}, {20, 21, 22, 23, NAN, NAN}},
        {{20, 0, 22, 0, 0, 0}, {20, 0, 22, NAN, NAN, NAN}},
        {{-3, -40, -41, -56, 100, 101}, {-3, -40, NAN, NAN, 100, NAN}},
        {{0, 14, -56, -56, -56, -56}, {0, 14, NAN, NAN, NAN, NAN}},
        {{0, 0, 0, 0, 0, 0}, {NAN, NAN, NAN, NAN, NAN, NAN}},
        {{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&eg4_ll_driver);
        struct pack pack;
        uint16_t words[39];
        fill(words);
        for (unsigned n = 0; n < 3; n++)
            words[33 + n] = (uint16_t) ((uint8_t) cases[i].bytes[2 * n] << 8 |
                                        (uint8_t) cases[i].bytes[2 * n + 1]);
        assert_int_equal(take(&bms, words, &pack), BMS_DONE);
        for (unsigned n = 0; n < 6; n++)
            if (isnan(cases[i].expected[n]))
                assert_values(&pack, {TEMP_C + n, NAN});
            else
                assert_values(&pack, {TEMP_C + n, cases[i].expected[n]});
    }
}

/* Section 6; a board with another map answers with no cells. */
TEST(not_a_pack)
{
    static const struct {
        unsigned at;
        uint16_t word;
    } cases[] = {{36, 0}, {36, 17}, {23, 101}, {24, 101}, {0, 1}, {0, 1100}, {0, 5300}};
    struct bms bms = new_bms(&eg4_ll_driver);
    struct pack pack;
    uint16_t words[39];
    for (size_t i = 0; i < COUNT(cases); i++) {
        fill(words);
        words[cases[i].at] = cases[i].word;
        assert_int_equal(take(&bms, words, &pack), BMS_INVALID);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
    fill(words);
    memset(words + 2, 0, 16 * sizeof *words);
    assert_int_equal(take(&bms, words, &pack), BMS_INVALID);
}

/* Other programs read 46 registers from packs of 12 V, which have other texts there. */
TEST(identity)
{
    struct bms bms = new_bms(&eg4_ll_driver);
    uint16_t words[46];
    struct bms_request request = request_of("10 03 00 69 00 2E 00 00");
    for (unsigned i = 0; i < COUNT(words); i++)
        words[i] = 0x4142;
    struct bytes reply = reply_of(&request, words);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "");
    memset(words, 0, sizeof words);
    assert_int_equal(take_registers(&bms, STEP_IDENTITY, words, &pack), BMS_DONE);
    assert_string_equal(pack.text[SERIAL], "");
}
