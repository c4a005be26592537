// SPDX-License-Identifier: MIT
/*
 * daren beyond its captures: both possible positions of
 * the values, replies to other requests, refusals, and invalid frames.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/topbms/ydt1363.h"

extern const struct bms_driver daren_driver, topbms_driver;

enum { STEP_LIVE, STEP_PARAMETERS, STEP_IDENTITY, STEP_MAKER, STEP_CAPACITY };
#define STATES_AT 66 /* of a reply with 16 cells and 4 sensors, with its flag */

static struct bms_request step_request(struct bms *bms, unsigned step)
{
    struct bms_request request = {.size = 0};
    assert_true(daren_driver.build(bms, step, &request));
    return request;
}

/* A pack at rest: 16 cells of 3.3 V, 4 sensors. Returns the size. */
static size_t make_live(uint8_t d[YDT_INFO_MAX])
{
    size_t at = 0;
    memset(d, 0, 128);
    d[at++] = 0;
    put_be16(d + at, 5000);
    put_be16(d + at + 2, 5280);
    d[at + 4] = 16;
    at += 5;
    for (unsigned i = 0; i < 16; i++, at += 2)
        put_be16(d + at, 3300);
    at += 6;
    d[at] = 4;
    at += 1 + 8 + 13;
    assert_int_equal(at, STATES_AT);
    return at + 33;
}

static int take_info(struct bms *bms, unsigned step, uint8_t code, const uint8_t *info, size_t size,
                     struct pack *pack)
{
    struct bms_request request = step_request(bms, step);
    const struct ydt_head head = {0x22, (uint8_t) bms_address(bms), 0x4A, code};
    uint8_t frame[BMS_FRAME_MAX];
    size_t length = ydt_write(frame, &head, info, size);
    return daren_driver.decode(bms, &request, frame, length, pack);
}

TEST(switches_and_balancing)
{
    for (unsigned fet = 0; fet < 4; fet++) {
        uint8_t d[YDT_INFO_MAX];
        size_t size = make_live(d);
        put_be16(d + STATES_AT + 8, fet);
        put_be16(d + STATES_AT + 18, 0x8001);
        put_be16(d + STATES_AT + 20, 0xFFFF); /* cells 17 to 32, which it does not have */
        struct bms bms = new_bms(&daren_driver);
        struct pack pack = cleared_pack();
        assert_int_equal(take_info(&bms, STEP_LIVE, 0, d, size, &pack), BMS_DONE);
        assert_values(&pack, {CHARGE_MOS, fet & 1}, {DISCHARGE_MOS, fet >> 1},
                      {BALANCE_MASK, 0x8001});
    }
}

/* Section 4: hundredths of a percent, but whole percent where these agree with the capacities (50 %). */
TEST(state_of_charge)
{
    static const struct {
        unsigned raw;
        double percent;
    } cases[] = {{5000, 50}, {50, 50}, {49, 49}, {57, 0.57}, {80, 0.8}, {100, 1}, {101, 1.01}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t d[YDT_INFO_MAX];
        size_t size = make_live(d);
        struct bms bms = new_bms(&daren_driver);
        struct pack pack = cleared_pack();
        put_be16(d + 1, cases[i].raw);
        put_be16(d + STATES_AT - 6, 10000);
        put_be16(d + STATES_AT - 4, 5000);
        assert_int_equal(take_info(&bms, STEP_LIVE, 0, d, size, &pack), BMS_DONE);
        assert_values(&pack, {SOC_PERCENT, cases[i].percent}, {REMAINING_AH, 50});
    }
}

/* Section 4: newer firmware omits the flag. */
TEST(without_flag)
{
    uint8_t d[YDT_INFO_MAX];
    size_t size = make_live(d);
    struct bms bms = new_bms(&daren_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(take_info(&bms, STEP_LIVE, 0, d + 1, size - 1, &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, 50}, {VOLTAGE_V, 52.8}, {CELL_COUNT, 16},
                  {CELL_MV + 15, 3300});
}

/* A reply whose cells do not add up to its voltage, or that is too short or too long, is rejected. */
TEST(malformed)
{
    static const struct {
        size_t at;
        uint8_t byte;
    } cases[] = {{3, 0x10}, {5, 15}, {5, 17}, {5, 0}, {5, 33}, {6, 0x7F}, {44, 200}, {1, 0x7F}};
    uint8_t d[YDT_INFO_MAX];
    struct bms bms = new_bms(&daren_driver);
    struct pack pack = cleared_pack();
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t size = make_live(d);
        d[cases[i].at] = cases[i].byte;
        if (take_info(&bms, STEP_LIVE, 0, d, size, &pack) != BMS_INVALID)
            fail_msg("case %zu is believed", i);
    }
    const size_t size = make_live(d);
    for (size_t n = 0; n <= size + 2; n++) {
        bool whole = n == size || n == STATES_AT + 20; /* as recorded, and as on paper */
        if (take_info(&bms, STEP_LIVE, 0, d, n, &pack) != (whole ? BMS_DONE : BMS_INVALID))
            fail_msg("%zu bytes", n);
    }
}

/* A reply does not contain its command: its structure identifies it. */
TEST(late_replies)
{
    struct bms host, device;
    struct pack pack, got;
    struct bms_output out;
    bms_init(&host, &daren_driver);
    bms_init(&device, &daren_driver);
    pack_clear(&pack);
    pack_set(&pack, VOLTAGE_V, 52.8);
    pack_set(&pack, CELL_COUNT, 16);
    for (unsigned n = 1; n <= 16; n++)
        pack_set_cell(&pack, n, 3300);
    set_values(&pack, {TEMP_COUNT, 4}, {SET_CELL_HIGH_MV, 3650}, {SET_CELL_LOW_MV, 2500});
    for (unsigned asked = 0; asked < daren_driver.steps; asked++)
        for (unsigned answered = 0; answered < daren_driver.steps; answered++) {
            struct bms_request question = step_request(&host, asked),
                               other = step_request(&host, answered);
            pack_clear(&got);
            bms_emulate(&device, &pack, other.bytes, other.size, &out);
            assert_int_equal(daren_driver.decode(&host, &question, out.bytes, out.size, &got),
                             asked == answered ? BMS_DONE : BMS_FOREIGN);
        }
}

/* FF means that nothing was written, after a text or in its place. */
TEST(serial)
{
    static const struct {
        const char *written, *serial;
    } cases[] = {{"JD2M02150860 1  ", "JD2M02150860 1"},
                 {"", ""},
                 {"NIE-JC4810025C303276", "NIE-JC4810025C303276"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t d[119] = {0xB0, 1, 1, 3, 0xFF, 0x71};
        memset(d + 6, 0xFF, sizeof d - 6);
        memcpy(d + 6, cases[i].written, strlen(cases[i].written));
        struct bms bms = new_bms(&daren_driver);
        struct pack pack = cleared_pack();
        assert_int_equal(take_info(&bms, STEP_MAKER, 0, d, sizeof d, &pack), BMS_DONE);
        assert_string_equal(pack.text[SERIAL], cases[i].serial);
    }
}

TEST(refusals)
{
    static const struct {
        uint8_t code;
        enum bms_result result;
    } cases[] = {{0x01, BMS_REFUSED}, {0x02, BMS_INVALID}, {0x03, BMS_INVALID},
                 {0x04, BMS_REFUSED}, {0x06, BMS_REFUSED}, {0x90, BMS_INVALID},
                 {0x91, BMS_INVALID}, {0x42, BMS_FOREIGN}};
    struct bms bms = new_bms(&daren_driver);
    struct pack pack = cleared_pack();
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(take_info(&bms, STEP_LIVE, cases[i].code, NULL, 0, &pack),
                         cases[i].result);
}

/* Neither protocol accepts frames of the other, whatever was asked: VER and CID1 differ. */
TEST(siblings)
{
    static const struct ydt_head heads[] = {
        {0x20, 1, 0x4A, 0}, {0x22, 1, 0x46, 0}, {0x25, 1, 0x46, 0}, {0x22, 2, 0x4A, 0}};
    uint8_t d[YDT_INFO_MAX], frame[BMS_FRAME_MAX];
    size_t size = make_live(d);
    struct bms bms = new_bms(&daren_driver);
    struct pack pack = cleared_pack();
    struct bms_request request = step_request(&bms, STEP_LIVE);
    for (size_t i = 0; i < COUNT(heads); i++) {
        size_t length = ydt_write(frame, &heads[i], d, size);
        assert_int_equal(daren_driver.decode(&bms, &request, frame, length, &pack), BMS_FOREIGN);
    }
    const struct ydt_head own = {0x22, 1, 0x4A, 0};
    size_t length = ydt_write(frame, &own, d, size);
    struct bms other = new_bms(&topbms_driver);
    for (int variant = 0; topbms_driver.variants[variant]; variant++) {
        other.options.variant = variant;
        bms_forget(&other);
        assert_true(topbms_driver.build(&other, 0, &request));
        assert_true(topbms_driver.decode(&other, &request, frame, length, &pack) != BMS_DONE);
    }
}
