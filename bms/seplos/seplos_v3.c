// SPDX-License-Identifier: MIT
/*
 * Seplos BMS 3.0 (XZH-ElecTech): Modbus RTU with functions 01, 04 and 10. Follows the sheet
 * `seplos-v3`. Oddities: address 0 is a slave like any other; the two halves of the parameters have
 * the same length, so only their contents identify a late reply; different registers switch a MOS
 * on and off; the number of cells is a parameter.
 */
#include "bms/modbus/modbus.h"

/* Section 3. */
enum {
    PACK = 0x1000,
    PACK_COUNT = 0x11,
    CELLS = 0x1100,
    CELLS_COUNT = 0x1A,
    STATE = 0x1200, /* coils */
    STATE_COUNT = 0x90,
    PARAMETERS = 0x1300,
    PARAMETERS_2 = 0x1335,
    PARAMETERS_COUNT = 0x35,
    IDENTITY = 0x1700,
    IDENTITY_COUNT = 0x33
};

// clang-format off
static const struct bms_step plan[] = {
    {.name = "pack values", .vital = true, .read = {MODBUS_INPUT, PACK,  PACK_COUNT}},
    {.name = "cells",       .vital = true, .read = {MODBUS_INPUT, CELLS, CELLS_COUNT}},
    {.name = "state",                      .read = {MODBUS_COILS, STATE, STATE_COUNT}},
    {.name = "parameters",          .every_s = 3600, .read = {MODBUS_INPUT, PARAMETERS,   PARAMETERS_COUNT}},
    {.name = "parameters, part 2",  .every_s = 3600, .read = {MODBUS_INPUT, PARAMETERS_2, PARAMETERS_COUNT}},
    {.name = "identity",            .every_s = 3600, .read = {MODBUS_INPUT, IDENTITY,     IDENTITY_COUNT}},
};

/* Section 6 draws the coils as bytes. */
#define BIT(byte, bit) (STATE + 8 * (byte) + (bit))

/* Section 7, temperatures; 0 and FFFF mean not set. */
#define KELVIN .type = MODBUS_U16, .offset = -2731, .divisor = 10, .lowest = 1, .highest = 0xFFFE

/* Sections 4, 5 and 7. Limits are those of protections, not of warnings. Extremes and averages
 * (1008 to 100D) are derived from the cells, because the registers can lag behind them. */
static const struct modbus_value values[] = {
    {.reg = 0x1000, .type = MODBUS_U16, .id = VOLTAGE_V,    .divisor = 100},
    {.reg = 0x1001, .type = MODBUS_S16, .id = CURRENT_A,    .divisor = 100},
    {.reg = 0x1002, .type = MODBUS_U16, .id = REMAINING_AH, .divisor = 100},
    {.reg = 0x1003, .type = MODBUS_U16, .id = FULL_AH,      .divisor = 100},
    {.reg = 0x1005, .type = MODBUS_U16, .id = SOC_PERCENT,  .divisor = 10, .highest = 1000, .required = true},
    {.reg = 0x1006, .type = MODBUS_U16, .id = SOH_PERCENT,  .divisor = 10, .highest = 1000, .required = true, .blank = 1000},
    {.reg = 0x1007, .type = MODBUS_U16, .id = CYCLES},
    {.reg = 0x100F, .type = MODBUS_U16, .id = DISCHARGE_CURRENT_LIMIT_A},
    {.reg = 0x1010, .type = MODBUS_U16, .id = CHARGE_CURRENT_LIMIT_A},
    {.reg = 0x1100, .type = MODBUS_U16, .id = CELL_MV, .count = 16},
    {.reg = 0x1110, .type = MODBUS_U16, .id = TEMP_C,  .count = 4, .offset = -2731, .divisor = 10, .blank = 2731},
    {.reg = 0x1119, .type = MODBUS_U16, .id = MOS_TEMP_C,          .offset = -2731, .divisor = 10, .blank = 2731},
    {.reg = BIT(15, 0), .type = MODBUS_BIT, .bit = MODBUS_COIL, .id = DISCHARGE_MOS},
    {.reg = BIT(15, 1), .type = MODBUS_BIT, .bit = MODBUS_COIL, .id = CHARGE_MOS},
    {.reg = 0x1300, .type = MODBUS_U16, .id = TEMP_COUNT, .lowest = 1, .highest = 4, .blank = 4},
    {.reg = 0x1301, .type = MODBUS_U16, .id = CELL_COUNT, .lowest = 1, .highest = 16, .blank = 16},
    {.reg = 0x1358, .type = MODBUS_U16, .id = RATED_AH, .divisor = 100, .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1305, .type = MODBUS_U16, .id = SET_PACK_HIGH_V, .divisor = 100,  .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1309, .type = MODBUS_U16, .id = SET_PACK_LOW_V,  .divisor = 100,  .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x130C, .type = MODBUS_U16, .id = SET_CELL_HIGH_RELEASE_MV,         .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x130D, .type = MODBUS_U16, .id = SET_CELL_HIGH_MV,                 .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1310, .type = MODBUS_U16, .id = SET_CELL_LOW_RELEASE_MV,          .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1311, .type = MODBUS_U16, .id = SET_CELL_LOW_MV,                  .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1313, .type = MODBUS_U16, .id = SET_CELL_DIFFERENCE_MV,           .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1317, .type = MODBUS_U16, .id = SET_CHARGE_CURRENT_A,             .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x131D, .type = MODBUS_S16, .id = SET_DISCHARGE_CURRENT_A, .divisor = -1, .lowest = -32767, .highest = -1},
    {.reg = 0x1331, KELVIN, .id = SET_CHARGE_HOT_RELEASE_C},
    {.reg = 0x1332, KELVIN, .id = SET_CHARGE_HOT_C},
    {.reg = 0x1335, KELVIN, .id = SET_CHARGE_COLD_RELEASE_C, .blank = 2731},
    {.reg = 0x1336, KELVIN, .id = SET_CHARGE_COLD_C},
    {.reg = 0x1339, KELVIN, .id = SET_DISCHARGE_HOT_RELEASE_C},
    {.reg = 0x133A, KELVIN, .id = SET_DISCHARGE_HOT_C},
    {.reg = 0x133D, KELVIN, .id = SET_DISCHARGE_COLD_RELEASE_C},
    {.reg = 0x133E, KELVIN, .id = SET_DISCHARGE_COLD_C},
    {.reg = 0x1349, KELVIN, .id = SET_MOS_HOT_RELEASE_C},
    {.reg = 0x134A, KELVIN, .id = SET_MOS_HOT_C},
    {.reg = 0x1350, .type = MODBUS_U16, .id = SET_BALANCE_START_MV,             .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x1351, .type = MODBUS_U16, .id = SET_BALANCE_DIFFERENCE_MV,        .lowest = 1, .highest = 0xFFFE},
    {.reg = 0x170A, .type = MODBUS_TEXT, .id = MODEL,    .count = 10},
    {.reg = 0x1714, .type = MODBUS_TEXT, .id = FIRMWARE, .count = 1},
    {.reg = 0x1715, .type = MODBUS_TEXT, .id = SERIAL,   .count = 15},
};

/* A warning, and the protection in the next bit. */
#define LEVELS(byte, bit, alarm) \
    MODBUS_ALARM(BIT(byte, bit), MODBUS_COIL, alarm, WARN), MODBUS_ALARM(BIT(byte, (bit) + 1), MODBUS_COIL, alarm, PROT)

/* Section 6. What the sheet calls "raw only" is in the raw words. */
static const struct modbus_alarm alarms[] = {
    LEVELS( 9, 0, CELL_OVER_VOLTAGE),
    LEVELS( 9, 2, CELL_UNDER_VOLTAGE),
    LEVELS( 9, 4, PACK_OVER_VOLTAGE),
    LEVELS( 9, 6, PACK_UNDER_VOLTAGE),
    LEVELS(10, 0, CHARGE_OVER_TEMPERATURE),
    LEVELS(10, 2, CHARGE_UNDER_TEMPERATURE),
    LEVELS(10, 4, DISCHARGE_OVER_TEMPERATURE),
    LEVELS(10, 6, DISCHARGE_UNDER_TEMPERATURE),
    LEVELS(11, 4, MOS_OVER_TEMPERATURE),
    LEVELS(12, 0, CHARGE_OVER_CURRENT),
    MODBUS_ALARM(BIT(12, 2), MODBUS_COIL, CHARGE_OVER_CURRENT,         PROT), /* second level */
    MODBUS_ALARM(BIT(13, 2), MODBUS_COIL, CHARGE_OVER_CURRENT,         PROT), /* locked */
    LEVELS(12, 3, DISCHARGE_OVER_CURRENT),
    MODBUS_ALARM(BIT(12, 5), MODBUS_COIL, DISCHARGE_OVER_CURRENT,      PROT),
    MODBUS_ALARM(BIT(13, 3), MODBUS_COIL, DISCHARGE_OVER_CURRENT,      PROT),
    MODBUS_ALARM(BIT(12, 6), MODBUS_COIL, SHORT_CIRCUIT,               PROT),
    MODBUS_ALARM(BIT(13, 0), MODBUS_COIL, SHORT_CIRCUIT,               PROT),
    LEVELS(14, 2, SOC_LOW),
    MODBUS_ALARM(BIT(14, 4), MODBUS_COIL, CELL_IMBALANCE,              WARN),
    MODBUS_ALARM(BIT(17, 4), MODBUS_COIL, CELL_IMBALANCE,              PROT),
    MODBUS_ALARM(BIT(17, 0), MODBUS_COIL, TEMP_SENSOR_FAULT,           PROT),
    MODBUS_ALARM(BIT(17, 1), MODBUS_COIL, COMMUNICATION_FAULT,         PROT), /* front end */
    MODBUS_ALARM(BIT(17, 2), MODBUS_COIL, CHARGE_MOS_FAULT,            PROT),
    MODBUS_ALARM(BIT(17, 3), MODBUS_COIL, DISCHARGE_MOS_FAULT,         PROT),
    MODBUS_ALARM(BIT(17, 5), MODBUS_COIL, VOLTAGE_SENSOR_FAULT,        PROT), /* broken line */
};
// clang-format on

/* The first half begins with the numbers of sensors and cells, the second with a temperature. */
static bool is_first_half(const struct modbus_window *window, unsigned start)
{
    return modbus_word(window, start) <= 16 && modbus_word(window, start + 1) <= 48;
}

static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    if (modbus_has(window, PACK, 0x0E)) {
        /* Section 9; a pack that is empty or has fewer cells must be recognized, too. */
        const unsigned volts = modbus_word(window, 0x1000) / 100;
        if (volts < 5 || volts > 70 || modbus_word(window, 0x100A) < modbus_word(window, 0x100B))
            return BMS_INVALID;
    }
    if (modbus_has(window, PARAMETERS, 2) && !is_first_half(window, PARAMETERS))
        return BMS_FOREIGN;
    if (modbus_has(window, PARAMETERS_2, 2) && window->start == PARAMETERS_2 &&
        is_first_half(window, PARAMETERS_2))
        return BMS_FOREIGN;
    return BMS_DONE;
}

static unsigned byte_of(const struct modbus_window *window, unsigned byte)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 8; i++)
        bits |= (unsigned) modbus_coil(window, BIT(byte, i)) << i;
    return bits;
}

/* One bit per cell: bytes 0 to 3 are low and high cells, 6 and 7 balanced ones. */
static void decode_state(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    if (!modbus_has_coils(window, STATE, STATE_COUNT))
        return;
    pack_alarm_at(pack, CELL_UNDER_VOLTAGE, ALARM_WARNING,
                  byte_of(window, 0) || byte_of(window, 1));
    pack_alarm_at(pack, CELL_OVER_VOLTAGE, ALARM_WARNING, byte_of(window, 2) || byte_of(window, 3));
    pack_set(pack, BALANCE_MASK, byte_of(window, 6) | byte_of(window, 7) << 8);
    for (unsigned byte = 0; byte < STATE_COUNT / 8; byte += 2)
        pack_raw_alarm(pack, (uint16_t) (byte_of(window, byte) << 8 | byte_of(window, byte + 1)));
}

static const struct modbus_map map = {
    MODBUS_MAP_VALUES(values),
    MODBUS_MAP_ALARMS(alarms),
    .check = check,
    .rest = decode_state,
};

/* Until the parameters are read, which contain the number of sensors, trailing sensors at 0.0 °C
 * are not counted: reserved registers read like this. */
static void finish(struct bms *bms, struct pack *pack)
{
    bool unknown = !pack_known(pack, TEMP_COUNT);
    for (unsigned n = 4; unknown && n > 0 && pack->value[TEMP_C + n - 1] == 0; n--)
        pack_unset(pack, TEMP_C + n - 1);
    modbus_finish(bms, pack);
}

/* ---- control (section 8) ---- */

/* The neighbouring registers reset, calibrate or power off: only these are written. */
enum {
    DISCHARGE_SWITCH = 0x1510,
    CHARGE_OFF = 0x1511,
    CHARGE_ON = 0x1515,
    SWITCH_ON = 0xAA55,
    SWITCH_OFF = 0x55AA
};

static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    unsigned reg = DISCHARGE_SWITCH;
    if (which == BMS_CHARGE_MOS)
        reg = on ? CHARGE_ON : CHARGE_OFF;
    modbus_write_many((uint8_t) bms_address(bms), reg, on ? SWITCH_ON : SWITCH_OFF, request);
    return true;
}

/* ---- emulator: the pages of the maker's paper ---- */

// clang-format off
/* What the decoder does not read: averages, extremes, capacities among the parameters. */
static const struct modbus_value board_values[] = {
    {.reg = 0x1008, .type = MODBUS_U16, .id = CELL_AVG_MV},
    {.reg = 0x1009, KELVIN, .id = TEMP_AVG_C, .blank = 2731},
    {.reg = 0x100A, .type = MODBUS_U16, .id = CELL_MAX_MV},
    {.reg = 0x100B, .type = MODBUS_U16, .id = CELL_MIN_MV},
    {.reg = 0x100C, KELVIN, .id = TEMP_AVG_C, .blank = 2731},
    {.reg = 0x100D, KELVIN, .id = TEMP_AVG_C, .blank = 2731},
    {.reg = 0x1359, .type = MODBUS_U16, .id = RATED_AH,     .divisor = 100},
    {.reg = 0x135A, .type = MODBUS_U16, .id = REMAINING_AH, .divisor = 100},
};
// clang-format on

/* Requests for blocks of another board's group, and function 04 for coils, are refused. */
static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    static const char maker[20] = "XZH-ElecTech Co.,Ltd";
    if (function == MODBUS_COILS) {
        const unsigned byte = (reg - STATE) / 8, bit = (reg - STATE) % 8;
        const uint64_t mask = (uint64_t) pack_value_or(told, BALANCE_MASK, 0);
        if (byte == 6 || byte == 7)
            return (int32_t) (mask >> (8 * (byte - 6) + bit) & 1);
        if (byte != 8)
            return -1;
        const unsigned state = told->value[CURRENT_A] < 0 ? 0 : told->value[CURRENT_A] > 0 ? 1 : 4;
        return (int32_t) (state >> bit & 1);
    }
    if (reg >= IDENTITY && reg < IDENTITY + sizeof maker / 2)
        return (uint8_t) maker[2 * (reg - IDENTITY)] << 8 |
               (uint8_t) maker[2 * (reg - IDENTITY) + 1];
    if (reg >= CELLS + 20 && reg < CELLS + CELLS_COUNT && reg != CELLS + 25)
        return 2731;
    if (reg == PACK + PACK_COUNT)
        return 0;
    const int32_t word = modbus_told_rows(board_values, COUNT(board_values), told, function, reg);
    const bool preset = reg >= PARAMETERS && reg < PARAMETERS_2 + PARAMETERS_COUNT && word < 0 &&
                        modbus_told_rows(values, COUNT(values), told, function, reg) < 0;
    return preset ? 3500 : word;
}

static unsigned board_write(struct bms *bms, struct pack *told, unsigned reg, unsigned value)
{
    if (reg != DISCHARGE_SWITCH && reg != CHARGE_OFF && reg != CHARGE_ON)
        return MODBUS_BAD_ADDRESS;
    if (!(value == SWITCH_ON && reg != CHARGE_OFF) && !(value == SWITCH_OFF && reg != CHARGE_ON))
        return MODBUS_BAD_VALUE;
    pack_set(told, reg == DISCHARGE_SWITCH ? DISCHARGE_MOS : CHARGE_MOS, value == SWITCH_ON);
    return 0;
}

static const struct modbus_board board = {
    .word = board_word,
    .write = board_write,
    .functions = {MODBUS_COILS, MODBUS_INPUT},
};

/* The address switches of a single pack are set to 0, those of a group from 1 up. */
static const struct bms_guess guesses[] = {{.address = 0}, {.address = 1}, {.address = 2}};

const struct bms_driver seplos_v3_driver = {
    .name = "seplos-v3",
    .title = "Seplos BMS 3.0, RS485 Modbus",
    .guide = {.makes = "Seplos BMS 3.0 (Mason, Pusung, Fusion, Polo; boards SP05B, SP57B)",
              .port = "RS485",
              .wires = "RS485-1, RJ45: 1 or 8 B, 2 or 7 A, 3 or 6 GND",
              .setting = "DIP switches. 0 in a group of linked packs is a master that polls the "
                         "others itself: set all from 1 on, or connect each pack alone",
              .address = "0 if not given"},
    .address = {.min = 0, .max = 15, .usual = 0},
    .line = {.baud = 19200, .reply_ms = 500, .gap_ms = 50},
    MODBUS_PLAN(plan),
    BMS_GUESSES(guesses),
    MODBUS_ENGINE(map, board),
    .finish = finish,
    .control = build_switch,
};
