// SPDX-License-Identifier: MIT
/*
 * Registers of Daly's dialect D2: the sheet `daly-d2`, sections 4 to 7. Power (57) and the
 * average, difference and extremes of the cells are less precise than what follows from voltage,
 * current and cells, so only 43 and 44 are read, for programs that do not read the cells. 201-203
 * hold a password and are never read.
 */
#include "daly_common.h"
#include "daly_modbus.h"

#include <math.h>
#include <string.h>

enum {
    AVERAGE = 55,
    FAULTS = 58,
    MASK = 62,
    OLD_HARDWARE = 185,
    OLD_HARDWARE_COUNT = 16,
    CHARGE_LIMIT = 148
};

// clang-format off
static const struct modbus_value values[] = {
    /* reg, type, value, offset, divisor, raw values: lowest, highest */
    {40, MODBUS_U16, VOLTAGE_V, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {42, MODBUS_U16, SOC_PERCENT, .divisor = 10, .highest = 0xFFFE},
    {43, MODBUS_U16, CELL_MAX_MV, .lowest = 1, .highest = 0xFFFE},
    {44, MODBUS_U16, CELL_MIN_MV, .highest = 0xFFFE},
    {47, MODBUS_U16, FLOW, .highest = 2},
    {48, MODBUS_U16, REMAINING_AH, .divisor = 10, .highest = 0xFFFE},
    {49, MODBUS_U16, CELL_COUNT, .lowest = 1, .highest = 32},
    {50, MODBUS_U16, TEMP_COUNT, .highest = 8},
    {51, MODBUS_U16, CYCLES, .highest = 0xFFFE},
    {52, MODBUS_U16, BALANCING, .highest = 0xFFFE},
    {53, MODBUS_U16, CHARGE_MOS, .highest = 1},
    {54, MODBUS_U16, DISCHARGE_MOS, .highest = 1},
    {66, MODBUS_U16, MOS_TEMP_C, .offset = -40, .lowest = 1, .highest = 254},
    {128, MODBUS_U16, RATED_AH, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    /* Section 5: of two levels the second one switches off. */
    {140, MODBUS_U16, SET_CELL_HIGH_MV, .lowest = 1, .highest = 6000},
    {142, MODBUS_U16, SET_CELL_LOW_MV, .lowest = 1, .highest = 6000},
    {144, MODBUS_U16, SET_PACK_HIGH_V, .divisor = 10, .lowest = 1, .highest = 15000},
    {146, MODBUS_U16, SET_PACK_LOW_V, .divisor = 10, .lowest = 1, .highest = 15000},
    {150, MODBUS_U16, SET_DISCHARGE_CURRENT_A, .offset = -30000, .divisor = 10, .lowest = 30001, .highest = 0xFFFE, .blank = 30000},
    {152, MODBUS_U16, SET_CHARGE_HOT_C, .offset = -40, .lowest = 1, .highest = 254},
    {154, MODBUS_U16, SET_CHARGE_COLD_C, .offset = -40, .lowest = 1, .highest = 254},
    {156, MODBUS_U16, SET_DISCHARGE_HOT_C, .offset = -40, .lowest = 1, .highest = 254},
    {158, MODBUS_U16, SET_DISCHARGE_COLD_C, .offset = -40, .lowest = 1, .highest = 254},
    {160, MODBUS_U16, SET_CELL_DIFFERENCE_MV, .lowest = 1, .highest = 6000},
    {163, MODBUS_U16, SET_BALANCE_START_MV, .lowest = 1, .highest = 6000},
    {164, MODBUS_U16, SET_BALANCE_DIFFERENCE_MV, .lowest = 1, .highest = 6000},
    {207, MODBUS_U16, SET_BALANCER, .highest = 1, .blank = 0xFFFF},
    {87, MODBUS_TEXT, SERIAL, .count = 12},
    {169, MODBUS_TEXT, FIRMWARE, .count = 8},
    {177, MODBUS_TEXT, MODEL, .count = 8},
};
// clang-format on

static void decode_rest(const struct modbus_window *window, struct pack *pack)
{
    /* A board that only balances repeats the pack voltage and the average cell after its sensors. It
     * has no current sensor and no switches: 0 is not a state of charge there (section 10). */
    static const enum pack_value lacks[] = {SOC_PERCENT, CURRENT_A,  FLOW,         REMAINING_AH,
                                            CYCLES,      CHARGE_MOS, DISCHARGE_MOS};
    const bool balances = modbus_has(window, 0, AVERAGE + 1) &&
                          modbus_word(window, 38) == modbus_word(window, 40) &&
                          modbus_word(window, 39) == modbus_word(window, AVERAGE) &&
                          pack->value[SOC_PERCENT] == 0 && pack->value[REMAINING_AH] == 0;
    for (size_t i = 0; balances && i < COUNT(lacks); i++)
        pack_unset(pack, lacks[i]);
    if (modbus_has(window, FAULTS, 4) && daly_bits(window, FAULTS, 4) != UINT64_MAX)
        daly_alarms(pack, daly_bits(window, FAULTS, 4));
    /* Firmware without the mask has FFFF or other values here; finish() compares it with the
     * balancer's state. */
    /* Charging is below 30000, whatever the sign of the live current (section 5). */
    if (modbus_has(window, CHARGE_LIMIT, 1)) {
        uint64_t raw = daly_bits(window, CHARGE_LIMIT, 1);
        if (raw > 0 && raw < 30000)
            pack_set(pack, SET_CHARGE_CURRENT_A, (double) (30000 - raw) / 10);
    }
    if (modbus_has(window, MASK, 2)) {
        uint64_t mask = daly_bits(window, MASK, 2);
        pack_set(pack, BALANCE_MASK, mask == 0xFFFFFFFF ? NAN : (double) mask);
    }
    /* Older firmware has 32 characters per version, so its hardware name is where newer firmware
     * has a date. */
    if (!modbus_has(window, OLD_HARDWARE, OLD_HARDWARE_COUNT) || pack->text[MODEL][0])
        return;
    pack_set_text(pack, MODEL, window->data + 2 * (OLD_HARDWARE - window->start),
                  2 * OLD_HARDWARE_COUNT);
    if (strspn(pack->text[MODEL], "0123456789") == strlen(pack->text[MODEL]))
        memset(pack->text[MODEL], 0, TEXT_SIZE);
}

static uint16_t encode_rest(const struct pack *pack, unsigned reg)
{
    if (reg >= FAULTS && reg < FAULTS + 4)
        return (uint16_t) (daly_alarm_word(pack) >> 16 * (reg - FAULTS));
    if (reg == CHARGE_LIMIT)
        return (uint16_t) (30000 -
                           lround(10 * fmin(pack_value_or(pack, SET_CHARGE_CURRENT_A, 0), 2999)));
    return reg == 64 ? 30000 : 0; /* balance current: none */
}

const struct daly_map daly_d2_map = {
    .request_first = 0xD2,
    .request_last = 0xD2,
    .reply_shift = 0,
    .mos_step = 1,
    .temp_reg = 32,
    .max_cells = 32,
    .max_temps = 8,
    .cell_count = 49,
    .temp_count = 50,
    .mos_temp = 66,
    .current = 41,
    MODBUS_MAP_VALUES(values),
    .decode_rest = decode_rest,
    .charge_switch = 165,
    .discharge_switch = 166,
    .soc_setting = 167,
    .rated_setting = 128,
    .balancer_setting = 207,
    .last_reg = 214,
    .cell_average = AVERAGE,
    .cell_delta = 56,
    .power = 57,
    .hottest = 45,
    .coldest = 46,
    .mask = MASK,
    .mask_count = 2,
    .encode_rest = encode_rest,
};
