// SPDX-License-Identifier: MIT
/*
 * JBD UP: what neither the captures nor random packs show: requests byte by byte from the sheet
 * `jbd`, section 9.2, the rule of the switches, and false lengths.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

extern const struct bms_driver jbd_up_driver;

#define ASK_STATUS "01 78 10 00 10 A0 00 00 7F B2"
#define ASK_BOARD "01 78 1C 00 1C A0 00 00 7C 2E"
#define BOTH_ON "01 79 29 02 29 04 00 06 11 4A 42 44 00 03 94 44"

enum { STATUS, BOARD };

/* The reply to a request with this data. */
static int exchange_data(struct bms *bms, const char *asked, const uint8_t *data, size_t count,
                         struct pack *pack)
{
    struct bms_request request = request_of(asked);
    struct bytes reply = {.size = count + 10};
    memcpy(reply.bytes, request.bytes, 6);
    put_be16(reply.bytes + 6, (uint32_t) count);
    if (count > 0)
        memcpy(reply.bytes + 8, data, count);
    put_le16(reply.bytes + 8 + count, crc16_modbus(reply.bytes, 8 + count));
    return receive_all(bms, &request, reply.bytes, reply.size, pack);
}

/* Packs behind the master do not answer this request. */
TEST(silence_on_serial)
{
    struct bms_request request;
    uint8_t d[134] = {0};
    struct bms bms = new_bms(&jbd_up_driver);
    unsigned asked = 0;
    while (asked < 100 && jbd_up_driver.build(&bms, BOARD, &request))
        asked++;
    assert_in_range(asked, 3, 20);
    assert_true(jbd_up_driver.build(&bms, STATUS, &request));
    struct pack pack = cleared_pack();
    memcpy(d + 16, "UP16S", 5);
    assert_int_equal(exchange_data(&bms, ASK_BOARD, d, sizeof d, &pack), BMS_DONE);
    assert_string_equal(pack.text[SERIAL], "UP16S");
    assert_true(jbd_up_driver.build(&bms, BOARD, &request));
}

/* Recorded, as the capture of address 1 (two packs on one bus): what the master reports of pack 2. */
static const char behind_master[] = "02 78 10 00 10 A0 00 96 14 C9 14 C9 00 04 93 E0 1C 84 1C 9F "
                                    "27 10 27 10 02 CA 02 DA 00 00 00 64 00 00 00 00 00 00 00 00 "
                                    "00 03 00 00 00 02 00 04 0D 01 00 01 0C FA 0C FD 00 03 02 D0 "
                                    "00 02 02 C9 02 CC 02 48 03 E8 01 C0 03 E8 00 10 0C FA 0C FF "
                                    "0C FB 0D 01 0C FF 0C FC 0C FC 0D 00 0C FB 0C FE 0D 00 0C FC "
                                    "0C FF 0C FE 0D 00 0C FD 00 04 02 CA 02 C9 02 D0 02 CE 00 00 "
                                    "00 00 00 04 4A 42 44 34 38 31 30 30 30 30 30 00 00 00 00 00 "
                                    "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 02 BC C0";

TEST(foreign)
{
    static const struct {
        const char *asked, *received;
    } cases[] = {
        {ASK_STATUS, behind_master},
        {ASK_BOARD, behind_master},
        {"02 78 1C 00 1C A0 00 00 3C 3B", behind_master},
        {"02 78 10 00 10 80 00 00 3E 4D", behind_master},
        {ASK_STATUS, ASK_STATUS},
        {BOTH_ON, BOTH_ON},
        {"", ASK_STATUS},
        {"", BOTH_ON},
        {ASK_STATUS, "01 78 24 00 24 50 00 0E 00 00 00 00 00 00 00 00 00 00 00 00 00 00 F7 B5"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack pack, empty;
        struct bms bms = new_bms(&jbd_up_driver);
        pack_clear(&pack);
        pack_clear(&empty);
        assert_int_equal(exchange(&bms, cases[i].asked, cases[i].received, &pack), BMS_FOREIGN);
        assert_memory_equal(&pack, &empty, sizeof pack);
    }
}

/* Without a request: a status contains the address of its pack. */
TEST(listening)
{
    struct bms bms = new_bms(&jbd_up_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(exchange(&bms, "", behind_master, &pack), BMS_DONE);
    bms.options.address = 1;
    assert_int_equal(exchange(&bms, "", behind_master, &pack), BMS_FOREIGN);
}

/* A status with these numbers of cells and temperatures, of a pack with 50.00 V and 100.00 A. */
static void fill_status(uint8_t d[256], uint16_t cells, uint16_t temps, uint32_t protections,
                        uint16_t switches)
{
    memset(d, 0, 256);
    put_be16(d, 5000);
    put_be32(d + 4, 300000 + 10000);
    put_be32(d + 24, protections);
    put_be16(d + 32, switches);
    put_be16(d + 66, cells);
    if (68u + 2 * cells < 254)
        put_be16(d + 68 + 2 * cells, temps);
}

TEST(lengths)
{
    static const struct {
        uint16_t cells, temps;
        size_t size;
        int result;
        bool has_temps, has_trail;
    } cases[] = {
        {16, 4, 67, BMS_INVALID, false, false},     {16, 4, 99, BMS_INVALID, false, false},
        {16, 4, 100, BMS_DONE, false, false},       {16, 4, 102, BMS_DONE, false, false},
        {16, 4, 110, BMS_DONE, true, false},        {16, 4, 145, BMS_DONE, true, false},
        {16, 4, 146, BMS_DONE, true, true},         {16, 4, 200, BMS_DONE, true, true},
        {16, 17, 200, BMS_DONE, false, false},      {49, 4, 200, BMS_INVALID, false, false},
        {65535, 4, 200, BMS_INVALID, false, false}, {0, 0, 106, BMS_DONE, true, true},
        {16, 65535, 200, BMS_DONE, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t d[256];
        struct pack pack, empty;
        struct bms bms = new_bms(&jbd_up_driver);
        pack_clear(&pack);
        pack_clear(&empty);
        fill_status(d, cases[i].cells, cases[i].temps, 0, 3);
        assert_int_equal(exchange_data(&bms, ASK_STATUS, d, cases[i].size, &pack), cases[i].result);
        if (cases[i].result != BMS_DONE) {
            assert_memory_equal(&pack, &empty, sizeof pack);
            continue;
        }
        assert_values(&pack, {CELL_COUNT, cases[i].cells});
        assert_int_equal(pack_known(&pack, TEMP_COUNT), cases[i].has_temps);
        assert_int_equal(pack_known(&pack, BALANCE_MASK), cases[i].has_trail);
        assert_values(&pack, {CURRENT_A, 100});
        /* The master's current limits are not those of the pack. */
        assert_true(pack_known(&pack, CHARGE_VOLTAGE_LIMIT_V));
        assert_values(&pack, {CHARGE_CURRENT_LIMIT_A, NAN});
    }
}

/* A raw 0 would be -50 degrees. */
TEST(missing_sensors)
{
    uint8_t d[256];
    struct bms bms = new_bms(&jbd_up_driver);
    struct pack pack = cleared_pack();
    fill_status(d, 16, 4, 0, 3);
    put_be16(d + 16, 0);
    for (unsigned n = 0; n < 4; n++)
        put_be16(d + 68 + 2 * 16 + 2 + 2 * n, n == 2 ? 715 : 0);
    assert_int_equal(exchange_data(&bms, ASK_STATUS, d, 200, &pack), BMS_DONE);
    assert_values(&pack, {TEMP_C + 2, 21.5}, {TEMP_C, NAN}, {TEMP_C + 3, NAN}, {MOS_TEMP_C, NAN});
    assert_int_equal(pack.implausible, 0);
}

static void read_state(struct bms *bms, uint16_t switches, uint32_t protections)
{
    uint8_t d[256];
    struct pack pack = cleared_pack();
    fill_status(d, 16, 4, protections, switches);
    assert_int_equal(exchange_data(bms, ASK_STATUS, d, 158, &pack), BMS_DONE);
    assert_values(&pack, {DISCHARGE_MOS, switches & 1}, {CHARGE_MOS, switches >> 1 & 1});
}

/* The switch word of the request that is built; -1: none. */
static int built(struct bms *bms, enum bms_switch which, bool on)
{
    struct bms_request request;
    if (!bms->driver->control(bms, which, on, &request))
        return -1;
    assert_int_equal(request.size, 16);
    assert_memory_equal(request.bytes + 1, "\x79\x29\x02\x29\x04\x00\x06\x11JBD", 11);
    assert_int_equal(le16(request.bytes + 14), crc16_modbus(request.bytes, 14));
    return be16(request.bytes + 12);
}

static void command(struct bms *bms, enum bms_switch which, bool on)
{
    struct bms_request request;
    struct pack pack = cleared_pack();
    assert_true(bms->driver->control(bms, which, on, &request));
    struct bytes reply = {.size = 10};
    memcpy(reply.bytes, request.bytes, 6);
    put_le16(reply.bytes + 8, crc16_modbus(reply.bytes, 8));
    assert_int_equal(receive_all(bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
}

TEST(switch_frame)
{
    struct bms_request request;
    struct bms bms = new_bms(&jbd_up_driver);
    assert_false(jbd_up_driver.control(&bms, BMS_CHARGE_MOS, true, &request));
    read_state(&bms, 1, 0);
    assert_true(jbd_up_driver.control(&bms, BMS_CHARGE_MOS, true, &request));
    assert_bytes(request.bytes, request.size, BOTH_ON);
}

/* The other switch is sent as it was commanded, the heater as it is. */
TEST(switch_sequence)
{
    struct bms bms = new_bms(&jbd_up_driver);
    read_state(&bms, 0x0B, 0);
    assert_int_equal(built(&bms, BMS_CHARGE_MOS, false), 0x09);
    command(&bms, BMS_CHARGE_MOS, false);
    read_state(&bms, 0x0B, 0); /* not read yet */
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), 0x08);
    read_state(&bms, 0x01, 0);
    read_state(&bms, 0x01, 0);
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), 0x00);
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, true), 0x01);
    assert_int_equal(built(&bms, BMS_CHARGE_MOS, true), 0x03);
}

TEST(switch_and_protections)
{
    struct bms bms = new_bms(&jbd_up_driver);
    read_state(&bms, 1, 0x01);
    /* Whether by command or by the protection is unknown: the charge MOS may be switched, the other one not. */
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), -1);
    assert_int_equal(built(&bms, BMS_CHARGE_MOS, false), 0x01);
    read_state(&bms, 3, 0);
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), 0x02);
    read_state(&bms, 1, 0x01);
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), 0x02);
    /* A full pack opens it, too: protection bit 25. */
    read_state(&bms, 1, 1u << 25);
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), 0x02);
    read_state(&bms, 1, 0);
    assert_int_equal(built(&bms, BMS_DISCHARGE_MOS, false), 0x00);
}

/* No answer to a write without the key. */
TEST(write_without_key)
{
    struct pack pack = cleared_pack();
    struct bms_output out;
    struct bms device = new_bms(&jbd_up_driver);
    pack_set(&pack, CHARGE_MOS, 0);
    struct bytes asked = unhex(BOTH_ON);
    asked.bytes[9] = 'K';
    put_le16(asked.bytes + 14, crc16_modbus(asked.bytes, 14));
    assert_int_equal(bms_emulate(&device, &pack, asked.bytes, asked.size, &out), 16);
    assert_int_equal(out.size, 0);
    assert_values(&pack, {CHARGE_MOS, 0});
}
