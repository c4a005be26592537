// SPDX-License-Identifier: MIT
/*
 * jk-balancer beyond its captures: inconsistent replies,
 * lost wires, unknown values, and requests that the emulated board ignores.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

extern const struct bms_driver jk_balancer_driver;

#define READ "55 AA 01 FF 00 00 FF"
#define SIZE 74

/* Eight cells of 3300 mV, one of them 3310 mV. */
static void make_answer(uint8_t d[SIZE])
{
    memset(d, 0, SIZE);
    d[0] = 0xEB;
    d[1] = 0x90;
    d[2] = 1;
    d[3] = 0xFF;
    put_be16(d + 4, 2641);
    put_be16(d + 6, 3301);
    d[8] = d[22] = 8;
    d[9] = 2;
    put_be16(d + 13, 10);
    put_be16(d + 17, 5);
    d[21] = 1;
    for (unsigned i = 0; i < 8; i++)
        put_be16(d + 23 + 2 * i, i == 2 ? 3310 : 3300);
}

static enum bms_result take(struct bms *bms, uint8_t d[SIZE], struct pack *pack)
{
    const struct bms_request request = request_of(READ);
    d[SIZE - 1] = (uint8_t) sum_bytes(d, SIZE - 1);
    pack_clear(pack);
    return receive_frame(bms, &request, d, SIZE, pack);
}

/* Charging a cell, discharging one, both; the switch; nothing that a balancer does not report. */
TEST(states)
{
    for (unsigned balances = 0; balances < 4; balances++) {
        struct bms bms = new_bms(&jk_balancer_driver);
        struct pack pack;
        uint8_t d[SIZE];
        make_answer(d);
        d[11] = (uint8_t) balances;
        d[21] = balances & 1;
        put_be16(d + 71, 163);
        assert_int_equal(take(&bms, d, &pack), BMS_DONE);
        assert_values(&pack, {BALANCING, balances > 0}, {SET_BALANCER, balances & 1},
                      {SET_BALANCE_DIFFERENCE_MV, 5}, {VOLTAGE_V, 26.41}, {CELL_MV + 2, 3310});
        static const enum pack_value unknown[] = {CURRENT_A,  SOC_PERCENT, REMAINING_AH, CHARGE_MOS,
                                                  MOS_TEMP_C, TEMP_C,      CELL_MV + 8};
        for (unsigned i = 0; i < COUNT(unknown); i++)
            assert_values(&pack, {unknown[i], NAN});
    }
}

/* Each has a correct sum. */
TEST(does_not_add_up)
{
    static const struct {
        unsigned at;
        uint16_t word;
    } cases[] = {
        {4, 2500},        /* the voltage */
        {4, 0},           /* none */
        {6, 3350},        /* the mean */
        {13, 200},        /* the difference */
        {23 + 4, 3400},   /* a cell, and not the difference */
        {23 + 4, 3200},   /* lower */
        {23 + 14, 0xFFFF} /* no cell */
    };
    static const struct {
        unsigned at;
        uint8_t byte;
    } single[] = {{8, 7}, {8, 9}, {8, 0}, {8, 1}, {8, 25}, {8, 255}, {21, 2}, {11, 4}};
    for (unsigned i = 0; i < COUNT(cases) + COUNT(single); i++) {
        struct bms bms = new_bms(&jk_balancer_driver);
        struct pack pack;
        uint8_t d[SIZE];
        make_answer(d);
        if (i < COUNT(cases))
            put_be16(d + cases[i].at, cases[i].word);
        else
            d[single[i - COUNT(cases)].at] = single[i - COUNT(cases)].byte;
        if (take(&bms, d, &pack) != BMS_INVALID)
            fail_msg("case %u is believed", i);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
}

/* A lost wire makes mean and difference unknown, whatever the board reports. */
TEST(lost_wire)
{
    struct bms bms = new_bms(&jk_balancer_driver);
    struct pack pack;
    uint8_t d[SIZE];
    make_answer(d);
    put_be16(d + 23 + 2 * 5, 0);
    put_be16(d + 13, 3310);
    d[12] = 2;
    assert_int_equal(take(&bms, d, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV + 5, 0});
    assert_true(pack_alarm_active(&pack, VOLTAGE_SENSOR_FAULT));
}

TEST(foreign)
{
    struct bms bms = new_bms(&jk_balancer_driver);
    struct pack pack;
    uint8_t d[SIZE];
    make_answer(d);
    d[2] = 2;
    assert_int_equal(take(&bms, d, &pack), BMS_FOREIGN);
    make_answer(d);
    d[3] = 0xF2;
    assert_int_equal(take(&bms, d, &pack), BMS_FOREIGN);
    make_answer(d);
    d[SIZE - 1] = (uint8_t) sum_bytes(d, SIZE - 1);
    const struct bms_request other = request_of("55 AA 01 F2 00 0A FC");
    assert_int_equal(receive_frame(&bms, &other, d, SIZE, &pack), BMS_FOREIGN);
}

/* A truncated frame before a whole one, and an echo before both. */
TEST(behind_a_cut_one)
{
    const struct bms_request request = request_of(READ);
    for (size_t cut = 1; cut < SIZE; cut++) {
        struct bms bms = new_bms(&jk_balancer_driver);
        uint8_t d[7 + 2 * SIZE];
        memcpy(d, request.bytes, 7);
        make_answer(d + 7);
        make_answer(d + 7 + cut);
        put_be16(d + 7 + cut + 4, 2643);
        d[7 + cut + SIZE - 1] = (uint8_t) sum_bytes(d + 7 + cut, SIZE - 1);
        struct pack pack = cleared_pack();
        assert_int_equal(receive_all(&bms, &request, d, 7 + cut + SIZE, &pack), BMS_DONE);
        assert_values(&pack, {VOLTAGE_V, 26.43});
    }
}
