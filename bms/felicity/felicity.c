// SPDX-License-Identifier: MIT
/*
 * Felicity Solar batteries (FLA, FLB, LPBF): Modbus RTU, function 03. Follows the sheet `felicity`.
 * Oddities: a positive current discharges; a place without a cell or a sensor reads 7FFF; of the
 * switches only whether charging and discharging are allowed is reported.
 */
#include "bms/modbus/modbus.h"

#include <string.h>

/* Section 3. */
enum {
    STATE = 0x1302,
    STATE_COUNT = 10,
    REG_FAULT = 0x1304,
    REG_VOLTAGE = 0x1306,
    REG_CURRENT = 0x1307,
    REG_MOS_TEMP = 0x130A,
    REG_SOC = 0x130B,
    LIMITS = 0x131C,
    LIMITS_COUNT = 4,
    CELLS = 0x132A,
    CELLS_MOST = 16,
    SENSORS = 0x133A,
    SENSORS_MOST = 4,
    CELLS_COUNT = 24,
    SERIAL_NUMBER = 0xF804,
    SERIAL_COUNT = 5,
    VERSION = 0xF80B,
    ABSENT = 0x7FFF
};

struct memory {
    double volts; /* of the state read last; 0: not known */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

// clang-format off
static const struct bms_step plan[] = {
    {.name = "state",  .vital = true,            .read = {MODBUS_HOLDING, STATE,  STATE_COUNT}},
    {.name = "cells",  .vital = true,            .read = {MODBUS_HOLDING, CELLS,  CELLS_COUNT}},
    {.name = "limits",                           .read = {MODBUS_HOLDING, LIMITS, LIMITS_COUNT}},
    {.name = "serial number", .every_s = 3600,   .read = {MODBUS_HOLDING, SERIAL_NUMBER, SERIAL_COUNT}},
    {.name = "version",       .every_s = 3600,   .read = {MODBUS_HOLDING, VERSION, 1}},
};

/* Section 3. */
static const struct modbus_value values[] = {
    {.reg = STATE, .type = MODBUS_BIT, .bit = 0, .id = CHARGE_MOS},
    {.reg = STATE, .type = MODBUS_BIT, .bit = 2, .id = DISCHARGE_MOS},
    {.reg = REG_VOLTAGE,  .type = MODBUS_U16, .id = VOLTAGE_V, .divisor = 100},
    {.reg = REG_CURRENT,  .type = MODBUS_S16, .id = CURRENT_A, .divisor = -10},
    {.reg = REG_MOS_TEMP, .type = MODBUS_S16, .id = MOS_TEMP_C, .lowest = -60, .highest = 200, .blank = ABSENT},
    {.reg = REG_SOC,      .type = MODBUS_U16, .id = SOC_PERCENT, .highest = 100, .required = true},
    {.reg = LIMITS,       .type = MODBUS_U16, .id = CHARGE_VOLTAGE_LIMIT_V,    .divisor = 100},
    {.reg = LIMITS + 1,   .type = MODBUS_U16, .id = DISCHARGE_VOLTAGE_LIMIT_V, .divisor = 100},
    {.reg = LIMITS + 2,   .type = MODBUS_U16, .id = CHARGE_CURRENT_LIMIT_A,    .divisor = 10},
    {.reg = LIMITS + 3,   .type = MODBUS_U16, .id = DISCHARGE_CURRENT_LIMIT_A, .divisor = 10},
    {.reg = CELLS,   .type = MODBUS_U16, .id = CELL_MV, .count = CELLS_MOST, .lowest = 1, .highest = 0x7FFE,
     .blank = ABSENT},
    {.reg = SENSORS, .type = MODBUS_S16, .id = TEMP_C, .count = SENSORS_MOST, .lowest = -60, .highest = 200,
     .blank = ABSENT},
    {.reg = SERIAL_NUMBER, .type = MODBUS_U16, .id = SERIAL,   .digits = true, .count = SERIAL_COUNT},
    {.reg = VERSION,       .type = MODBUS_U16, .id = FIRMWARE, .digits = true},
};

/* Section 4. The cells' temperature has no direction. */
static const struct modbus_alarm alarms[] = {
    MODBUS_ALARM(REG_FAULT, 2, CELL_OVER_VOLTAGE,           ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 3, CELL_UNDER_VOLTAGE,          ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 4, CHARGE_OVER_CURRENT,         ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 5, DISCHARGE_OVER_CURRENT,      ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 6, MOS_OVER_TEMPERATURE,        ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 8, CHARGE_OVER_TEMPERATURE,     ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 8, DISCHARGE_OVER_TEMPERATURE,  ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 9, CHARGE_UNDER_TEMPERATURE,    ALARM_PROTECTION),
    MODBUS_ALARM(REG_FAULT, 9, DISCHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION),
};
// clang-format on

static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    const struct memory *memory = bms_memory(bms);
    if (modbus_has(window, STATE, STATE_COUNT)) {
        const unsigned volts = modbus_word(window, REG_VOLTAGE) / 100;
        if (volts < 2 || volts > 80)
            return BMS_INVALID;
    }
    if (!modbus_has(window, CELLS, CELLS_COUNT))
        return BMS_DONE;
    /* Section 5: 8 to 16 cells, behind the last one nothing but 7FFF. */
    unsigned count = 0;
    while (count < CELLS_MOST && modbus_word(window, CELLS + count) != ABSENT)
        count++;
    for (unsigned i = count; i < CELLS_MOST; i++)
        if (modbus_word(window, CELLS + i) != ABSENT)
            return BMS_INVALID;
    bool fits = memory->volts == 0 || modbus_cells_fit(window, CELLS, count, memory->volts);
    return count > 0 && fits ? BMS_DONE : BMS_INVALID;
}

static void decode_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    if (modbus_has(window, REG_VOLTAGE, 2))
        memory->volts = modbus_word(window, REG_VOLTAGE) / 100.0;
    if (modbus_has(window, STATE, 1) && modbus_has(window, REG_FAULT, 1)) {
        pack_raw_alarm(pack, modbus_word(window, STATE));
        pack_raw_alarm(pack, modbus_word(window, REG_FAULT));
    }
}

static const struct modbus_map map = {
    MODBUS_MAP_VALUES(values),
    MODBUS_MAP_ALARMS(alarms),
    .check = check,
    .rest = decode_rest,
};

/* Empty places show that a pack has no sensors. */
static void finish(struct bms *bms, struct pack *pack)
{
    modbus_finish(bms, pack);
    if (pack_known(pack, CELL_MV) && !pack_known(pack, TEMP_COUNT))
        pack_set(pack, TEMP_COUNT, 0);
}

/* ---- emulator ---- */

/* Four digits, from `at` on, of a number stored as text; -1: none. */
static int32_t digits_word(const struct pack *told, enum pack_text id, size_t at)
{
    int32_t word = -1;
    for (size_t i = at; i < at + 4 && i < strlen(told->text[id]); i++) {
        const int digit = told->text[id][i] - '0';
        if (digit < 0 || digit > 9)
            return -1;
        word = (word < 0 ? 0 : 10 * word) + digit;
    }
    return word;
}

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    if (reg >= CELLS && reg - CELLS < told->value[CELL_COUNT] && reg < SENSORS)
        return (int32_t) pack_scaled(told, CELL_MV + reg - CELLS, 1, 0,
                                     UINT16_MAX); /* 0: its wire is broken */
    if (reg >= SENSORS + SENSORS_MOST && reg < CELLS + CELLS_COUNT)
        return ABSENT;
    int32_t word = -1;
    if (reg >= SERIAL_NUMBER && reg < SERIAL_NUMBER + SERIAL_COUNT)
        word = digits_word(told, SERIAL, 4 * (reg - SERIAL_NUMBER));
    if (reg == VERSION)
        word = digits_word(told, FIRMWARE, 0);
    return word < 0 && reg >= SERIAL_NUMBER ? MODBUS_NONE : word;
}

static const struct modbus_board board = {.word = board_word, .functions = {MODBUS_HOLDING}};

const struct bms_driver felicity_driver = {
    .name = "felicity",
    .title = "Felicity Solar, RS485 Modbus",
    .guide = {.makes = "Felicity Solar FLA, FLB and LPBF batteries",
              .port = "RS485",
              .wires = "RS485 (RJ45): 5 B, 6 A, 1 GND",
              .setting = "DIP switches: address",
              .address = "1 if not given"},
    .address = {.min = 1, .max = 31, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 100},
    MODBUS_PLAN(plan),
    MODBUS_ENGINE(map, board),
    .finish = finish,
};
