// SPDX-License-Identifier: MIT
/*
 * seplos-v3 beyond its captures: late halves of
 * the parameters, devices that are no such pack, and the switches.
 */
#include "modbus_test.h"

extern const struct bms_driver seplos_v3_driver;

enum { STEP_PACK, STEP_CELLS, STEP_STATE, STEP_PARAMETERS, STEP_PARAMETERS_2, STEP_IDENTITY };

static struct bms at_address(int address)
{
    struct bms bms = new_bms(&seplos_v3_driver);
    bms.options.address = address;
    return bms;
}

/* Both halves of the parameters have 53 registers. */
TEST(late_half)
{
    struct bms bms = at_address(0);
    uint16_t first[53] = {4, 15, 5400}, second[53] = {2731, 2631};
    second[35] = 30400;
    first[35] = 999;
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_PARAMETERS, second, &pack), BMS_FOREIGN);
    assert_int_equal(take_registers(&bms, STEP_PARAMETERS_2, first, &pack), BMS_FOREIGN);
    assert_values(&pack, {RATED_AH, NAN}, {CELL_COUNT, NAN});
    assert_int_equal(take_registers(&bms, STEP_PARAMETERS, first, &pack), BMS_DONE);
    assert_int_equal(take_registers(&bms, STEP_PARAMETERS_2, second, &pack), BMS_DONE);
    assert_values(&pack, {CELL_COUNT, 15}, {TEMP_COUNT, 4}, {RATED_AH, 304});
}

/* The number of cells is a parameter; until it is read, zeros after the last cell are not cells. */
TEST(cells)
{
    struct bms bms = at_address(0);
    uint16_t cells[26] = {0}, parameters[53] = {4, 14};
    for (unsigned i = 0; i < 15; i++)
        cells[i] = (uint16_t) (3300 + i);
    cells[3] = 0; /* a broken wire is a cell of 0 mV */
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_CELLS, cells, &pack), BMS_DONE);
    bms.driver->finish(&bms, &pack);
    assert_values(&pack, {CELL_COUNT, 15}, {CELL_MV + 3, 0}, {CELL_MV + 15, NAN});
    pack_clear(&pack);
    assert_int_equal(take_registers(&bms, STEP_CELLS, cells, &pack), BMS_DONE);
    assert_int_equal(take_registers(&bms, STEP_PARAMETERS, parameters, &pack), BMS_DONE);
    bms.driver->finish(&bms, &pack);
    pack_derive(&pack);
    assert_values(&pack, {CELL_COUNT, 14}, {CELL_MV + 14, NAN});
}

/* Without the parameters, a place that reads 0.0 °C after the others is not a sensor. */
TEST(sensors)
{
    struct bms bms = at_address(0);
    uint16_t cells[26] = {3300}, parameters[53] = {4, 16};
    cells[16] = 2946;
    cells[17] = cells[18] = cells[19] = 2731;
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_CELLS, cells, &pack), BMS_DONE);
    bms.driver->finish(&bms, &pack);
    assert_values(&pack, {TEMP_COUNT, 1}, {TEMP_C + 1, NAN});
    pack_clear(&pack);
    assert_int_equal(take_registers(&bms, STEP_CELLS, cells, &pack), BMS_DONE);
    assert_int_equal(take_registers(&bms, STEP_PARAMETERS, parameters, &pack), BMS_DONE);
    bms.driver->finish(&bms, &pack);
    assert_values(&pack, {TEMP_COUNT, 4}, {TEMP_C + 3, 0});
}

TEST(not_a_pack)
{
    static const struct {
        unsigned at;
        uint16_t word;
    } cases[] = {{0, 490}, {0, 7100}, {0, 0xFFFF}, {5, 1001}, {6, 1001}, {10, 3299}};
    static const uint16_t good[17] = {5325, 0,    100,  200, 0, 500, 1000, 3,  3300,
                                      2931, 3300, 3300, 0,   0, 0,   150,  120};
    struct bms bms = at_address(1);
    struct pack pack = cleared_pack();
    assert_int_equal(take_registers(&bms, STEP_PACK, good, &pack), BMS_DONE);
    assert_values(&pack, {DISCHARGE_CURRENT_LIMIT_A, 150}, {CHARGE_CURRENT_LIMIT_A, 120});
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint16_t words[17];
        memcpy(words, good, sizeof words);
        words[cases[i].at] = cases[i].word;
        pack_clear(&pack);
        assert_int_equal(take_registers(&bms, STEP_PACK, words, &pack), BMS_INVALID);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
}

/* Section 8: `00 10 15 10 00 01 02 55 AA 52 BE` and `... AA 55 53 0E` were recorded. */
TEST(switches)
{
    static const struct {
        enum bms_switch which;
        bool on;
        const char *request;
    } cases[] = {
        {BMS_DISCHARGE_MOS, false, "00 10 15 10 00 01 02 55 AA"},
        {BMS_DISCHARGE_MOS, true, "00 10 15 10 00 01 02 AA 55"},
        {BMS_CHARGE_MOS, false, "00 10 15 11 00 01 02 55 AA"},
        {BMS_CHARGE_MOS, true, "00 10 15 15 00 01 02 AA 55"},
    };
    struct bms bms = at_address(0), board = at_address(0);
    struct pack told, pack;
    pack_clear(&told);
    pack_set(&told, CHARGE_MOS, 1);
    pack_set(&told, DISCHARGE_MOS, 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms_request request;
        struct bms_output out;
        assert_true(bms.driver->control(&bms, cases[i].which, cases[i].on, &request));
        assert_bytes(request.bytes, 9, cases[i].request);
        bms_emulate(&board, &told, request.bytes, request.size, &out);
        assert_values(&told,
                      {cases[i].which == BMS_CHARGE_MOS ? CHARGE_MOS : DISCHARGE_MOS, cases[i].on});
        assert_int_equal(receive_all(&bms, &request, out.bytes, out.size, &pack), BMS_DONE);
    }
}
