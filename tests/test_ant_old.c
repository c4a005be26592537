// SPDX-License-Identifier: MIT
/*
 * ant-old beyond its captures: both forms of the request, the reasons why a switch is off one by
 * one, sensors that are not fitted, orders and how they are confirmed, and passwords.
 */
#include "modbus_test.h"

extern const struct bms_driver ant_old_driver;

#define REQUEST "5A 5A 00 00 01 01"

/* Four cells, both switches on. */
static struct bytes make_status(uint8_t charge, uint8_t discharge)
{
    struct bytes out = {.bytes = {0xAA, 0x55, 0xAA, 0xFF}, .size = 140};
    uint8_t *b = out.bytes;
    put_be16(b + 4, 132);
    for (unsigned n = 0; n < 4; n++)
        put_be16(b + 6 + 2 * n, 3300);
    b[103] = charge;
    b[104] = discharge;
    b[123] = 4;
    put_be16(b + 138, sum_bytes(b + 4, 134));
    return out;
}

static void close_frame(struct bytes *frame)
{
    put_be16(frame->bytes + 138, sum_bytes(frame->bytes + 4, 134));
}

static enum bms_result take(const struct bytes *frame, struct pack *pack)
{
    struct bms bms = new_bms(&ant_old_driver);
    struct bms_request request = request_of(REQUEST);
    pack_clear(pack);
    return receive_frame(&bms, &request, frame->bytes, frame->size, pack);
}

/* The form of the document is tried when the other one stays unanswered; the form that was answered is kept. */
TEST(requests)
{
    struct bms bms = new_bms(&ant_old_driver);
    struct bms_request request = request_of_step(&bms, 0);
    assert_request(&request, REQUEST);
    request = request_of_step(&bms, 0);
    assert_request(&request, "5A 5A 00 00 00 00");
    request = request_of_step(&bms, 0);
    assert_request(&request, REQUEST);
    request = request_of_step(&bms, 0);
    struct bytes frame = make_status(1, 1);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, frame.bytes, frame.size, &pack), BMS_DONE);
    for (int i = 0; i < 5; i++) {
        request = request_of_step(&bms, 0);
        assert_request(&request, "5A 5A 00 00 00 00");
    }
}

/* Section 3, repeated independently. */
TEST(reasons)
{
    enum { NONE = PACK_ALARM_COUNT };
    // clang-format off
    static const uint8_t charge[] = {
        /*  0 */ NONE, NONE, CELL_OVER_VOLTAGE, CHARGE_OVER_CURRENT,
        /*  4 */ NONE, PACK_OVER_VOLTAGE, CHARGE_OVER_TEMPERATURE, MOS_OVER_TEMPERATURE,
        /*  8 */ NONE, VOLTAGE_SENSOR_FAULT, MOS_OVER_TEMPERATURE, NONE,
        /* 12 */ CHARGE_MOS_FAULT, DISCHARGE_MOS_FAULT, NONE, NONE,
        /* 16 */ NONE,
    };
    static const uint8_t discharge[] = {
        /*  0 */ NONE, NONE, CELL_UNDER_VOLTAGE, DISCHARGE_OVER_CURRENT,
        /*  4 */ DISCHARGE_OVER_CURRENT, PACK_UNDER_VOLTAGE, DISCHARGE_OVER_TEMPERATURE, MOS_OVER_TEMPERATURE,
        /*  8 */ NONE, VOLTAGE_SENSOR_FAULT, MOS_OVER_TEMPERATURE, NONE,
        /* 12 */ SHORT_CIRCUIT, DISCHARGE_MOS_FAULT, DISCHARGE_MOS_FAULT, NONE,
        /* 16 */ NONE,
    };
    // clang-format on
    for (unsigned code = 0; code < COUNT(charge); code++)
        for (unsigned which = 0; which < 2; which++) {
            struct pack pack;
            struct bytes frame =
                make_status(which ? 1 : (uint8_t) code, which ? (uint8_t) code : 1);
            unsigned alarm = which ? discharge[code] : charge[code];
            assert_int_equal(take(&frame, &pack), BMS_DONE);
            assert_values(&pack, {which ? DISCHARGE_MOS : CHARGE_MOS, code == 1},
                          {which ? CHARGE_MOS : DISCHARGE_MOS, 1});
            if (alarm == NONE)
                assert_int_equal(pack.alarms_protection, 0);
            else
                assert_only_alarm(&pack, (enum pack_alarm) alarm, ALARM_PROTECTION);
            assert_int_equal(pack.raw_alarm_count, 2);
            assert_int_equal(pack.raw_alarms[0], which ? 0x100 | code : code << 8 | 1);
        }
}

TEST(values)
{
    struct pack pack;
    struct bytes frame = make_status(1, 1);
    put_be32(frame.bytes + 70, (uint32_t) -107);
    put_be16(frame.bytes + 91, 0xFFD8);
    put_be16(frame.bytes + 95, 0xFFD8);
    put_be16(frame.bytes + 99, 0xFFFB);
    put_be16(frame.bytes + 101, 0xFFD8);
    close_frame(&frame);
    assert_int_equal(take(&frame, &pack), BMS_DONE);
    /* The power is left at 0 although current flows. */
    assert_values(&pack, {CURRENT_A, 10.7}, {POWER_W, NAN}, {MOS_TEMP_C, NAN}, {TEMP_C, NAN},
                  {TEMP_C + 1, 0}, {TEMP_C + 2, -5}, {TEMP_C + 3, NAN}, {TEMP_COUNT, 3},
                  {FULL_AH, NAN});
    pack_derive(&pack);
    assert_values(&pack, {POWER_W, 13.2 * 10.7});
    for (unsigned cells = 0; cells < 256; cells++) {
        frame.bytes[123] = (uint8_t) cells;
        close_frame(&frame);
        assert_int_equal(take(&frame, &pack), cells >= 1 && cells <= 32 ? BMS_DONE : BMS_INVALID);
    }
}

/* Section 4. The status request after an order shows its effect. */
TEST(orders)
{
    static const struct {
        enum bms_switch which;
        bool on;
        const char *request;
        uint8_t done[2], not_yet[2];
    } cases[] = {
        {BMS_DISCHARGE_MOS,
         false,
         "A5 A5 F9 00 00 F9 A5 A5 FF 00 00 FF " REQUEST,
         {1, 15},
         {15, 1}},
        {BMS_DISCHARGE_MOS, true, "A5 A5 F9 00 01 FA A5 A5 FF 00 00 FF " REQUEST, {15, 1}, {1, 2}},
        {BMS_CHARGE_MOS, false, "A5 A5 FA 00 00 FA A5 A5 FF 00 00 FF " REQUEST, {15, 1}, {1, 15}},
        {BMS_CHARGE_MOS, true, "A5 A5 FA 00 01 FB A5 A5 FF 00 00 FF " REQUEST, {1, 15}, {4, 1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&ant_old_driver);
        struct bms_request request;
        assert_true(bms.driver->control(&bms, cases[i].which, cases[i].on, &request));
        assert_request(&request, cases[i].request);
        struct bytes not_yet = make_status(cases[i].not_yet[0], cases[i].not_yet[1]);
        struct bytes done = make_status(cases[i].done[0], cases[i].done[1]);
        struct pack pack = cleared_pack();
        /* its own echo comes in three frames */
        assert_int_equal(receive_all(&bms, &request, request.bytes, request.size, &pack),
                         BMS_FOREIGN);
        assert_int_equal(receive_all(&bms, &request, not_yet.bytes, not_yet.size, &pack),
                         BMS_FOREIGN);
        assert_values(&pack, {VOLTAGE_V, NAN});
        assert_int_equal(receive_all(&bms, &request, done.bytes, done.size, &pack), BMS_DONE);
    }
}

/* Without the apply frame nothing is switched. */
TEST(board)
{
    struct bms board = new_bms(&ant_old_driver);
    struct bms_output out;
    struct bytes write = unhex("A5 A5 FA 00 00 FA"), apply = unhex("A5 A5 FF 00 00 FF");
    struct pack told = cleared_pack();
    pack_set(&told, CHARGE_MOS, 1);
    assert_int_equal(bms_emulate(&board, &told, write.bytes, write.size, &out), 6);
    assert_int_equal(out.size, 0);
    assert_values(&told, {CHARGE_MOS, 1});
    assert_int_equal(bms_emulate(&board, &told, apply.bytes, apply.size, &out), 6);
    assert_values(&told, {CHARGE_MOS, 0}, {DISCHARGE_MOS, NAN});
}

TEST(mask)
{
    struct bms bms = new_bms(&ant_old_driver);
    struct bms_request request = request_of(REQUEST);
    for (unsigned reg = 0; reg < 256; reg++) {
        uint8_t frame[6] = {0x5A, 0x5A, (uint8_t) reg, 0x31, 0x32, 0};
        frame[5] = (uint8_t) (reg + 0x31 + 0x32);
        bms.driver->mask(frame, sizeof frame);
        bool secret = reg >= 0xF1 && reg <= 0xF4;
        assert_int_equal(frame[3], secret ? '*' : 0x31);
        assert_int_equal(frame[4], secret ? '*' : 0x32);
        struct bms_span span = bms.driver->frame(&bms, &request, frame, sizeof frame);
        assert_int_equal(span.kind, BMS_FRAME);
        assert_int_equal(span.size, sizeof frame);
    }
}

/* Section 3: -40 is a sensor that is not connected; 0 can be real. */
TEST(sensors)
{
    static const struct {
        int celsius[4];
        int count; /* sensors that are fitted, from the first on */
    } cases[] = {
        {{13, 13, 0, 0}, 4}, {{-5, 21, 0, 0}, 4},       {{21, 21, 21, 21}, 4},
        {{2, 1, 0, 1}, 4},   {{2, 1, 1, 0}, 4},         {{21, 0, -40, -40}, 2},
        {{0, 0, 0, 0}, 4},   {{-40, -40, -40, -40}, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes frame = make_status(1, 1);
        struct pack pack;
        for (unsigned n = 0; n < 4; n++)
            put_be16(frame.bytes + 95 + 2 * n, (uint32_t) cases[i].celsius[n]);
        close_frame(&frame);
        assert_int_equal(take(&frame, &pack), BMS_DONE);
        assert_values(&pack, {TEMP_COUNT, cases[i].count});
        for (int n = 0; n < 4; n++)
            assert_true(n < cases[i].count ? pack.value[TEMP_C + n] == cases[i].celsius[n]
                                           : !pack_known(&pack, (enum pack_value)(TEMP_C + n)));
    }
}
