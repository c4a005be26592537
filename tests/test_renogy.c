// SPDX-License-Identifier: MIT
/*
 * renogy beyond its captures: switches that are
 * not reported, the Pro series, partial replies, and devices that are no such pack.
 */
#include "modbus_test.h"

extern const struct bms_driver renogy_driver;

enum { STEP_CELLS, STEP_CHARGE, STEP_ALARMS, STEP_LIMITS };

/* 5104 and 5105: pairs of bits, 1 low, 2 high. */
TEST(other_alarms)
{
    static const struct {
        uint32_t bits;
        int alarm; /* -1: none */
    } cases[] = {
        {0x80000000, MOS_OVER_TEMPERATURE},
        {0x40000000, -1},
        {0x20000000, -1},
        {0x08000000, -1},
        {0x02000000, -1},
        {0x00800000, -1},
        {0x00200000, CHARGE_OVER_CURRENT},
        {0x00100000, CHARGE_OVER_CURRENT},
        {0x00080000, DISCHARGE_OVER_CURRENT},
        {0x00040000, DISCHARGE_OVER_CURRENT},
        {0x00020000, -1},
        {0x00000001, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&renogy_driver);
        uint16_t words[28] = {(uint16_t) (cases[i].bits >> 16), (uint16_t) cases[i].bits, 6};
        struct pack pack = cleared_pack();
        assert_int_equal(take_registers(&bms, STEP_ALARMS, words, &pack), BMS_DONE);
        if (cases[i].alarm < 0)
            assert_int_equal(pack.alarms_warning | pack.alarms_protection, 0);
        else
            assert_only_alarm(&pack, (enum pack_alarm) cases[i].alarm, ALARM_WARNING);
    }
}

TEST(charge)
{
    uint16_t words[7] = {0xFFF4, 136, 1, 0x7BB0, 1, 0x86A0, 15};
    for (int variant = 0; variant < 2; variant++) {
        struct bms bms = new_bms(&renogy_driver);
        bms.options.variant = variant;
        struct pack pack = cleared_pack();
        assert_int_equal(take_registers(&bms, STEP_CHARGE, words, &pack), BMS_DONE);
        assert_values(&pack, {CURRENT_A, variant ? -1.2 : -0.12}, {VOLTAGE_V, 13.6},
                      {REMAINING_AH, 97.2}, {SOC_PERCENT, 97.2}, {CYCLES, 15});
    }
    struct bms bms = new_bms(&renogy_driver);
    words[2] = 2; /* more than the maximum: full */
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_CHARGE, words, &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, 100});
    words[4] = words[5] = 0;
    pack_clear(&pack);
    assert_int_equal(take_registers(&bms, STEP_CHARGE, words, &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, NAN});
}

/* Read from a 12 V pack of 100 Ah, register by register: 14.8 V, 10.0 V, 50 A, -100 A. */
TEST(limits)
{
    static const uint16_t words[4] = {148, 100, 5000, 55536}, nothing[4] = {0};
    for (int variant = 0; variant < 2; variant++) {
        struct bms bms = new_bms(&renogy_driver);
        bms.options.variant = variant;
        struct pack pack = cleared_pack();
        assert_int_equal(take_registers(&bms, STEP_LIMITS, words, &pack), BMS_DONE);
        assert_values(&pack, {CHARGE_VOLTAGE_LIMIT_V, 14.8}, {DISCHARGE_VOLTAGE_LIMIT_V, 10});
        if (variant == 0) {
            assert_values(&pack, {CHARGE_CURRENT_LIMIT_A, 50}, {DISCHARGE_CURRENT_LIMIT_A, 100});
        } else {
            assert_values(&pack, {CHARGE_CURRENT_LIMIT_A, NAN}, {DISCHARGE_CURRENT_LIMIT_A, NAN});
        }
    }
    struct bms bms = new_bms(&renogy_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_LIMITS, nothing, &pack), BMS_DONE);
    assert_values(&pack, {CHARGE_VOLTAGE_LIMIT_V, NAN}, {CHARGE_CURRENT_LIMIT_A, NAN});
}

/* Another program reads without the cycles. */
TEST(six_registers)
{
    static const uint16_t words[6] = {0, 524, 0, 49842, 0, 50000};
    struct bms bms = new_bms(&renogy_driver);
    struct bms_request request = request_of("30 03 13 B2 00 06 00 00");
    struct bytes reply = reply_of(&request, words);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 52.4}, {REMAINING_AH, 49.842}, {CYCLES, NAN});
}

/* Sensors that another master reads without their number. Those that are not fitted read 0. */
TEST(sensors_alone)
{
    static const uint16_t words[4] = {215, 0, 198, 0};
    struct bms bms = new_bms(&renogy_driver);
    struct bms_request request = request_of("30 03 13 9A 00 04 00 00");
    struct bytes reply = reply_of(&request, words);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
    assert_values(&pack, {TEMP_C, 21.5}, {TEMP_C + 1, 0}, {TEMP_C + 2, 19.8}, {TEMP_C + 3, NAN});
}

TEST(not_a_pack)
{
    static const struct {
        unsigned at;
        uint16_t word;
        enum bms_result expected;
    } cases[] = {
        {1, 34, BMS_DONE},    {1, 0, BMS_DONE},      {0, 0, BMS_INVALID}, {0, 17, BMS_INVALID},
        {2, 51, BMS_INVALID}, {17, 17, BMS_INVALID}, {17, 16, BMS_DONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&renogy_driver);
        uint16_t words[34] = {4, 33, 33, 33, 33};
        words[17] = 2;
        words[cases[i].at] = cases[i].word;
        struct pack pack = cleared_pack();
        assert_int_equal(take_registers(&bms, STEP_CELLS, words, &pack), cases[i].expected);
        assert_int_equal(pack_known(&pack, CELL_MV + 1), cases[i].expected == BMS_DONE);
        assert_values(&pack, {CELL_MV + 4, NAN});
    }
    static const uint16_t nothing[34] = {4};
    struct bms bms = new_bms(&renogy_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_CELLS, nothing, &pack), BMS_INVALID);
}
