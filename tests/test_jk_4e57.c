// SPDX-License-Identifier: MIT
/*
 * jk-4e57 beyond its captures: single registers, unknown codes, the two
 * encodings of the current, and simulated packs read back.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

extern const struct bms_driver jk_4e57_driver;
static const struct bms_driver *const driver = &jk_4e57_driver;

enum { STEP_WAKE, STEP_ALL, STEP_PROTOCOL };

/* A frame made by the test (sheet, section 2). */
static size_t make(uint8_t *out, uint8_t command, uint8_t type, const uint8_t *info, size_t size)
{
    static const uint8_t start[] = {0x4E, 0x57};
    memset(out, 0, 20 + size);
    memcpy(out, start, 2);
    put_be16(out + 2, (uint32_t) size + 18);
    out[8] = command;
    out[10] = type;
    memcpy(out + 11, info, size);
    out[15 + size] = 0x68;
    put_be16(out + 18 + size, sum_bytes(out, 16 + size));
    return 20 + size;
}

static struct bms_request ask(uint8_t command, uint8_t code)
{
    struct bms_request request;
    request.size = make(request.bytes, command, 0, &code, 1);
    return request;
}

/* The reply to a read of one register. */
static enum bms_result take_one(struct bms *bms, uint8_t code, const uint8_t *value, size_t size,
                                struct pack *pack)
{
    uint8_t info[32] = {code}, frame[64];
    struct bms_request request = ask(0x03, code);
    memcpy(info + 1, value, size);
    return receive_frame(bms, &request, frame, make(frame, 0x03, 1, info, 1 + size), pack);
}

static void fill(struct pack *pack, unsigned cells)
{
    pack_clear(pack);
    pack_set(pack, CELL_COUNT, cells);
    for (unsigned i = 1; i <= cells; i++)
        pack_set_cell(pack, i, 3000 + 7 * i);
    set_values(pack, {VOLTAGE_V, 53.59}, {CURRENT_A, 2.08}, {SOC_PERCENT, 15}, {RATED_AH, 280},
               {FULL_AH, 271}, {CYCLES, 4});
    pack_set_temp(pack, 1, 30);
    pack_set_temp(pack, 2, -28);
    set_values(pack, {TEMP_COUNT, 2}, {MOS_TEMP_C, 0}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 0},
               {BALANCING, 1});
}

/* The reply of the simulated BMS to a request. */
static void answer(struct pack *simulated, const struct bms_request *request,
                   struct bms_output *out)
{
    struct bms bms = new_bms(driver);
    assert_int_equal(bms_emulate(&bms, simulated, request->bytes, request->size, out),
                     request->size);
}

static enum bms_result read_back(struct bms *bms, struct pack *simulated, struct pack *pack)
{
    struct bms_output out;
    struct bms_request request = ask(0x06, 0);
    answer(simulated, &request, &out);
    pack_clear(pack);
    return receive_frame(bms, &request, out.bytes, out.size, pack);
}

/* The example frames of the sheet for sections 3 and 7. */
TEST(short_replies)
{
    static const uint8_t soc[] = {0x4E, 0x57, 0x00, 0x14, 0, 0, 0,    0, 0x03, 0x00, 0x01,
                                  0x85, 0x64, 0,    0,    0, 0, 0x68, 0, 0,    0x02, 0x0E};
    static const uint8_t written[] = {0x4E, 0x57, 0x00, 0x13, 0, 0,    0, 0, 0x02, 0x00, 0x01,
                                      0xAB, 0,    0,    0,    0, 0x68, 0, 0, 0x01, 0xCE};
    struct bms_request request = ask(0x03, 0x85);
    struct bms bms = new_bms(driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_frame(&bms, &request, soc, sizeof soc, &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, 100});
    request = ask(0x03, 0x84);
    assert_int_equal(receive_frame(&bms, &request, soc, sizeof soc, &pack), BMS_FOREIGN);
    assert_true(driver->control(&bms, BMS_CHARGE_MOS, true, &request));
    assert_int_equal(receive_frame(&bms, &request, written, sizeof written, &pack), BMS_DONE);
    assert_int_equal(receive_frame(&bms, &request, soc, sizeof soc, &pack), BMS_FOREIGN);
    assert_true(driver->control(&bms, BMS_DISCHARGE_MOS, true, &request));
    assert_int_equal(receive_frame(&bms, &request, written, sizeof written, &pack), BMS_FOREIGN);
    assert_int_equal(receive_frame(&bms, &request, request.bytes, request.size, &pack),
                     BMS_FOREIGN); /* echo */
}

TEST(current)
{
    static const struct {
        uint8_t protocol;
        uint16_t raw;
        double amps;
    } cases[] = {
        {1, 0x80D0, 2.08}, {1, 0x0370, -8.80}, {1, 0x07D0, -20}, {1, 0x87D0, 20},
        {1, 0, 0},         {1, 0x8000, 0},     {0, 10000, 0},    {0, 11000, -10},
        {0, 9500, 5},      {0, 11234, -12.34}, {2, 0x80D0, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t raw[2];
        struct bms bms = new_bms(driver);
        struct pack pack = cleared_pack();
        put_be16(raw, cases[i].raw);
        take_one(&bms, 0x84, raw, 2, &pack);
        assert_false(
            pack_known(&pack, CURRENT_A)); /* the encoding of the current is not known yet */
        assert_int_equal(take_one(&bms, 0xC0, &cases[i].protocol, 1, &pack), BMS_DONE);
        take_one(&bms, 0x84, raw, 2, &pack);
        double amps = pack.value[CURRENT_A];
        bool unknown = isnan(cases[i].amps);
        bool right =
            fabs(amps - cases[i].amps) < 1e-9 && !signbit(amps) == !(cases[i].amps < 0); /* no -0 */
        if (unknown ? !isnan(amps) : !right)
            fail_msg("protocol %u, raw %04X: expected %g, got %g", cases[i].protocol, cases[i].raw,
                     cases[i].amps, amps);
    }
}

TEST(temperatures)
{
    static const struct {
        uint16_t raw;
        double celsius;
    } cases[] = {{0, 0},    {29, 29},   {99, 99},   {100, 0},
                 {101, -1}, {140, -40}, {141, NAN}, {0xFFFF, NAN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t raw[2];
        struct bms bms = new_bms(driver);
        struct pack pack = cleared_pack();
        put_be16(raw, cases[i].raw);
        take_one(&bms, 0x81, raw, 2, &pack);
        assert_true(pack.value[TEMP_C] == cases[i].celsius ||
                    (isnan(cases[i].celsius) && isnan(pack.value[TEMP_C])));
        assert_int_equal(pack.implausible, 0);
    }
}

/* Inserts bytes into the information of a whole answer, `before` bytes from its end, and corrects the frame. */
static size_t insert(struct bms_output *out, size_t before, const uint8_t *bytes, size_t size)
{
    uint8_t info[600];
    size_t length = out->size - 20, head = length - before;
    memcpy(info, out->bytes + 11, head);
    memcpy(info + head, bytes, size);
    memcpy(info + head + size, out->bytes + 11 + head, before);
    return make(out->bytes, 0x06, 1, info, length + size);
}

/* An unknown code before C0: everything before it is decoded; the current needs C0, which is then requested by itself
 * and remembered. */
TEST(unknown_code)
{
    static const uint8_t unknown[] = {0xEE, 0x12, 0x34};
    static const uint8_t one = 1;
    struct pack simulated, pack;
    struct bms_output out;
    struct bms_request all = ask(0x06, 0), request;
    fill(&simulated, 16);
    struct bms bms = new_bms(driver);
    answer(&simulated, &all, &out);
    size_t size = insert(&out, 2, unknown, sizeof unknown);
    pack_clear(&pack);
    assert_int_equal(receive_frame(&bms, &all, out.bytes, size, &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV + 15, 3112}, {FULL_AH, 271}, {CURRENT_A, NAN});
    assert_true(driver->build(&bms, STEP_PROTOCOL, &request));
    assert_request(&request, "4E 57 00 13 00 00 00 00 03 03 00 C0 00 00 00 00 68 00 00 01 E6 ");
    assert_int_equal(take_one(&bms, 0xC0, &one, 1, &pack), BMS_DONE);
    assert_false(driver->build(&bms, STEP_PROTOCOL, &request));
    assert_int_equal(receive_frame(&bms, &all, out.bytes, size, &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, 2.08});
    /* The log reports it. */
    assert_non_null(strstr(bms.remark, "register EE"));
}

/* An answer that ends before the four vital registers is rejected as a whole. */
TEST(malformed)
{
    static const uint8_t bad[][12] = {
        {0x79, 0x04, 1, 0x0C, 0x80, 2, 0x83, 0x14, 0xEF, 0x85, 0x0F,
         0x84}, /* a count that is not a multiple of 3 */
        {0x79, 0xFF, 1, 0x0C, 0x80, 0x83, 0x14, 0xEF, 0x84, 0, 0, 0x85}, /* longer than the frame */
        {0xEE, 0x79, 0x00, 0x83, 0x14, 0xEF, 0x84, 0, 0, 0x85, 0x0F,
         0}, /* begins with an unknown code */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pack pack, empty;
        uint8_t frame[64];
        struct bms_request request = ask(0x06, 0);
        struct bms bms = new_bms(driver);
        pack_clear(&pack);
        pack_clear(&empty);
        size_t size = make(frame, 0x06, 1, bad[i], sizeof bad[i]);
        assert_int_equal(receive_frame(&bms, &request, frame, size, &pack), BMS_INVALID);
        assert_memory_equal(&pack, &empty, sizeof pack);
    }
}

/* B9 is valid from software 10.10 on; the hardware version before it does not matter. */
TEST(full_capacity)
{
    static const struct {
        const char *version, *shown;
        bool known;
    } cases[] = {
        {"10.XW_S10.07___", "10.XW_S10.07", false},  {"10.XW_S10.09", "10.XW_S10.09", false},
        {"10.XW_S10.10___", "10.XW_S10.10", true},   {"H6.X__S6.1.3S__", "H6.X__S6.1.3S", false},
        {"11.XW_S11.262H_", "11.XW_S11.262H", true}, {"NW_1_0_0_200428", "NW_1_0_0_200428", false},
        {"15A_S15.41", "15A_S15.41", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pack simulated, pack;
        struct bms_output out;
        struct bms_request request = ask(0x06, 0);
        fill(&simulated, 4);
        struct bms bms = new_bms(driver);
        answer(&simulated, &request, &out);
        char *version = memmem(out.bytes, out.size, "11.XW_S11.262H_", 15);
        assert_non_null(version);
        strncpy(version, cases[i].version, 15);
        insert(&out, 0, (const uint8_t *) "", 0); /* mends the sum */
        pack_clear(&pack);
        assert_int_equal(receive_frame(&bms, &request, out.bytes, out.size, &pack), BMS_DONE);
        assert_string_equal(pack.text[FIRMWARE], cases[i].shown);
        assert_int_equal(pack_known(&pack, FULL_AH), cases[i].known);
    }
}

/* Section 6: the MOS that is off decides the direction of battery temperature alarms. */
TEST(direction)
{
    for (unsigned mos = 0; mos < 4; mos++) {
        bool charge = mos & 1, discharge = mos & 2;
        struct pack simulated, pack;
        fill(&simulated, 8);
        struct bms bms = new_bms(driver);
        pack_set(&simulated, CHARGE_MOS, charge);
        pack_set(&simulated, DISCHARGE_MOS, discharge);
        pack_alarm(&simulated, CHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION);
        pack_alarm(&simulated, DISCHARGE_OVER_TEMPERATURE, ALARM_PROTECTION);
        read_back(&bms, &simulated, &pack);
        bool both = charge == discharge;
        assert_int_equal(pack_alarm_active(&pack, CHARGE_UNDER_TEMPERATURE), both || !charge);
        assert_int_equal(pack_alarm_active(&pack, DISCHARGE_UNDER_TEMPERATURE), both || !discharge);
        assert_int_equal(pack_alarm_active(&pack, CHARGE_OVER_TEMPERATURE), both || !charge);
        assert_int_equal(pack_alarm_active(&pack, DISCHARGE_OVER_TEMPERATURE), both || !discharge);
        assert_int_equal(pack.raw_alarms[0], 1 << 4 | 1 << 9);
    }
}

TEST(control)
{
    struct bms bms, simulator;
    struct pack simulated, pack;
    struct bms_output out;
    struct bms_request request;
    fill(&simulated, 8);
    bms_init(&bms, driver);
    bms_init(&simulator, driver);
    assert_true(driver->control(&bms, BMS_CHARGE_MOS, false, &request));
    assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out),
                     request.size);
    assert_int_equal(receive_frame(&bms, &request, out.bytes, out.size, &pack), BMS_DONE);
    assert_values(&simulated, {CHARGE_MOS, 0});
    /* Missing registers and noise get no answer. */
    request = ask(0x03, 0x8D);
    assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out),
                     request.size);
    assert_int_equal(out.size, 0);
    assert_true(bms_emulate(&simulator, &simulated, (const uint8_t *) "noise", 5, &out) > 0);
    assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, 5, &out), 0);
}

/* Section 8: starts of frames within texts and noise, and the lengths of another protocol. */
TEST(resynchronise)
{
    static const uint8_t noise[] = {0x4E, 0x4E, 0x57, 0x6C, 0x81, 0x4E, 0x57, 0x00,
                                    0x13, 0,    0,    0,    0,    0x09, 0x4E};
    struct bms_request request = ask(0x06, 0);
    uint8_t bytes[128];
    struct bms bms = new_bms(driver);
    memcpy(bytes, noise, sizeof noise);
    size_t size =
        sizeof noise + make(bytes + sizeof noise, 0x03, 1, (const uint8_t[]){0x85, 0x64}, 2);
    size_t at = 0;
    struct bms_span span = {BMS_SKIP, 0};
    while (at < size && span.kind != BMS_FRAME) {
        at += span.size;
        span = driver->frame(&bms, &request, bytes + at, size - at);
        assert_int_not_equal(span.kind, BMS_MORE);
    }
    assert_int_equal(at, sizeof noise);
    bytes[at + 12]++;
    span = driver->frame(&bms, &request, bytes + at, size - at);
    assert_int_equal(span.kind, BMS_DAMAGED);
}

static bool contains(const uint8_t *bytes, size_t size, const char *text)
{
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

TEST(mask)
{
    static const char password[] = "hunter22";
    static const uint8_t unknown[] = {0xEE};
    struct pack simulated, pack;
    struct bms_output out;
    struct bms_request request = ask(0x06, 0);
    struct bms bms = new_bms(driver);
    for (int hidden = 0; hidden < 2; hidden++) {
        fill(&simulated, 8);
        answer(&simulated, &request, &out);
        uint8_t *register_b2 = memmem(out.bytes, out.size, "\xB1\x14\xB2", 3);
        assert_non_null(register_b2);
        memcpy(register_b2 + 3, password, sizeof password);
        size_t size = insert(&out, hidden ? 200 : 0, unknown, hidden ? 1 : 0);
        assert_true(contains(out.bytes, size, password));
        driver->mask(out.bytes, size);
        assert_false(contains(out.bytes, size, password));
        assert_int_equal(receive_frame(&bms, &request, out.bytes, size, &pack), BMS_DONE);
        assert_false(contains((const uint8_t *) &pack, sizeof pack, password));
    }
}

/* If the answer cannot be parsed, the masked text shows no more than before, and no password is left even if it seems
 * to be elsewhere. */
TEST(mask_of_the_unreadable)
{
    static const char password[] = "hunter22";
    uint8_t fooled[40] = {0xEE, 0xB2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xB3, 0xEE};
    uint8_t bytes[128];
    struct pack plain, pack;
    struct bms bms = new_bms(driver);
    /* 79 79: 121 bytes of cells, which is not a multiple of 3, and longer than the frame. */
    struct bms_request request = ask(0x03, 0x85);
    for (size_t count = 1; count < 60; count++) {
        uint8_t info[62] = {0x85, 0x32};
        memset(info + 2, 0x79, count);
        size_t size = make(bytes, 0x03, 1, info, 2 + count);
        pack_clear(&plain);
        pack_clear(&pack);
        assert_int_equal(receive_frame(&bms, &request, bytes, size, &plain), BMS_DONE);
        driver->mask(bytes, size);
        assert_int_equal(receive_frame(&bms, &request, bytes, size, &pack), BMS_DONE);
        assert_memory_equal(pack.value, plain.value, sizeof pack.value);
    }
    memcpy(fooled + 20, password, sizeof password);
    size_t size = make(bytes, 0x06, 1, fooled, sizeof fooled);
    driver->mask(bytes, size);
    assert_false(contains(bytes, size, password));
    assert_int_equal(driver->frame(&bms, &request, bytes, size).kind, BMS_FRAME);
}
