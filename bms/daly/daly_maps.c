// SPDX-License-Identifier: MIT
/* The register maps of Daly's two Modbus-like dialects. */
#include "daly_common.h"
#include "daly_modbus.h"

#include <math.h>
#include <string.h>

#define NO_CURRENT 30000
#define MOST 0xFFFE /* FFFF: the unit does not have the register */

/* Up to four registers of the window as one number, the first in the lowest bits. */
static uint64_t bits_at(const struct modbus_window *window, unsigned reg, unsigned count)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < count; i++)
        bits |= (uint64_t) modbus_word(window, reg + i) << 16 * i;
    return bits;
}

/* ---- simulated packs ---- */

/* The raw temperature of the hottest or coldest sensor, or 255 if there is none. */
static int32_t extreme_temp(const struct pack *told, bool hottest)
{
    double found = NAN; /* which fmax and fmin ignore */
    for (int i = 0; i < MAX_TEMPS; i++)
        found =
            hottest ? fmax(found, told->value[TEMP_C + i]) : fmin(found, told->value[TEMP_C + i]);
    return isnan(found) ? 255 : (int32_t) fmax(round(found) + 40, 0);
}

static int32_t power_word(const struct pack *told)
{
    return (int32_t) fmin(fabs(pack_value_or(told, POWER_W, 0)), MOST);
}

/* Dialect D2: the sheet `daly-d2`, sections 4 to 7. Power (57) and the average, difference and
 * extremes of the cells are less precise than what follows from voltage, current and cells, so only
 * 43 and 44 are read, for programs that do not read the cells. 201-203 hold a password and are
 * never read. */
enum {
    AVERAGE = 55,
    D2_FAULTS = 58,
    D2_MASK = 62,
    OLD_HARDWARE = 185,
    OLD_HARDWARE_COUNT = 16,
    CHARGE_LIMIT = 148,
    D2_CHARGE_SWITCH = 165,
    D2_DISCHARGE_SWITCH = 166
};

// clang-format off
static const struct modbus_value d2_values[] = {
    /* reg, type, value, offset, divisor, raw values: lowest, highest */
    {0, MODBUS_U16, CELL_MV, .count = 32, .counted = 49, .highest = 0xFFFE},
    {32, MODBUS_U16, TEMP_C, .count = 8, .counted = 50, .offset = -40, .lowest = 1, .highest = 254, .blank = 255},
    {40, MODBUS_U16, VOLTAGE_V, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {41, MODBUS_U16, CURRENT_A, .offset = -NO_CURRENT, .divisor = 10, .lowest = 1, .highest = 0xFFFE, .blank = NO_CURRENT},
    {42, MODBUS_U16, SOC_PERCENT, .divisor = 10, .highest = 0xFFFE},
    {43, MODBUS_U16, CELL_MAX_MV, .lowest = 1, .highest = 0xFFFE},
    {44, MODBUS_U16, CELL_MIN_MV, .highest = 0xFFFE},
    {47, MODBUS_U16, FLOW, .highest = 2},
    {48, MODBUS_U16, REMAINING_AH, .divisor = 10, .highest = 0xFFFE},
    {49, MODBUS_U16, CELL_COUNT, .lowest = 1, .highest = 32, .required = true}, /* none: not ready (section 10) */
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
    {150, MODBUS_U16, SET_DISCHARGE_CURRENT_A, .offset = -NO_CURRENT, .divisor = 10, .lowest = NO_CURRENT + 1, .highest = 0xFFFE, .blank = NO_CURRENT},
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

/* Section 9. */
static const struct daly_register d2_writable[] = {
    {D2_CHARGE_SWITCH,    CHARGE_MOS,    1,  0, 1},
    {D2_DISCHARGE_SWITCH, DISCHARGE_MOS, 1,  0, 1},
    {167,                 SOC_PERCENT,   10, 0, 1000},
    {128,                 RATED_AH,      10, 1, UINT16_MAX},
    {207,                 SET_BALANCER,  1,  0, 1},
    {0},
};
// clang-format on

static void d2_decode_rest(const struct modbus_window *window, struct pack *pack)
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
    if (modbus_has(window, D2_FAULTS, 4) && bits_at(window, D2_FAULTS, 4) != UINT64_MAX)
        daly_alarms(pack, bits_at(window, D2_FAULTS, 4));
    /* Charging is below 30000, whatever the sign of the live current (section 5). */
    if (modbus_has(window, CHARGE_LIMIT, 1)) {
        uint64_t raw = bits_at(window, CHARGE_LIMIT, 1);
        if (raw > 0 && raw < NO_CURRENT)
            pack_set(pack, SET_CHARGE_CURRENT_A, (double) (NO_CURRENT - raw) / 10);
    }
    /* Firmware without the mask has FFFF or other values here; finish() compares it with the
     * balancer's state. */
    if (modbus_has(window, D2_MASK, 2)) {
        uint64_t mask = bits_at(window, D2_MASK, 2);
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

static int32_t d2_encode_rest(const struct pack *told, unsigned reg)
{
    if (reg >= D2_FAULTS && reg < D2_FAULTS + 4)
        return (uint16_t) (daly_alarm_word(told) >> 16 * (reg - D2_FAULTS));
    if (reg == D2_MASK || reg == D2_MASK + 1)
        return (uint16_t) ((uint64_t) pack_value_or(told, BALANCE_MASK, 0) >> 16 * (reg - D2_MASK));
    switch (reg) {
    case 45:
    case 46:
        return extreme_temp(told, reg == 45);
    case 47:
        return (int32_t) pack_flow(told);
    case AVERAGE:
        return (int32_t) pack_value_or(told, CELL_AVG_MV, 0);
    case 56:
        return (int32_t) pack_scaled(told, CELL_DELTA_MV, 1, 0, MOST);
    case 57:
        return power_word(told);
    case 64: /* balance current: none */
        return NO_CURRENT;
    case CHARGE_LIMIT:
        return NO_CURRENT - (int32_t) pack_scaled(told, SET_CHARGE_CURRENT_A, 10, 0, 29990);
    case D2_CHARGE_SWITCH:
    case D2_DISCHARGE_SWITCH:
        return (int32_t) pack_scaled(told, reg == D2_CHARGE_SWITCH ? CHARGE_MOS : DISCHARGE_MOS, 1,
                                     0, 1);
    }
    return -1;
}

const struct daly_map daly_d2_map = {
    .registers = {MODBUS_MAP_VALUES(d2_values), .rest = daly_rest},
    .request_first = 0xD2,
    .request_last = 0xD2,
    .cell_count = 49,
    .flow = 47,
    .mos_step = 1,
    .mos_temp = 66,
    .writable = d2_writable,
    .decode_rest = d2_decode_rest,
    .last_reg = 214,
    .encode_rest = d2_encode_rest,
};

/* Dialect 81: the sheet `daly-d2`, section 8. Fault words hold levels of three bits besides single
 * bits, the low byte first. 126-128, among the settings, hold a password, which is masked. Firmware
 * without the fault words 6D-73 has those of dialect D2 in 66-69; firmware with both has
 * contradicting values in the latter, which are ignored. */
enum {
    P81_OLD_FAULTS = 0x66,
    P81_FAULTS = 0x6D,
    P81_FAULT_COUNT = 7,
    RATED_MAH = 0x109,
    CHARGE_SWITCH = 0x121,
    DISCHARGE_SWITCH = 0x122
};

// clang-format off
static const struct modbus_value p81_values[] = {
    /* reg, type, value, offset, divisor, raw values: lowest, highest */
    {0, MODBUS_U16, CELL_MV, .count = 48, .counted = 0x3C, .highest = 0xFFFE},
    {0x30, MODBUS_U16, TEMP_C, .count = 8, .counted = 0x3D, .offset = -40, .lowest = 1, .highest = 254, .blank = 255},
    {0x38, MODBUS_U16, VOLTAGE_V, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {0x39, MODBUS_U16, CURRENT_A, .offset = -NO_CURRENT, .divisor = 10, .lowest = 1, .highest = 0xFFFE, .blank = NO_CURRENT},
    {0x3A, MODBUS_U16, SOC_PERCENT, .divisor = 10, .highest = 0xFFFE},
    {0x3C, MODBUS_U16, CELL_COUNT, .lowest = 1, .highest = 48, .required = true},
    {0x3D, MODBUS_U16, TEMP_COUNT, .highest = 8},
    {0x3E, MODBUS_U16, CELL_MAX_MV, .lowest = 1, .highest = 0xFFFE},
    {0x3F, MODBUS_U16, CELL_MAX_INDEX, .lowest = 1, .highest = 48},
    {0x40, MODBUS_U16, CELL_MIN_MV, .highest = 0xFFFE},
    {0x41, MODBUS_U16, CELL_MIN_INDEX, .lowest = 1, .highest = 48},
    {0x48, MODBUS_U16, FLOW, .highest = 2},
    {0x4B, MODBUS_U16, REMAINING_AH, .divisor = 10, .highest = 0xFFFE},
    {0x4C, MODBUS_U16, CYCLES, .highest = 0xFFFE},
    {0x4D, MODBUS_U16, BALANCING, .highest = 2}, /* 7 was recorded with an idle balancer */
    {0x4F, MODBUS_U48_LOW, BALANCE_MASK, .divisor = 1},
    {0x52, MODBUS_U16, CHARGE_MOS, .highest = 1},
    {0x53, MODBUS_U16, DISCHARGE_MOS, .highest = 1},
    {0x5A, MODBUS_U16, MOS_TEMP_C, .offset = -40, .lowest = 1, .highest = 254},
    {RATED_MAH, MODBUS_U32, RATED_AH, .divisor = 1000, .lowest = 1, .highest = UINT32_MAX},
    {0x178, MODBUS_TEXT, FIRMWARE, .count = 7},
    {0x17F, MODBUS_TEXT, MODEL, .count = 7},
    {0x18D, MODBUS_TEXT, SERIAL, .count = 14},
};

/* Section 9. */
static const struct daly_register p81_writable[] = {
    {CHARGE_SWITCH,    CHARGE_MOS,    1,  0, 1},
    {DISCHARGE_SWITCH, DISCHARGE_MOS, 1,  0, 1},
    {0x116,            SOC_PERCENT,   10, 0, 1000},
    {0},
};

/* Levels count from 0 (none) to 7: 1 warns; from 2 on the BMS acts, like level 2 of dialect D2. */
#define LEVEL(reg_, shift, least, most, alarm_, level_) \
    {{.reg = (reg_), .mask = 7 << (shift), .lowest = (least), .highest = (most)}, alarm_, level_}
#define LEVELS(reg, shift, alarm) LEVEL(reg, shift, 2, 7, alarm, PROT), LEVEL(reg, shift, 1, 1, alarm, WARN)
#define FAULT(reg, bit, alarm) MODBUS_ALARM(reg, bit, alarm, PROT)

static const struct modbus_alarm p81_faults[] = {
    LEVELS(0x6D,  0, CELL_OVER_VOLTAGE),
    LEVELS(0x6D,  3, CELL_UNDER_VOLTAGE),
    LEVELS(0x6D,  8, CELL_IMBALANCE),
    LEVELS(0x6D, 11, CHARGE_OVER_TEMPERATURE),
    LEVELS(0x6E,  0, CHARGE_UNDER_TEMPERATURE),
    LEVELS(0x6E,  3, DISCHARGE_OVER_TEMPERATURE),
    FAULT(0x6E,  6, MOS_OVER_TEMPERATURE), /* charge FET */
    FAULT(0x6E,  7, TEMP_SENSOR_FAULT),
    LEVELS(0x6E,  8, DISCHARGE_UNDER_TEMPERATURE),
    LEVELS(0x6E, 11, TEMPERATURE_IMBALANCE),
    FAULT(0x6E, 14, MOS_OVER_TEMPERATURE), /* discharge FET */
    FAULT(0x6E, 15, TEMP_SENSOR_FAULT),
    LEVELS(0x6F,  0, PACK_OVER_VOLTAGE),
    LEVELS(0x6F,  3, PACK_UNDER_VOLTAGE),
    FAULT(0x6F,  6, SHORT_CIRCUIT),
    LEVELS(0x6F,  8, CHARGE_OVER_CURRENT),
    LEVELS(0x6F, 11, DISCHARGE_OVER_CURRENT),
    LEVELS(0x70,  0, SOC_LOW),
    FAULT(0x70,  7, COMMUNICATION_FAULT), /* parallel link */
    LEVELS(0x70,  8, MOS_OVER_TEMPERATURE),
    LEVELS(0x70, 11, CHARGE_OVER_TEMPERATURE), /* thermal runaway, which has no name of its own: too hot for both */
    LEVELS(0x70, 11, DISCHARGE_OVER_TEMPERATURE),
    FAULT(0x72,  8, HARDWARE_FAULT),       /* AFE chip */
    FAULT(0x72,  9, COMMUNICATION_FAULT),  /* AFE */
    FAULT(0x72, 10, HARDWARE_FAULT),       /* AFE sampling */
    FAULT(0x72, 11, VOLTAGE_SENSOR_FAULT),
    FAULT(0x72, 12, VOLTAGE_SENSOR_FAULT), /* sense wire */
    FAULT(0x72, 13, VOLTAGE_SENSOR_FAULT), /* total voltage */
    FAULT(0x72, 14, HARDWARE_FAULT),       /* current measuring */
    FAULT(0x72, 15, TEMP_SENSOR_FAULT),
    FAULT(0x73,  0, TEMP_SENSOR_FAULT),    /* wire */
    FAULT(0x73,  1, HARDWARE_FAULT),       /* EEPROM */
    FAULT(0x73,  2, HARDWARE_FAULT),       /* flash */
    FAULT(0x73,  3, HARDWARE_FAULT),       /* clock */
    FAULT(0x73,  4, CHARGE_MOS_FAULT),
    FAULT(0x73,  5, DISCHARGE_MOS_FAULT),
    FAULT(0x73,  6, HARDWARE_FAULT),       /* pre-charge FET */
    FAULT(0x73,  7, HARDWARE_FAULT),       /* pre-charge */
    FAULT(0x73, 15, HARDWARE_FAULT),       /* heater */
};
// clang-format on

static const struct modbus_map p81_alarms = {MODBUS_MAP_ALARMS(p81_faults), .raw_first = P81_FAULTS,
                                             .raw_count = P81_FAULT_COUNT};

static bool all_absent(const struct modbus_window *window, unsigned reg, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (modbus_word(window, reg + i) != 0xFFFF)
            return false;
    return true;
}

static void p81_decode_rest(const struct modbus_window *window, struct pack *pack)
{
    if (!modbus_has(window, P81_FAULTS, P81_FAULT_COUNT))
        return;
    if (all_absent(window, P81_FAULTS, P81_FAULT_COUNT)) {
        if (modbus_has(window, P81_OLD_FAULTS, 4) && !all_absent(window, P81_OLD_FAULTS, 4))
            daly_alarms(pack, bits_at(window, P81_OLD_FAULTS, 4));
        return;
    }
    modbus_take_alarms(&p81_alarms, window, pack);
}

static int32_t p81_encode_rest(const struct pack *told, unsigned reg)
{
    if (reg >= P81_FAULTS && reg < P81_FAULTS + P81_FAULT_COUNT)
        return modbus_told_alarms(&p81_alarms, told, reg);
    /* The registers from the fault words up to 0x100 do not exist. */
    if (reg >= P81_FAULTS + P81_FAULT_COUNT && reg < 0x100)
        return 0xFFFF;
    switch (reg) {
    case 0x42:
        return (int32_t) pack_scaled(told, CELL_DELTA_MV, 1, 0, MOST);
    case 0x43:
    case 0x45:
        return extreme_temp(told, reg == 0x43);
    case 0x47:
        return extreme_temp(told, true) - extreme_temp(told, false);
    case 0x48:
        return (int32_t) pack_flow(told);
    case 0x57:
        return (int32_t) pack_value_or(told, CELL_AVG_MV, 0);
    case 0x58:
        return power_word(told);
    case 0x60: /* limit: none */
        return NO_CURRENT;
    case RATED_MAH + 2: /* once more */
    case RATED_MAH + 3:
        return modbus_told_rows(p81_values, COUNT(p81_values), told, MODBUS_HOLDING, reg - 2);
    case CHARGE_SWITCH:
    case DISCHARGE_SWITCH:
        return (int32_t) pack_scaled(told, reg == CHARGE_SWITCH ? CHARGE_MOS : DISCHARGE_MOS, 1, 0,
                                     1);
    }
    return -1;
}

const struct daly_map daly_p81_map = {
    .registers = {MODBUS_MAP_VALUES(p81_values), .rest = daly_rest},
    .request_first = 0x81,
    .request_last = 0x90,
    .reply_shift = 0x30,
    .cell_count = 0x3C,
    .flow = 0x48,
    .writable = p81_writable,
    .decode_rest = p81_decode_rest,
    .last_reg = 0x24C,
    .heartbeat = 0x3B,
    .encode_rest = p81_encode_rest,
};
