// SPDX-License-Identifier: MIT
/*
 * A protocol that does not exist: what tests/new_driver/try adds to a copy of the source, to prove that a driver is
 * one file and its line in drivers.c. No sheet, as there is no BMS.
 */
#include "bms/modbus/modbus.h"

#define CELLS 16
#define SENSORS 4
#define FIRST 0x7300

enum {
    REG_VOLTAGE = FIRST,
    REG_CURRENT,
    REG_SOC,
    REG_CELL_COUNT,
    REG_CELLS,
    REG_SENSOR_COUNT = REG_CELLS + CELLS,
    REG_SENSORS,
    REG_ALARMS = REG_SENSORS + SENSORS,
    REG_END
};

// clang-format off
static const struct bms_step plan[] = {
    {.name = "values", .vital = true, .read = {MODBUS_HOLDING, FIRST, REG_END - FIRST}},
};

static const struct modbus_value values[] = {
    {.reg = REG_VOLTAGE, .type = MODBUS_U16, .id = VOLTAGE_V, .divisor = 100},
    {.reg = REG_SOC,     .type = MODBUS_U16, .id = SOC_PERCENT},
    {.reg = REG_CELL_COUNT,   .type = MODBUS_U16, .id = CELL_COUNT, .lowest = 1, .highest = CELLS},
    {.reg = REG_CELLS,        .type = MODBUS_U16, .id = CELL_MV, .count = CELLS, .counted = REG_CELL_COUNT},
    {.reg = REG_SENSOR_COUNT, .type = MODBUS_U16, .id = TEMP_COUNT, .highest = SENSORS},
    {.reg = REG_SENSORS,      .type = MODBUS_S16, .id = TEMP_C, .count = SENSORS, .counted = REG_SENSOR_COUNT, .divisor = 10},
};

static const struct modbus_alarm alarms[] = {
    MODBUS_ALARM(REG_ALARMS, 0, CELL_OVER_VOLTAGE,  ALARM_PROTECTION),
    MODBUS_ALARM(REG_ALARMS, 1, CELL_UNDER_VOLTAGE, ALARM_PROTECTION),
    MODBUS_ALARM(REG_ALARMS, 2, SOC_LOW,            ALARM_WARNING),
};
// clang-format on

static void take_current(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    if (modbus_has(window, REG_CURRENT, 1))
        bms_set(bms, pack, CURRENT_A, (int16_t) modbus_word(window, REG_CURRENT) / 10.0);
}

static const struct modbus_map map = {
    .values = values,
    .value_count = COUNT(values),
    .alarms = alarms,
    .alarm_count = COUNT(alarms),
    .raw_first = REG_ALARMS,
    .raw_count = 1,
    .rest = take_current,
};

static const struct modbus_value current = {
    .reg = REG_CURRENT, .type = MODBUS_S16, .id = CURRENT_A, .divisor = 10};

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    return modbus_told_rows(&current, 1, told, function, reg);
}

static const struct modbus_board board = {.word = board_word, .functions = {MODBUS_HOLDING}};

const struct bms_driver acme_driver = {
    .name = "acme",
    .title = "Acme, RS485 Modbus",
    .guide = {.makes = "Acme",
              .port = "RS485",
              .wires = "RS485",
              .setting = "",
              .address = "1 if not given"},
    .address = {.min = 1, .max = 15, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 100},
    BMS_PLAN(plan),
    .build = modbus_build,
    MODBUS_ENGINE(map, board),
};
