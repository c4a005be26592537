// SPDX-License-Identifier: MIT
/*
 * JBD, plain and addressed: what neither the captures nor random packs show: the requests of the
 * sheet `jbd` byte by byte, odd lengths, the rule of the switches, refusals and settings.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

extern const struct bms_driver jbd_driver, jbd_addressed_driver;

#define ASK_BASIC "DD A5 03 00 FF FD 77"
#define ASK_CELLS "DD A5 04 00 FF FC 77"
#define ASK_NAME "DD A5 05 00 FF FB 77"

/* A plain reply with the checksum of section 2.1. */
static struct bytes make_reply(uint8_t reg, uint8_t status, const uint8_t *data, size_t count)
{
    struct bytes out = {.bytes = {0xDD, reg, status, (uint8_t) count}, .size = count + 7};
    if (count > 0)
        memcpy(out.bytes + 4, data, count);
    uint32_t sum = 0;
    for (size_t i = 2; i < count + 4; i++)
        sum += out.bytes[i];
    put_be16(out.bytes + count + 4, 0x10000 - sum);
    out.bytes[count + 6] = 0x77;
    return out;
}

static int exchange_data(struct bms *bms, const char *asked, const uint8_t *data, size_t count,
                         struct pack *pack)
{
    struct bms_request request = request_of(asked);
    struct bytes reply = make_reply(request.bytes[2], 0, data, count);
    return receive_all(bms, &request, reply.bytes, reply.size, pack);
}

TEST(lost_first_request_is_repeated)
{
    assert_int_not_equal(jbd_driver.line.tries, 1);
    assert_true(jbd_driver.line.one_pack);
}

/* Recorded, section 4.3. */
static const char held_off[] =
    "DD 03 00 1D 06 0B 00 00 01 ED 01 F4 00 00 2C 7C 00 00 00 00 10 00 80 63 02 04 03 0B A0 0B "
    "9D 0B 98 FA 55 77";

/* Section 2.3. */
TEST(refusals)
{
    struct bms_request request;
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(exchange(&bms, ASK_BASIC, "DD 03 81 00 FF 7F 77", &pack), BMS_REFUSED);
    assert_int_equal(exchange(&bms, ASK_CELLS, "DD 04 80 00 FF 80 77", &pack), BMS_REFUSED);
    assert_int_equal(exchange(&bms, ASK_BASIC, "DD 03 82 00 FF 7E 77", &pack), BMS_INVALID);
    /* Recorded, but without effect: the password function and a parameter. */
    assert_int_equal(
        exchange(&bms, "DD 5A 06 07 06 00 00 00 00 00 00 FF ED 77", "DD 06 80 00 FF 80 77", &pack),
        BMS_FOREIGN);
    assert_int_equal(exchange(&bms, "DD A5 24 00 FF DC 77", "DD 24 81 00 FF 7F 77", &pack),
                     BMS_FOREIGN);
    assert_true(jbd_driver.build(&bms, 2, &request));
    assert_int_equal(exchange(&bms, ASK_NAME, "DD 05 80 00 FF 80 77", &pack), BMS_REFUSED);
    assert_false(jbd_driver.build(&bms, 2, &request));
    assert_true(jbd_driver.build(&bms, 0, &request));
    assert_string_equal(pack.text[MODEL], "");
}

/* Firmware 4.4 does not answer requests that it does not support. */
TEST(silence_on_name)
{
    struct bms_request request;
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    unsigned asked = 0;
    while (asked < 100 && jbd_driver.build(&bms, 2, &request))
        asked++;
    assert_in_range(asked, 3, 20);
    assert_true(jbd_driver.build(&bms, 0, &request));
    /* An answer, even a late one, ends the pause. */
    assert_int_equal(exchange(&bms, ASK_NAME, "DD 05 00 02 4C 48 FF 6A 77", &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "LH");
    assert_true(jbd_driver.build(&bms, 2, &request));
}

/* 03 of a board without sensors: 52.00 V, -100 units of current, 40000 of 50000 units, SOC 80. */
static void fill_basic(uint8_t d[64], uint8_t fet, uint8_t cells, uint16_t protections)
{
    memset(d, 0, 64);
    put_be16(d, 5200);
    put_be16(d + 2, 0x10000 - 100);
    put_be16(d + 4, 40000);
    put_be16(d + 6, 50000);
    put_be16(d + 16, protections);
    d[18] = 0x21;
    d[19] = 80;
    d[20] = fet;
    d[21] = cells;
}

/* The additional fields of newer firmware. */
static void fill_tail(uint8_t *d, size_t at, uint16_t full)
{
    memset(d + at, 0, 9);
    put_be16(d + at + 3, full);
    put_be16(d + at + 5, be16(d + 4));
}

TEST(coarse_units)
{
    uint8_t d[64];
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    fill_basic(d, 0x83, 16, 0);
    fill_tail(d, 23, 45000);
    assert_int_equal(exchange_data(&bms, ASK_BASIC, d, 23 + 9, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -10}, {REMAINING_AH, 4000}, {RATED_AH, 5000}, {FULL_AH, 4500},
                  {VOLTAGE_V, 52}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1});
    fill_basic(d, 0x03, 16, 0);
    fill_tail(d, 23, 45000);
    assert_int_equal(exchange_data(&bms, ASK_BASIC, d, 23 + 9, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -1}, {REMAINING_AH, 400}, {FULL_AH, 450});
    assert_string_equal(pack.text[FIRMWARE], "2.1");
}

/* The additional fields count only if they are complete; sensors as far as the frame reaches; nothing beyond that. */
TEST(lengths)
{
    static const struct {
        size_t size;
        uint8_t sensors;
        int result;
        double temps;
        bool tail;
    } cases[] = {
        {0, 0, BMS_INVALID, 0, false}, {22, 0, BMS_INVALID, 0, false}, {23, 0, BMS_DONE, 0, false},
        {27, 2, BMS_DONE, 2, false},   {27, 200, BMS_DONE, 2, false},  {28, 2, BMS_DONE, 2, false},
        {35, 2, BMS_DONE, 2, false},   {36, 2, BMS_DONE, 2, true},     {40, 2, BMS_DONE, 2, true},
        {32, 0, BMS_DONE, 0, true},    {31, 0, BMS_DONE, 0, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t d[64];
        struct bms bms = new_bms(&jbd_driver);
        struct pack pack = cleared_pack();
        fill_basic(d, 3, 16, 0);
        d[22] = cases[i].sensors;
        for (size_t sensor = 0; sensor < 2 && cases[i].sensors; sensor++)
            put_be16(d + 23 + 2 * sensor, 2731 + 215);
        if (cases[i].sensors <= 2)
            fill_tail(d, 23 + 2 * (size_t) cases[i].sensors, 45000);
        assert_int_equal(exchange_data(&bms, ASK_BASIC, d, cases[i].size, &pack), cases[i].result);
        assert_int_equal(pack_known(&pack, FULL_AH), cases[i].tail);
        assert_int_equal(pack_known(&pack, VOLTAGE_V), cases[i].result == BMS_DONE);
        if (cases[i].result == BMS_DONE)
            assert_values(&pack, {TEMP_COUNT, cases[i].temps});
        if (cases[i].temps > 1)
            assert_values(&pack, {TEMP_C + 1, 21.5});
        assert_values(&pack, {TEMP_C + 2, NAN});
    }
}

TEST(cell_counts)
{
    static const struct {
        uint8_t said;
        size_t sent;
        double expected;
    } cases[] = {{16, 16, 16}, {16, 12, 12}, {4, 16, 4}, {0, 8, 8}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t basic[64], cells[64];
        struct bms bms = new_bms(&jbd_driver);
        struct pack pack = cleared_pack();
        fill_basic(basic, 3, cases[i].said, 0);
        for (size_t cell = 0; cell < cases[i].sent; cell++)
            put_be16(cells + 2 * cell, 3300);
        assert_int_equal(exchange_data(&bms, ASK_BASIC, basic, 23, &pack), BMS_DONE);
        assert_int_equal(exchange_data(&bms, ASK_CELLS, cells, 2 * cases[i].sent, &pack), BMS_DONE);
        assert_values(&pack, {CELL_COUNT, cases[i].expected});
        /* The same in the other order in the next cycle. */
        assert_int_equal(exchange_data(&bms, ASK_BASIC, basic, 23, &pack), BMS_DONE);
        pack_derive(&pack);
        assert_values(&pack, {CELL_COUNT, cases[i].expected});
        assert_true(pack_known(&pack, (enum pack_value)(CELL_MV + (int) cases[i].expected - 1)));
        assert_values(&pack, {CELL_MV + (int) cases[i].expected, NAN});
    }
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(exchange_data(&bms, ASK_CELLS, (const uint8_t[7]){13}, 7, &pack), BMS_INVALID);
    assert_int_equal(exchange_data(&bms, ASK_CELLS, NULL, 0, &pack), BMS_INVALID);
    assert_values(&pack, {CELL_MV, NAN});
}

/* Section 11: the register may read A5, with data; the form identifies it, and a late reply is not mistaken for
 * another. */
TEST(register_a5)
{
    uint8_t d[64];
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    fill_basic(d, 3, 12, 0);
    struct bytes basic = make_reply(0xA5, 0, d, 23);
    memset(d, 13, 24);
    struct bytes cells = make_reply(0xA5, 0, d, 24);
    struct bms_request ask_basic = request_of(ASK_BASIC), ask_cells = request_of(ASK_CELLS);
    assert_int_equal(receive_all(&bms, &ask_basic, cells.bytes, cells.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_all(&bms, &ask_cells, basic.bytes, basic.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_all(&bms, &ask_basic, basic.bytes, basic.size, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 52});
    assert_int_equal(receive_all(&bms, &ask_cells, cells.bytes, cells.size, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV, 0x0D0D});
    struct bytes name = make_reply(0xA5, 0, (const uint8_t *) "SP15S001", 8);
    struct bms_request ask_name = request_of(ASK_NAME);
    assert_int_equal(receive_all(&bms, &ask_name, basic.bytes, basic.size, &pack), BMS_FOREIGN);
    assert_int_equal(receive_all(&bms, &ask_name, name.bytes, name.size, &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "SP15S001");
}

/* Without a request, only a reply that identifies itself counts, not a bare acknowledgement. */
TEST(listening)
{
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(exchange(&bms, "", held_off, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 15.47});
    assert_int_equal(exchange(&bms, "", "DD E1 00 00 00 00 77", &pack), BMS_FOREIGN);
    assert_int_equal(exchange(&bms, "", "DD 03 80 00 FF 80 77", &pack), BMS_FOREIGN);
}

static void expect_switch(struct bms *bms, enum bms_switch which, bool on, const char *expected)
{
    struct bms_request request;
    assert_true(bms->driver->control(bms, which, on, &request));
    assert_bytes(request.bytes, request.size, expected);
}

static const char e1_none[] = "DD 5A E1 02 00 00 FF 1D 77";
static const char e1_charge[] = "DD 5A E1 02 00 01 FF 1C 77";
static const char e1_discharge[] = "DD 5A E1 02 00 02 FF 1B 77";
static const char e1_both[] = "DD 5A E1 02 00 03 FF 1A 77";
static const char e1_done[] = "DD E1 00 00 00 00 77";

static void read_state(struct bms *bms, uint8_t fet, uint16_t protections)
{
    uint8_t d[64];
    struct pack pack = cleared_pack();
    fill_basic(d, fet, 16, protections);
    assert_int_equal(exchange_data(bms, ASK_BASIC, d, 23, &pack), BMS_DONE);
}

static void command(struct bms *bms, const char *request)
{
    struct pack pack = cleared_pack();
    assert_int_equal(exchange(bms, request, e1_done, &pack), BMS_DONE);
}

TEST(switch_sequence)
{
    struct bms bms = new_bms(&jbd_driver);
    read_state(&bms, 3, 0);
    expect_switch(&bms, BMS_CHARGE_MOS, true, e1_none);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_discharge);
    expect_switch(&bms, BMS_CHARGE_MOS, false, e1_charge);
    command(&bms, e1_charge);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_both);
    read_state(&bms, 3, 0); /* not read yet */
    read_state(&bms, 2, 0x1000);
    read_state(&bms, 2, 0x1000);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_both);
    command(&bms, e1_both);
    read_state(&bms, 0, 0x1000);
    expect_switch(&bms, BMS_CHARGE_MOS, true, e1_discharge);
    expect_switch(&bms, BMS_DISCHARGE_MOS, true, e1_charge);
    /* Two replies after a command may show the state before it; the third counts. */
    command(&bms, e1_charge);
    read_state(&bms, 3, 0);
    read_state(&bms, 3, 0);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_both);
    read_state(&bms, 3, 0);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_discharge);
}

/* A MOS that a protection has opened is not switched off, and switching the other one must not switch it off. */
TEST(switch_and_protections)
{
    struct bms bms = new_bms(&jbd_driver);
    read_state(&bms, 2, 0x0001);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_discharge);
    command(&bms, e1_discharge);
    for (int i = 0; i < 4; i++)
        read_state(&bms, 0, 0x1001);
    expect_switch(&bms, BMS_DISCHARGE_MOS, true, e1_none);
    expect_switch(&bms, BMS_CHARGE_MOS, false, e1_both);
}

/* The replies show when another program has switched a MOS off, or released it. */
TEST(switch_of_others)
{
    struct bms bms = new_bms(&jbd_driver);
    read_state(&bms, 2, 0x1000);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_both);
    read_state(&bms, 3, 0);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_discharge);
    /* Released while a protection keeps it open: bit 12 shows it. */
    read_state(&bms, 2, 0x1000);
    read_state(&bms, 2, 0x0001);
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, e1_discharge);
}

/* The switch register is FB only if the status is 80 to E1: its four frames, section 7. */
TEST(new_switch)
{
    struct bms bms = new_bms(&jbd_driver);
    struct pack pack = cleared_pack();
    read_state(&bms, 3, 0);
    assert_int_equal(exchange(&bms, e1_charge, "DD E1 81 00 FF 7F 77", &pack), BMS_REFUSED);
    expect_switch(&bms, BMS_CHARGE_MOS, false, e1_charge);
    assert_int_equal(exchange(&bms, e1_charge, "DD E1 80 00 FF 80 77", &pack), BMS_REFUSED);
    expect_switch(&bms, BMS_CHARGE_MOS, false, "DD 5A FB 02 01 01 FF 01 77");
    expect_switch(&bms, BMS_CHARGE_MOS, true, "DD 5A FB 02 01 00 FF 02 77");
    expect_switch(&bms, BMS_DISCHARGE_MOS, false, "DD 5A FB 02 00 01 FF 02 77");
    expect_switch(&bms, BMS_DISCHARGE_MOS, true, "DD 5A FB 02 00 00 FF 03 77");
    assert_int_equal(exchange(&bms, "DD 5A FB 02 01 01 FF 01 77", "DD FB 00 00 00 00 77", &pack),
                     BMS_DONE);
}

TEST(addresses)
{
    static const char reply[] = "DD 02 04 00 02 0C EF FE FD 77";
    struct bms bms = new_bms(&jbd_addressed_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(exchange(&bms, "DD 01 A5 04 00 FF 56 77", reply, &pack), BMS_FOREIGN);
    assert_int_equal(exchange(&bms, "DD 02 A5 03 00 FF 56 77", reply, &pack), BMS_FOREIGN);
    assert_int_equal(exchange(&bms, "DD 02 A5 04 00 FF 55 77", "DD 02 A5 04 00 FF 55 77", &pack),
                     BMS_FOREIGN);
    assert_values(&pack, {CELL_MV, NAN});
    assert_int_equal(exchange(&bms, "DD 02 A5 04 00 FF 55 77", reply, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV, 3311});
    bms.options.address = 3;
    assert_int_equal(exchange(&bms, "", reply, &pack), BMS_FOREIGN);
    bms.options.address = 2;
    assert_int_equal(exchange(&bms, "", reply, &pack), BMS_DONE);
}

static void sample_pack(struct pack *pack, unsigned cells, unsigned temps)
{
    pack_clear(pack);
    set_values(pack, {VOLTAGE_V, 52.34}, {CURRENT_A, -12.34}, {SOC_PERCENT, 57},
               {REMAINING_AH, 159.6}, {FULL_AH, 279.5}, {RATED_AH, 280}, {CYCLES, 321},
               {CELL_COUNT, cells});
    for (unsigned n = 1; n <= cells; n++)
        pack_set_cell(pack, n, 3300 + n * 7 % 31);
    pack_set(pack, TEMP_COUNT, temps);
    for (unsigned n = 1; n <= temps; n++)
        pack_set_temp(pack, n, -10.5 + 4 * n);
    set_values(pack, {CHARGE_MOS, 0}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 5});
    pack_set_text(pack, FIRMWARE, (const uint8_t *) "8.1", 3);
    pack_set_text(pack, MODEL, (const uint8_t *) "JBD-SP25S003", 12);
}

/* Asks an emulated BMS and decodes the reply into `got`. */
static int ask(struct bms *host, struct bms *device, const struct bms_request *request,
               struct pack *pack, struct pack *got)
{
    struct bms_output out;
    assert_int_equal(bms_emulate(device, pack, request->bytes, request->size, &out), request->size);
    return receive_all(host, request, out.bytes, out.size, got);
}

/* The recorded effect of E1: FET byte and bit 12; values other than 0…3 are rejected. */
TEST(emulated_switch)
{
    struct bms host, device;
    struct pack pack, got;
    bms_init(&host, &jbd_driver);
    bms_init(&device, &jbd_driver);
    sample_pack(&pack, 4, 1);
    pack_set(&pack, CHARGE_MOS, 1);
    pack_clear(&got);
    struct bms_request basic = request_of(ASK_BASIC), request;
    assert_int_equal(ask(&host, &device, &basic, &pack, &got), BMS_DONE);
    assert_true(jbd_driver.control(&host, BMS_CHARGE_MOS, false, &request));
    assert_int_equal(ask(&host, &device, &request, &pack, &got), BMS_DONE);
    assert_values(&pack, {CHARGE_MOS, 0}, {DISCHARGE_MOS, 1});
    assert_int_equal(ask(&host, &device, &basic, &pack, &got), BMS_DONE);
    assert_values(&got, {CHARGE_MOS, 0});
    assert_int_equal(got.raw_alarms[0], 0x1000);
    /* When a protection ends, a commanded switch stays off; a protection that opens the other MOS remains. */
    pack_set(&pack, CHARGE_MOS, 1);
    pack_set(&pack, DISCHARGE_MOS, 0);
    pack_alarm(&pack, CELL_UNDER_VOLTAGE, ALARM_PROTECTION);
    assert_int_equal(ask(&host, &device, &basic, &pack, &got), BMS_DONE);
    assert_values(&got, {CHARGE_MOS, 0});
    assert_true(jbd_driver.control(&host, BMS_CHARGE_MOS, true, &request));
    assert_int_equal(ask(&host, &device, &request, &pack, &got), BMS_DONE);
    assert_values(&pack, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 0});
    request = request_of("DD 5A E1 02 00 04 FF 19 77");
    assert_int_equal(ask(&host, &device, &request, &pack, &got), BMS_REFUSED);
    assert_values(&pack, {CHARGE_MOS, 1});
}

/* Byte by byte, and the effect on an emulated board. */
TEST(settings)
{
    static const struct {
        enum pack_value id;
        double value;
        unsigned part;
        const char *request, *reply;
    } cases[] = {
        {SOC_PERCENT, 80, 0, "DD 5A 00 02 56 78 FF 30 77", "DD 00 00 00 00 00 77"},
        {SOC_PERCENT, 80, 1, "DD A5 11 00 FF EF 77", "DD 11 00 02 6D 60 FF 31 77"},
        {SOC_PERCENT, 80, 2, "DD 5A E0 02 57 80 FE 47 77", "DD E0 00 00 00 00 77"},
        {SOC_PERCENT, 80, 3, "DD 5A 01 02 00 00 FF FD 77", "DD 01 00 00 00 00 77"},
        {RATED_AH, 100, 0, "DD 5A 00 02 56 78 FF 30 77", "DD 00 00 00 00 00 77"},
        {RATED_AH, 100, 1, "DD 5A 10 02 27 10 FF B7 77", "DD 10 00 00 00 00 77"},
        {RATED_AH, 100, 2, "DD 5A 01 02 28 28 FF AD 77", "DD 01 00 00 00 00 77"},
    };
    struct bms host, device;
    struct bms_output out;
    struct pack pack, got;
    bms_init(&host, &jbd_driver);
    bms_init(&device, &jbd_driver);
    sample_pack(&pack, 4, 1);
    pack_set(&pack, RATED_AH, 280);
    pack_unset(&pack, FULL_AH);
    pack_clear(&got);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms_request request;
        assert_true(
            jbd_driver.set(&host, cases[i].id, cases[i].value, cases[i].part, NULL, &request));
        assert_bytes(request.bytes, request.size, cases[i].request);
        bms_emulate(&device, &pack, request.bytes, request.size, &out);
        assert_bytes(out.bytes, out.size, cases[i].reply);
        assert_int_equal(receive_all(&host, &request, out.bytes, out.size, &got), BMS_DONE);
    }
    assert_values(&pack, {SOC_PERCENT, 80}, {REMAINING_AH, 224}, {RATED_AH, 100});
}

/* Only in factory mode; not if the steps of the capacities differ. */
TEST(settings_refused)
{
    static const char *const outside[] = {"DD 5A E0 02 57 80 FE 47 77",
                                          "DD 5A 10 02 27 10 FF B7 77", "DD A5 10 00 FF F0 77",
                                          "DD 5A 00 02 56 79 FF 2F 77"};
    struct bms host, device;
    struct pack pack, got;
    bms_init(&host, &jbd_driver);
    bms_init(&device, &jbd_driver);
    sample_pack(&pack, 4, 1);
    pack_clear(&got);
    const struct pack before = pack;
    for (size_t i = 0; i < COUNT(outside); i++) {
        struct bms_request request = request_of(outside[i]);
        assert_int_equal(ask(&host, &device, &request, &pack, &got), BMS_REFUSED);
    }
    assert_values(&pack, {RATED_AH, before.value[RATED_AH]},
                  {SOC_PERCENT, before.value[SOC_PERCENT]});
    pack_set(&pack, RATED_AH, 800);
    struct bms_request basic = request_of(ASK_BASIC), request;
    assert_int_equal(ask(&host, &device, &basic, &pack, &got), BMS_DONE);
    assert_false(jbd_driver.set(&host, SOC_PERCENT, 80, 0, NULL, &request));
}

/* Another program may have left a board in factory mode: it is told to leave until it has confirmed that. But a
 * gateway that does not write settings never sends this. */
TEST(leaves_factory_mode)
{
    const unsigned step = jbd_driver.steps - 1;
    struct bms host, device;
    struct bms_request request;
    struct pack pack, got;
    bms_init(&host, &jbd_driver);
    assert_false(jbd_driver.build(&host, step, &request));
    host.options.settable = true;
    assert_true(jbd_driver.build(&host, step, &request));
    assert_bytes(request.bytes, request.size, "DD 5A 01 02 00 00 FF FD 77");
    bms_forget(&host);
    assert_true(jbd_driver.build(&host, step, &request));
    bms_init(&device, &jbd_driver);
    sample_pack(&pack, 4, 1);
    pack_clear(&got);
    assert_int_equal(ask(&host, &device, &request, &pack, &got), BMS_DONE);
    assert_false(jbd_driver.build(&host, step, &request));
    bms_forget(&host); /* a new connection: no other program was there in the meantime */
    assert_false(jbd_driver.build(&host, step, &request));
    host.options.settable =
        false; /* writing settings is disabled while the board is in factory mode */
    assert_true(jbd_driver.set(&host, SOC_PERCENT, 80, 0, NULL, &request));
    bms_forget(&host);
    assert_true(jbd_driver.build(&host, step, &request));
    struct bytes unknown = make_reply(0x01, 0x80, NULL, 0);
    assert_int_equal(receive_all(&host, &request, unknown.bytes, unknown.size, &got), BMS_REFUSED);
    assert_false(jbd_driver.build(&host, step, &request));
}
