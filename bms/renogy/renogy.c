// SPDX-License-Identifier: MIT
/*
 * Renogy smart lithium batteries, with electronics by RongSi: "Modbus protocol V1.7". Follows the
 * sheet `renogy`; register numbers are decimal as there. Oddities: cells have a resolution of 100
 * mV and are truncated; there is no register for the state of charge; the word with the switches is
 * 0 on packs that do not report them; the Pro series counts its current in tenths, which no
 * register reveals.
 */
#include "bms/modbus/modbus.h"

#include <math.h>
#include <stdlib.h>

enum variant { VARIANT_STANDARD, VARIANT_PRO };
static const char *const variants[] = {"standard", "pro", NULL};

enum {
    REG_CELL_COUNT = 5000,
    REG_CELLS = 5001,
    REG_TEMP_COUNT = 5017,
    REG_CURRENT = 5042,
    REG_REMAINING = 5044,
    REG_FULL = 5046,
    REG_LIMITS = 5049,
    REG_OTHER_ALARMS = 5104,
    REG_STATUS_1 = 5106
};

// clang-format off
static const struct bms_step plan[] = {
    {.name = "cells and sensors", .vital = true, .read = {MODBUS_HOLDING, 5000, 34}},
    {.name = "current, charge",   .vital = true, .read = {MODBUS_HOLDING, 5042, 7}},
    {.name = "alarms, texts",                    .read = {MODBUS_HOLDING, 5104, 28}},
    {.name = "limits",                           .read = {MODBUS_HOLDING, 5049, 4}},
};

/* Section 3. */
static const struct modbus_value values[] = {
    {.reg = 5000, .type = MODBUS_U16, .id = CELL_COUNT, .lowest = 1, .highest = 16},
    {.reg = 5001, .type = MODBUS_U16, .id = CELL_MV, .count = 16, .counted = REG_CELL_COUNT, .divisor = 0.01},
    {.reg = 5017, .type = MODBUS_U16, .id = TEMP_COUNT, .lowest = 0, .highest = 16},
    {.reg = 5018, .type = MODBUS_S16, .id = TEMP_C, .count = 16, .counted = REG_TEMP_COUNT, .divisor = 10},
    {.reg = 5043, .type = MODBUS_U16, .id = VOLTAGE_V,    .divisor = 10},
    {.reg = 5044, .type = MODBUS_U32, .id = REMAINING_AH, .divisor = 1000},
    {.reg = 5046, .type = MODBUS_U32, .id = FULL_AH,      .divisor = 1000},
    {.reg = 5048, .type = MODBUS_U16, .id = CYCLES},
    {.reg = 5110, .type = MODBUS_TEXT, .id = SERIAL,   .count = 8},
    {.reg = 5122, .type = MODBUS_TEXT, .id = MODEL,    .count = 8},
    {.reg = 5130, .type = MODBUS_TEXT, .id = FIRMWARE, .count = 2},
};

#define LEVELS(warning, protection, alarm) MODBUS_ALARM(5107, warning, alarm, WARN), MODBUS_ALARM(5106, protection, alarm, PROT)

/* Section 4; 5104, with two bits per item, is decoded separately. */
static const struct modbus_alarm alarms[] = {
    MODBUS_ALARM(5106,  0, SHORT_CIRCUIT,               PROT),
    MODBUS_ALARM(5106,  4, CHARGE_OVER_CURRENT,         PROT), /* second level */
    MODBUS_ALARM(5106,  5, DISCHARGE_OVER_CURRENT,      PROT),
    MODBUS_ALARM(5106,  9, CHARGE_OVER_CURRENT,         PROT),
    MODBUS_ALARM(5106, 10, DISCHARGE_OVER_CURRENT,      PROT),
    LEVELS(0,  7, CELL_UNDER_VOLTAGE),
    LEVELS(1,  8, CELL_OVER_VOLTAGE),
    LEVELS(2, 15, PACK_UNDER_VOLTAGE),
    LEVELS(3,  6, PACK_OVER_VOLTAGE),
    LEVELS(4, 13, CHARGE_UNDER_TEMPERATURE),
    LEVELS(5, 14, CHARGE_OVER_TEMPERATURE),
    LEVELS(6, 11, DISCHARGE_UNDER_TEMPERATURE),
    LEVELS(7, 12, DISCHARGE_OVER_TEMPERATURE),
};
// clang-format on

/* Section 6. A cell with a broken wire reads 0. */
static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    if (!modbus_has(window, REG_CELL_COUNT, REG_TEMP_COUNT - REG_CELL_COUNT + 1))
        return BMS_DONE;
    unsigned count = modbus_word(window, REG_CELL_COUNT), plausible = 0;
    if (count < 1 || count > 16 || modbus_word(window, REG_TEMP_COUNT) > 16)
        return BMS_INVALID;
    for (unsigned i = 0; i < count; i++) {
        unsigned tenths = modbus_word(window, REG_CELLS + i);
        if (tenths > 50)
            return BMS_INVALID;
        plausible += tenths >= 5;
    }
    return plausible > 0 ? BMS_DONE : BMS_INVALID;
}

static void decode_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    /* All 0: not reported. The discharge limit is negative; the Pro series' unit is not known. */
    if (modbus_has(window, REG_LIMITS, 4) && modbus_word(window, REG_LIMITS) != 0) {
        pack_set(pack, CHARGE_VOLTAGE_LIMIT_V, modbus_word(window, REG_LIMITS) / 10.0);
        pack_set(pack, DISCHARGE_VOLTAGE_LIMIT_V, modbus_word(window, REG_LIMITS + 1) / 10.0);
        if (bms->options.variant != VARIANT_PRO) {
            pack_set(pack, CHARGE_CURRENT_LIMIT_A, modbus_word(window, REG_LIMITS + 2) / 100.0);
            pack_set(pack, DISCHARGE_CURRENT_LIMIT_A,
                     abs((int16_t) modbus_word(window, REG_LIMITS + 3)) / 100.0);
        }
    }
    if (modbus_has(window, REG_CURRENT, 1)) {
        double divisor = bms->options.variant == VARIANT_PRO ? 10 : 100;
        bms_set(bms, pack, CURRENT_A, (int16_t) modbus_word(window, REG_CURRENT) / divisor);
    }
    if (modbus_has(window, REG_REMAINING, 4)) {
        double full = modbus_long(window, REG_FULL), remaining = modbus_long(window, REG_REMAINING);
        if (full > 0)
            pack_set(pack, SOC_PERCENT, fmin(100 * remaining / full, 100));
    }
    if (modbus_has(window, REG_OTHER_ALARMS, 4)) {
        unsigned status = modbus_word(window, REG_STATUS_1);
        /* Two bits each: 1 low, 2 high; for currents, any value but 0 is too high. */
        uint32_t other = modbus_long(window, REG_OTHER_ALARMS);
        pack_alarm_at(pack, MOS_OVER_TEMPERATURE, ALARM_WARNING, other >> 30 == 2);
        pack_alarm_at(pack, CHARGE_OVER_CURRENT, ALARM_WARNING, other >> 20 & 3);
        pack_alarm_at(pack, DISCHARGE_OVER_CURRENT, ALARM_WARNING, other >> 18 & 3);
        if (status != 0) {
            pack_set(pack, CHARGE_MOS, status >> 1 & 1);
            pack_set(pack, DISCHARGE_MOS, status >> 2 & 1);
        }
    }
}

static const struct modbus_map map = {
    MODBUS_MAP_VALUES(values),
    MODBUS_MAP_ALARMS(alarms),
    .raw_first = REG_OTHER_ALARMS,
    .raw_count = 6,
    .check = check,
    .rest = decode_rest,
};

/* ---- emulator ---- */

// clang-format off
/* What the decoder does not take by its tables; currents are in tenths for the Pro series. */
static const struct modbus_value board_values[] = {
    {.reg = 5042, .type = MODBUS_S16, .id = CURRENT_A,                 .divisor = 100},
    {.reg = 5049, .type = MODBUS_U16, .id = CHARGE_VOLTAGE_LIMIT_V,    .divisor = 10},
    {.reg = 5050, .type = MODBUS_U16, .id = DISCHARGE_VOLTAGE_LIMIT_V, .divisor = 10},
    {.reg = 5051, .type = MODBUS_U16, .id = CHARGE_CURRENT_LIMIT_A,    .divisor = 100},
    {.reg = 5052, .type = MODBUS_S16, .id = DISCHARGE_CURRENT_LIMIT_A, .divisor = -100},
}, pro_values[] = {
    {.reg = 5042, .type = MODBUS_S16, .id = CURRENT_A,                 .divisor = 10},
    {.reg = 5051, .type = MODBUS_U16, .id = CHARGE_CURRENT_LIMIT_A,    .divisor = 10},
    {.reg = 5052, .type = MODBUS_S16, .id = DISCHARGE_CURRENT_LIMIT_A, .divisor = -10},
};
// clang-format on

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const uint32_t warnings = told->alarms_warning;
    if (reg >= REG_CELLS && reg < REG_TEMP_COUNT) /* truncated */
        return (int32_t) (pack_scaled(told, CELL_MV + reg - REG_CELLS, 1, 0, UINT16_MAX) / 100);
    if (reg == 5109)
        return 0xC0;
    if (reg == REG_OTHER_ALARMS) /* board, charge and discharge current */
        return (int32_t) ((warnings >> MOS_OVER_TEMPERATURE & 1) << 15 |
                          (warnings >> CHARGE_OVER_CURRENT & 1) << 4 |
                          (warnings >> DISCHARGE_OVER_CURRENT & 1) << 2);
    if (reg == REG_STATUS_1) /* bit 3: the battery is in use */
        return modbus_told_alarms(&map, told, reg) | 1 << 3 | (told->value[CHARGE_MOS] > 0) << 1 |
               (told->value[DISCHARGE_MOS] > 0) << 2;
    int32_t word = -1;
    if (bms->options.variant == VARIANT_PRO)
        word = modbus_told_rows(pro_values, COUNT(pro_values), told, function, reg);
    return word >= 0 ? word
                     : modbus_told_rows(board_values, COUNT(board_values), told, function, reg);
}

static const struct modbus_board board = {.word = board_word, .functions = {MODBUS_HOLDING}};

/* Section 1: as it comes, and what linked packs give themselves. */
static const struct bms_guess guesses[] = {
    {.address = 247}, {.address = 48}, {.address = 49}, {.address = 1}};

const struct bms_driver renogy_driver = {
    .name = "renogy",
    .title = "Renogy smart lithium batteries, RS485 Modbus",
    .guide = {.makes = "Renogy smart lithium batteries (RBT…)",
              .port = "RS485",
              .wires = "RS485, RJ45: A and B on 4-5 and 7-8 by model",
              .setting = "a pack asleep needs a load or a charger; linked packs count from 48",
              .address = "247 if not given. `standard`, `pro` (Pro series: current in tenths)",
              .unseen =
                  "a pack of the Pro series needs `protocol = renogy pro`, or its current is a "
                  "tenth of what flows"},
    .variants = variants,
    .address = {.min = 1, .max = 247, .usual = 247, .dip_first = 48, .dip_last = 63},
    .line = {.baud = 9600, .reply_ms = 800, .gap_ms = 100},
    MODBUS_PLAN(plan),
    BMS_GUESSES(guesses),
    MODBUS_ENGINE(map, board),
};
