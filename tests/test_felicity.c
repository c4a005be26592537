// SPDX-License-Identifier: MIT
/*
 * felicity beyond its captures: the direction of the
 * current, empty places, and devices that are no such pack.
 */
#include "modbus_test.h"

extern const struct bms_driver felicity_driver;

enum { STEP_STATE, STEP_CELLS, STEP_LIMITS, STEP_SERIAL, STEP_VERSION };

#define GOOD_STATE 5, 0, 0, 0, 5328, 0, 0, 0, 25, 50
#define ABSENT 0x7FFF

/* Section 3: a negative current charges; `current` can invert it; bits 0 and 2 of the state are permissions. */
TEST(state)
{
    static const struct {
        uint16_t raw;
        double current;
    } cases[] = {{0, 0}, {123, -12.3}, {0xFFFF, 0.1}, {0xFC18, 100}, {1000, -100}};
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int inverted = 0; inverted < 2; inverted++) {
            struct bms bms = new_bms(&felicity_driver);
            uint16_t words[] = {GOOD_STATE};
            words[5] = cases[i].raw;
            words[0] = inverted ? 1 : 4;
            bms.options.current = inverted ? BMS_CURRENT_INVERTED : BMS_CURRENT_AUTO;
            struct pack pack = cleared_pack();
            assert_int_equal(take_registers(&bms, STEP_STATE, words, &pack), BMS_DONE);
            assert_values(&pack, {CURRENT_A, inverted ? -cases[i].current : cases[i].current},
                          {CHARGE_MOS, inverted}, {DISCHARGE_MOS, !inverted});
        }
}

static enum bms_result take_cells(struct bms *bms, const uint16_t *words, struct pack *pack)
{
    pack_clear(pack);
    const enum bms_result result = take_registers(bms, STEP_CELLS, words, pack);
    if (result == BMS_DONE)
        felicity_driver.finish(bms, pack);
    return result;
}

/* Empty places are neither cells nor sensors. */
TEST(empty_places)
{
    for (unsigned cells = 1; cells <= 16; cells++) {
        struct bms bms = new_bms(&felicity_driver);
        struct pack pack;
        uint16_t words[24];
        for (unsigned i = 0; i < 24; i++)
            words[i] = i < cells ? (uint16_t) (3300 + i) : ABSENT;
        words[16] = 0xFFFB;
        words[18] = 0;
        assert_int_equal(take_cells(&bms, words, &pack), BMS_DONE);
        assert_values(&pack, {CELL_COUNT, cells}, {CELL_MV + cells - 1, 3299 + cells});
        if (cells < 16)
            assert_values(&pack, {CELL_MV + cells, NAN});
        assert_values(&pack, {TEMP_C, -5}, {TEMP_C + 1, NAN}, {TEMP_C + 2, 0}, {TEMP_C + 3, NAN});
    }
}

/* Section 5. */
TEST(strangers)
{
    struct bms bms = new_bms(&felicity_driver);
    uint16_t words[] = {GOOD_STATE}, cells[24];
    struct pack pack = cleared_pack();
    words[9] = 101;
    assert_int_equal(take_registers(&bms, STEP_STATE, words, &pack), BMS_INVALID);
    words[9] = 50;
    words[4] = 9000;
    assert_int_equal(take_registers(&bms, STEP_STATE, words, &pack), BMS_INVALID);
    words[4] = 5328;
    assert_int_equal(take_registers(&bms, STEP_STATE, words, &pack), BMS_DONE);
    for (unsigned i = 0; i < 24; i++)
        cells[i] = 3330;
    assert_int_equal(take_cells(&bms, cells, &pack), BMS_DONE);
    cells[5] = ABSENT; /* a hole */
    assert_int_equal(take_cells(&bms, cells, &pack), BMS_INVALID);
    for (unsigned i = 0; i < 16; i++)
        cells[i] = 2500; /* 40 V beside a pack of 53 V */
    assert_int_equal(take_cells(&bms, cells, &pack), BMS_INVALID);
    for (unsigned i = 0; i < 16; i++)
        cells[i] = ABSENT;
    assert_int_equal(take_cells(&bms, cells, &pack), BMS_INVALID);
}

/* Section 3. */
TEST(limits)
{
    struct bms bms = new_bms(&felicity_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(
        take_registers(&bms, STEP_LIMITS, (const uint16_t[]){5760, 4800, 1200, 1500}, &pack),
        BMS_DONE);
    assert_values(&pack, {CHARGE_VOLTAGE_LIMIT_V, 57.6}, {DISCHARGE_VOLTAGE_LIMIT_V, 48},
                  {CHARGE_CURRENT_LIMIT_A, 120}, {DISCHARGE_CURRENT_LIMIT_A, 150});
}

TEST(texts)
{
    struct bms bms = new_bms(&felicity_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(
        take_registers(&bms, STEP_SERIAL, (const uint16_t[]){112, 5, 48, 20023, 65535}, &pack),
        BMS_DONE);
    assert_string_equal(pack.text[SERIAL], "1125482002365535");
    assert_int_equal(take_registers(&bms, STEP_VERSION, (const uint16_t[]){207}, &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "207");
}
