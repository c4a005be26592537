// SPDX-License-Identifier: MIT
/*
 * The Modbus engine by itself: frames among noise, echoes, others' and late replies; numbers of all
 * types; runs that are counted; tables of alarms; and the slave's refusals.
 */
#include "modbus_test.h"

#include "bms/modbus/modbus.h"

// clang-format off
static const struct bms_step plan[] = {
    {.name = "registers", .vital = true, .read = {MODBUS_HOLDING, 100, 20}},
    {.name = "coils",                    .read = {MODBUS_COILS,   40,  12}},
};
static const struct modbus_value values[] = {
    {.reg = 100, .type = MODBUS_U16,     .id = VOLTAGE_V, .divisor = 100},
    {.reg = 101, .type = MODBUS_S16,     .id = CURRENT_A, .divisor = 10},
    {.reg = 102, .type = MODBUS_U32,     .id = REMAINING_AH, .divisor = 1000},
    {.reg = 104, .type = MODBUS_U32_LOW, .id = FULL_AH,   .divisor = 1000},
    {.reg = 106, .type = MODBUS_S32,     .id = POWER_W},
    {.reg = 108, .type = MODBUS_F32,     .id = SOC_PERCENT},
    {.reg = 110, .type = MODBUS_F32_LOW, .id = SOH_PERCENT},
    {.reg = 112, .type = MODBUS_S8,      .id = TEMP_C, .count = 4, .lowest = -40, .highest = 100},
    {.reg = 114, .type = MODBUS_U16,     .id = CELL_MV, .count = 3},
    {.reg = 117, .type = MODBUS_BIT,     .id = CHARGE_MOS, .bit = 3},
    {.reg = 118, .type = MODBUS_TEXT,    .id = FIRMWARE, .count = 2},
    {.reg = 43,  .type = MODBUS_BIT,     .id = DISCHARGE_MOS, .bit = MODBUS_COIL},
    {.reg = 200, .type = MODBUS_U16,     .id = CELL_MV, .count = 4, .counted = 210, .offset = -10, .divisor = 2},
    {.reg = 211, .type = MODBUS_S32_LOW, .id = BALANCING},
};
static const struct modbus_alarm alarms[] = {
    MODBUS_ALARM(117, 0, CELL_OVER_VOLTAGE, ALARM_WARNING),
    MODBUS_ALARM(117, 15, CELL_OVER_VOLTAGE, ALARM_PROTECTION),
    MODBUS_ALARM(45, MODBUS_COIL, SHORT_CIRCUIT, ALARM_PROTECTION),
};
// clang-format on

static const struct modbus_map map = {.values = values,
                                      .value_count = COUNT(values),
                                      .alarms = alarms,
                                      .alarm_count = COUNT(alarms),
                                      .raw_first = 117,
                                      .raw_count = 1};

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    if (function == MODBUS_COILS)
        return reg < 60 ? reg % 3 == 0 : -1;
    return reg < 300 ? (int32_t) reg : -1;
}

static unsigned board_write(struct bms *bms, struct pack *told, unsigned reg, unsigned value)
{
    if (reg != 7)
        return MODBUS_BAD_ADDRESS;
    return value > 1 ? MODBUS_BAD_VALUE : 0;
}

static const struct modbus_board board = {.word = board_word,
                                          .write = board_write,
                                          .functions = {MODBUS_COILS, MODBUS_HOLDING},
                                          .most = 50};

static const struct bms_driver driver = {
    .name = "engine",
    .address = {.min = 0, .max = 247, .usual = 5},
    .plan = plan,
    .steps = COUNT(plan),
    .build = modbus_build,
    .frame = modbus_frame,
    .decode = modbus_decode,
    .map = &map,
    .finish = modbus_finish,
    .emulate = modbus_emulate,
    .board = &board,
};

// clang-format off
static const uint16_t registers[20] = {
    5325, (uint16_t) -137, 0x0001, 0x86A0, 0x86A0, 0x0001, 0xFFFF, 0xFFFE, 0x42B4, 0x8000, 0x0000, 0x42C8,
    0x15F6, 0x00C8, 3301, 3302, 0, 0x8009, 0x5631, 0x3034,
};
// clang-format on

TEST(requests)
{
    struct bms bms = new_bms(&driver);
    struct bms_request request = request_of_step(&bms, 0);
    assert_bytes(request.bytes, 6, "05 03 00 64 00 14");
    assert_true(modbus_crc_fits(request.bytes, request.size));
    bms.options.address = 0;
    request = request_of_step(&bms, 1);
    assert_bytes(request.bytes, 6, "00 01 00 28 00 0C");
    modbus_write_many(0, 0x1510, 0x55AA, &request);
    assert_request(&request, "00 10 15 10 00 01 02 55 AA 52 BE");
    modbus_write(0xD2, 0x00A5, 1, &request);
    assert_bytes(request.bytes, 6, "D2 06 00 A5 00 01");
}

TEST(types)
{
    struct bms bms = new_bms(&driver);
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, 0, registers, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.25}, {CURRENT_A, -13.7}, {REMAINING_AH, 100},
                  {FULL_AH, 100}, {POWER_W, -2}, {SOC_PERCENT, 90.25}, {SOH_PERCENT, 100},
                  {TEMP_C, 21}, {TEMP_C + 1, -10}, {TEMP_C + 2, 0},
                  {TEMP_C + 3, NAN} /* -56: not fitted */, {CELL_MV, 3301}, {CELL_MV + 1, 3302},
                  {CELL_MV + 2, NAN}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, NAN});
    assert_string_equal(pack.text[FIRMWARE], "V104");
    assert_only_alarm(&(struct pack){.alarms_warning = pack.alarms_warning}, CELL_OVER_VOLTAGE,
                      ALARM_WARNING);
    assert_int_equal(pack.alarms_protection, 1u << CELL_OVER_VOLTAGE);
    assert_int_equal(pack.alarms_known, 1u << CELL_OVER_VOLTAGE);
    assert_int_equal(pack.raw_alarm_count, 1);
    assert_int_equal(pack.raw_alarms[0], 0x8009);
    modbus_finish(&bms, &pack);
    assert_values(&pack, {CELL_COUNT, 2}, {TEMP_COUNT, 3});
}

/* A pack that is configured as inverted is so in power as well. */
TEST(inverted)
{
    struct bms bms = new_bms(&driver);
    struct pack pack = cleared_pack();
    bms.options.current = BMS_CURRENT_INVERTED;
    assert_int_equal(take_registers(&bms, 0, registers, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, 13.7}, {POWER_W, 2});
}

TEST(coils)
{
    static const uint8_t coils[] = {0x28, 0x00}; /* 43 and 45 */
    struct bms bms = new_bms(&driver);
    struct bms_request request = request_of_step(&bms, 1);
    struct bytes reply = reply_of_bytes(&request, coils, sizeof coils);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
    assert_values(&pack, {DISCHARGE_MOS, 1}, {CHARGE_MOS, NAN});
    assert_only_alarm(&pack, SHORT_CIRCUIT, ALARM_PROTECTION);
}

/* Other programs read other ranges: incomplete values stay unknown. */
TEST(windows)
{
    struct bms bms = new_bms(&driver);
    struct pack pack;
    for (unsigned first = 0; first < 20; first++)
        for (unsigned count = 1; first + count <= 20; count++) {
            struct bms_request request;
            modbus_read(5, MODBUS_HOLDING, 100 + first, count, &request);
            struct bytes reply = reply_of(&request, registers + first);
            pack_clear(&pack);
            assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack),
                             BMS_DONE);
            assert_int_equal(pack_known(&pack, VOLTAGE_V), first == 0);
            assert_int_equal(pack_known(&pack, FULL_AH), first <= 4 && first + count >= 6);
            assert_int_equal(pack_known(&pack, CELL_MV + 1), first <= 15 && first + count >= 16);
            assert_int_equal(pack.alarms_known != 0, first <= 17 && first + count >= 18);
        }
}

/* A count in a reply never exceeds the available room. */
TEST(counted)
{
    struct bms bms = new_bms(&driver);
    uint16_t words[13] = {7000, 7001, 7002, 7003, 7004, 7005};
    static const struct {
        uint16_t counted;
        unsigned expected;
    } cases[] = {{0, 0}, {1, 1}, {3, 3}, {4, 4}, {5, 4}, {0xFFFF, 4}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms_request request;
        words[10] = cases[i].counted;
        words[11] = 0;
        words[12] = (uint16_t) i;
        modbus_read(5, MODBUS_HOLDING, 200, COUNT(words), &request);
        struct bytes reply = reply_of(&request, words);
        struct pack pack = cleared_pack();
        assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
        for (unsigned n = 0; n < 6; n++)
            assert_int_equal(pack_known(&pack, (enum pack_value)(CELL_MV + n)),
                             n < cases[i].expected);
        if (cases[i].expected > 0)
            assert_values(&pack, {CELL_MV, 3495});
        assert_values(&pack, {BALANCING, i > 0});
    }
}

/* A reply that ends inside a run: the cells before the end that are 0 may be the last ones. */
TEST(part_of_a_run)
{
    struct bms bms = new_bms(&driver);
    const uint16_t words[3] = {7000, 0, 0};
    struct bms_request request;
    modbus_read(5, MODBUS_HOLDING, 200, COUNT(words), &request);
    struct bytes reply = reply_of(&request, words);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV, 3495}, {CELL_MV + 1, NAN}, {CELL_MV + 2, NAN});
}

TEST(frames)
{
    struct bms bms = new_bms(&driver);
    struct bms_request request = request_of_step(&bms, 0), other;
    struct bytes good = reply_of(&request, registers);
    modbus_read(5, MODBUS_HOLDING, 100, 4, &other);
    struct bytes shorter = reply_of(&other, registers), foreign = good, damaged = good;
    foreign.bytes[0] = 6;
    put_le16(foreign.bytes + 43, crc16_modbus(foreign.bytes, 43));
    damaged.bytes[20] ^= 4;
    const struct {
        const char *name;
        const void *before;
        size_t size;
    } cases[] = {
        {"nothing", "", 0},
        {"noise", "\x00\xFF\x05\x03\x7E", 5},
        {"half a head", "\x05\x03\x28", 3},
        {"echo", request.bytes, request.size},
        {"late, shorter", shorter.bytes, shorter.size},
        {"of another slave", foreign.bytes, foreign.size},
        {"damaged", damaged.bytes, damaged.size},
        {"cut", good.bytes, 17},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes all;
        memcpy(all.bytes, cases[i].before, cases[i].size);
        memcpy(all.bytes + cases[i].size, good.bytes, good.size);
        all.size = cases[i].size + good.size;
        struct pack pack = cleared_pack();
        if (receive_all(&bms, &request, all.bytes, all.size, &pack) != BMS_DONE)
            fail_msg("%s: not found behind it", cases[i].name);
        assert_values(&pack, {VOLTAGE_V, 53.25});
        pack_clear(&pack);
        if (receive_all(&bms, &request, cases[i].before, cases[i].size, &pack) == BMS_DONE)
            fail_msg("%s: taken for an answer", cases[i].name);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
}

/* Without a request, a reply has no meaning. */
TEST(no_request)
{
    struct bms bms = new_bms(&driver);
    struct bms_request request = request_of_step(&bms, 0), none = {.size = 0};
    struct bytes good = reply_of(&request, registers);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_all(&bms, &none, good.bytes, good.size, &pack), NOTHING);
}

TEST(exceptions)
{
    struct bms bms = new_bms(&driver);
    struct bms_request request = request_of_step(&bms, 0);
    for (unsigned code = 0; code < 256; code++) {
        uint8_t answer[5] = {5, 0x83, (uint8_t) code};
        struct pack pack = cleared_pack();
        modbus_put_crc(answer, 3);
        int expected = code == 0                ? NOTHING
                       : code == 5 || code == 6 ? (int) BMS_INVALID
                                                : (int) BMS_REFUSED;
        assert_int_equal(receive_all(&bms, &request, answer, 5, &pack), expected);
        answer[1] = 0x84; /* of another function */
        modbus_put_crc(answer, 3);
        assert_int_equal(receive_all(&bms, &request, answer, 5, &pack), NOTHING);
    }
}

TEST(written)
{
    struct bms bms = new_bms(&driver);
    struct bms_request request;
    uint8_t answer[8] = {0, 0x10, 0x15, 0x10, 0, 1};
    struct pack pack;
    struct bytes both;
    modbus_write_many(0, 0x1510, 0x55AA, &request);
    modbus_put_crc(answer, 6);
    assert_bytes(answer, 8, "00 10 15 10 00 01 05 D1");
    assert_int_equal(receive_all(&bms, &request, answer, 8, &pack), BMS_DONE);
    assert_int_equal(receive_all(&bms, &request, request.bytes, request.size, &pack), BMS_FOREIGN);
    memcpy(both.bytes, request.bytes, request.size);
    memcpy(both.bytes + request.size, answer, 8);
    assert_int_equal(receive_all(&bms, &request, both.bytes, request.size + 8, &pack), BMS_DONE);
    answer[3] = 0x11;
    modbus_put_crc(answer, 6);
    assert_int_equal(receive_all(&bms, &request, answer, 8, &pack), NOTHING);
}

TEST(board)
{
    struct bms bms = new_bms(&driver);
    struct pack told = cleared_pack();
    assert_answer(&bms, &told, "05 03 00 64 00 02", "05 03 04 00 64 00 65");
    assert_answer(&bms, &told, "05 01 00 00 00 0A", "05 01 02 49 02");
    assert_answer(&bms, &told, "05 04 00 64 00 02", "05 84 01");
    assert_answer(&bms, &told, "05 03 01 2B 00 02", "05 83 02");
    assert_answer(&bms, &told, "05 03 00 00 00 00", "05 83 03");
    assert_answer(&bms, &told, "05 03 00 00 00 33", "05 83 02");
    assert_answer(&bms, &told, "05 03 00 00 00 7E", "05 83 03");
    assert_answer(&bms, &told, "05 06 00 07 00 01", "05 06 00 07 00 01");
    assert_answer(&bms, &told, "05 06 00 07 00 02", "05 86 03");
    assert_answer(&bms, &told, "05 10 00 07 00 01 02 00 01", "05 10 00 07 00 01");
    assert_answer(&bms, &told, "05 10 00 08 00 01 02 00 01", "05 90 02");
    assert_answer(&bms, &told, "04 03 00 64 00 02", "");
    struct bms_output out;
    struct bms_request request = request_of_step(&bms, 0);
    request.bytes[7] ^= 1;
    assert_int_equal(bms_emulate(&bms, &told, request.bytes, request.size, &out), 1);
    assert_int_equal(out.size, 0);
    for (size_t size = 0; size < request.size; size++)
        assert_int_equal(bms_emulate(&bms, &told, request.bytes, size, &out), 0);
}
