// SPDX-License-Identifier: MIT
/*
 * ant beyond its captures: counts that do
 * not fit, both ends of a frame, and passwords.
 */
#include "modbus_test.h"

extern const struct bms_driver ant_driver;

#define STATUS_REQUEST "7E A1 01 00 00 BE 18 55 AA 55"

/* A frame of a function with data, with either of the two possible ends. */
static struct bytes make_frame(uint8_t function, unsigned reg, const uint8_t *data, size_t size,
                               const char *end)
{
    struct bytes out = {.bytes = {0x7E, 0xA1, function}};
    put_le16(out.bytes + 3, reg);
    out.bytes[5] = (uint8_t) size;
    memcpy(out.bytes + 6, data, size);
    put_le16(out.bytes + 6 + size, crc16_modbus(out.bytes + 1, 5 + size));
    out.size = 8 + size;
    out.size += parse_hex(end, out.bytes + out.size);
    return out;
}

/* Four cells of 3.3 V and two sensors, no alarms. */
static size_t fill(uint8_t data[130])
{
    memset(data, 0, 130);
    data[2] = 2;
    data[3] = 4;
    for (unsigned n = 0; n < 4; n++)
        put_le16(data + 28 + 2 * n, 3300 + n);
    put_le16(data + 36, 21);
    put_le16(data + 38, 0xFFD8);
    uint8_t *tail = data + 12 - 6; /* offsets as in the sheet, o = 12 */
    put_le16(tail + 34, 0xFFD8);
    put_le16(tail + 38, 1320);
    put_le16(tail + 40, (uint32_t) -331);
    put_le16(tail + 42, 45);
    tail[46] = 1;
    tail[47] = 2;
    put_le32(tail + 62, (uint32_t) -437);
    put_le32(tail + 70, 5);
    put_le16(tail + 74, 3303);
    put_le16(tail + 76, 4);
    put_le16(tail + 78, 3300);
    put_le16(tail + 80, 9);
    return 118;
}

static enum bms_result take(const uint8_t *data, size_t size, struct pack *pack)
{
    struct bms bms = new_bms(&ant_driver);
    struct bms_request request = request_of(STATUS_REQUEST);
    struct bytes frame = make_frame(0x11, 0, data, size, "AA 55");
    pack_clear(pack);
    return receive_frame(&bms, &request, frame.bytes, frame.size, pack);
}

TEST(status)
{
    uint8_t data[130];
    struct pack pack;
    assert_int_equal(take(data, fill(data), &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 13.2}, {CURRENT_A, 33.1}, {POWER_W, 437}, {DISCHARGE_MOS, 1},
                  {CHARGE_MOS, 0}, {TEMP_COUNT, 2}, {TEMP_C, 21}, {TEMP_C + 1, NAN},
                  {MOS_TEMP_C, NAN}, {FULL_AH, NAN} /* never set */, {BALANCE_MASK, 5},
                  {CELL_MAX_INDEX, 4}, {CELL_MIN_MV, NAN} /* of cell 9 */);
    assert_int_equal(pack.implausible, 0);
}

/* Counts for which the frame has no room are rejected even if the CRC is right. */
TEST(counts)
{
    static const struct {
        uint8_t temps, cells;
        enum bms_result expected;
    } cases[] = {
        {2, 4, BMS_DONE},    {1, 4, BMS_DONE},     {2, 5, BMS_INVALID},   {3, 4, BMS_INVALID},
        {2, 0, BMS_INVALID}, {0, 33, BMS_INVALID}, {255, 4, BMS_INVALID}, {0, 255, BMS_INVALID},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t data[130];
        struct pack pack;
        size_t size = fill(data);
        data[2] = cases[i].temps;
        data[3] = cases[i].cells;
        assert_int_equal(take(data, size, &pack), cases[i].expected);
        assert_int_equal(pack_known(&pack, CELL_MV), cases[i].expected == BMS_DONE);
    }
    uint8_t data[130];
    struct pack pack;
    fill(data);
    for (size_t size = 0; size < 118; size++)
        assert_int_equal(take(data, size, &pack), BMS_INVALID);
}

/* Either end is valid; AA 55 within the data is not an end. */
TEST(ends)
{
    static const struct {
        const char *end;
        enum bms_span_kind kind;
    } cases[] = {
        {"AA 55", BMS_FRAME},
        {"FF 0B 00 00 41 F2 AA 55", BMS_FRAME},
        {"FF 0B 00 00 41 F2", BMS_MORE},
        {"FF 0B 00", BMS_MORE},
        {"AA", BMS_MORE},
        {"AA 56", BMS_DAMAGED},
        {"FF 0B 00 00 41 F2 AB 55", BMS_DAMAGED},
        {"FF 0C 00 00 41 F2 AA 55", BMS_DAMAGED},
    };
    struct bms bms = new_bms(&ant_driver);
    struct bms_request request = request_of(STATUS_REQUEST);
    uint8_t data[130];
    size_t size = fill(data);
    data[28] = 0xAA;
    data[29] = 0x55;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes frame = make_frame(0x11, 0, data, size, cases[i].end);
        struct bms_span span = bms.driver->frame(&bms, &request, frame.bytes, frame.size);
        assert_int_equal(span.kind, cases[i].kind);
        if (span.kind == BMS_FRAME)
            assert_int_equal(span.size, frame.size);
    }
}

/* An answer must have the requested function and register. */
TEST(foreign)
{
    struct bms bms = new_bms(&ant_driver);
    struct bms_request status = request_of(STATUS_REQUEST), none = {.size = 0};
    uint8_t data[130], identity[32] = "16ZM";
    size_t size = fill(data);
    struct bytes frame = make_frame(0x11, 0, data, size, "AA 55");
    struct bytes other = make_frame(0x12, 0x026C, identity, sizeof identity, "AA 55");
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &status, other.bytes, other.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_frame(&bms, &none, other.bytes, other.size, &pack), BMS_PARTIAL);
    assert_string_equal(pack.text[MODEL], "16ZM");
    assert_int_equal(receive_frame(&bms, &none, frame.bytes, frame.size, &pack), BMS_DONE);
    frame = make_frame(0x11, 1, data, size, "AA 55");
    assert_int_equal(receive_frame(&bms, &status, frame.bytes, frame.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_frame(&bms, &status, status.bytes, status.size, &pack), BMS_FOREIGN);
}

TEST(mask)
{
    static const uint8_t functions[] = {0x23, 0x33, 0x43};
    struct bms bms = new_bms(&ant_driver);
    struct bms_request request = request_of(STATUS_REQUEST);
    for (size_t i = 0; i < COUNT(functions); i++) {
        struct bytes frame =
            make_frame(functions[i], 0x016A, (const uint8_t *) "12345678", 8, "AA 55");
        bms.driver->mask(frame.bytes, frame.size);
        assert_null(memmem(frame.bytes, frame.size, "1234", 4));
        assert_null(memmem(frame.bytes, frame.size, "5678", 4));
        struct bms_span span = bms.driver->frame(&bms, &request, frame.bytes, frame.size);
        assert_int_equal(span.kind, BMS_FRAME);
        assert_int_equal(span.size, frame.size);
    }
    uint8_t data[130];
    struct bytes frame = make_frame(0x11, 0, data, fill(data), "AA 55"), before = frame;
    bms.driver->mask(frame.bytes, frame.size);
    assert_memory_equal(frame.bytes, before.bytes, frame.size);
}

/* The board's answer to the next order, through the decoder. */
static enum bms_result order(struct bms *bms, struct bms *board, struct pack *told,
                             const char *sent)
{
    struct bms_request request;
    struct bms_output out;
    assert_true(bms->driver->control(bms, BMS_DISCHARGE_MOS, false, &request));
    assert_request(&request, sent);
    assert_int_equal(bms_emulate(board, told, request.bytes, request.size, &out), request.size);
    struct pack pack = cleared_pack();
    return receive_frame(bms, &request, out.bytes, out.size, &pack);
}

#define OFF "7E A1 51 01 00 00 D8 E5 AA 55"
#define FACTORY "7E A1 23 6A 01 08 31 32 33 34 35 36 37 38 70 90 AA 55"

/* Section 5: the password is sent when the board requests it, and the order is repeated once; with a wrong password
 * it fails. */
TEST(switches)
{
    static const char *const sent[4] = {"D8 E5", "79 25", "C8 E4", "69 24"};
    struct bms bms = new_bms(&ant_driver), board = new_bms(&ant_driver);
    struct bms_request request;
    struct pack told = cleared_pack();
    pack_set(&told, DISCHARGE_MOS, 1);
    assert_false(ant_driver.control(&bms, BMS_CHARGE_MOS, true, &request));
    strcpy(bms.options.password, "12345678");
    strcpy(board.options.password, "87654321");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(order(&bms, &board, &told, OFF), BMS_REFUSED);
        assert_int_equal(order(&bms, &board, &told, FACTORY), BMS_REFUSED);
        assert_int_equal(order(&bms, &board, &told, OFF), BMS_REFUSED);
        assert_values(&told, {DISCHARGE_MOS, 1});
    }
    strcpy(board.options.password, "12345678");
    assert_int_equal(order(&bms, &board, &told, OFF), BMS_REFUSED);
    assert_int_equal(order(&bms, &board, &told, FACTORY), BMS_REFUSED);
    assert_int_equal(order(&bms, &board, &told, OFF), BMS_DONE);
    assert_values(&told, {DISCHARGE_MOS, 0});
    assert_int_equal(order(&bms, &board, &told, OFF), BMS_DONE);
    for (unsigned i = 0; i < 4; i++) {
        struct bytes crc = unhex(sent[i]);
        assert_true(
            ant_driver.control(&bms, i < 2 ? BMS_DISCHARGE_MOS : BMS_CHARGE_MOS, i & 1, &request));
        assert_memory_equal(request.bytes + 6, crc.bytes, 2);
    }
}

/* A failure for another reason does not request the password, and answers to other orders do not count. */
TEST(refusals)
{
    struct bms bms = new_bms(&ant_driver);
    struct bms_request request;
    struct pack pack;
    strcpy(bms.options.password, "12345678");
    const struct bytes failed = make_frame(0x61, 1, (const uint8_t *) "\2\0", 2, "AA 55"),
                       other = make_frame(0x61, 3, (const uint8_t *) "\1\0", 2, "AA 55"),
                       odd = make_frame(0x61, 1, (const uint8_t *) "\1", 1, "AA 55");
    assert_true(ant_driver.control(&bms, BMS_DISCHARGE_MOS, false, &request));
    assert_int_equal(receive_frame(&bms, &request, failed.bytes, failed.size, &pack), BMS_REFUSED);
    assert_int_equal(receive_frame(&bms, &request, other.bytes, other.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_frame(&bms, &request, odd.bytes, odd.size, &pack), BMS_INVALID);
    assert_true(ant_driver.control(&bms, BMS_DISCHARGE_MOS, false, &request));
    assert_request(&request, OFF);
}
