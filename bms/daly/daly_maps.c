// SPDX-License-Identifier: MIT
/* The register maps of Daly's two Modbus-like dialects. */
#include "daly_common.h"
#include "daly_modbus.h"

#include <math.h>
#include <string.h>

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
    CHARGE_LIMIT = 148
};

// clang-format off
static const struct modbus_value d2_values[] = {
    /* reg, type, value, offset, divisor, raw values: lowest, highest */
    {32, MODBUS_U16, TEMP_C, .count = 8, .counted = 50, .offset = -40, .lowest = 1, .highest = 254, .blank = 255},
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
    if (modbus_has(window, D2_FAULTS, 4) && daly_bits(window, D2_FAULTS, 4) != UINT64_MAX)
        daly_alarms(pack, daly_bits(window, D2_FAULTS, 4));
    /* Charging is below 30000, whatever the sign of the live current (section 5). */
    if (modbus_has(window, CHARGE_LIMIT, 1)) {
        uint64_t raw = daly_bits(window, CHARGE_LIMIT, 1);
        if (raw > 0 && raw < 30000)
            pack_set(pack, SET_CHARGE_CURRENT_A, (double) (30000 - raw) / 10);
    }
    /* Firmware without the mask has FFFF or other values here; finish() compares it with the
     * balancer's state. */
    if (modbus_has(window, D2_MASK, 2)) {
        uint64_t mask = daly_bits(window, D2_MASK, 2);
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

static uint16_t d2_encode_rest(const struct pack *pack, unsigned reg)
{
    if (reg >= D2_FAULTS && reg < D2_FAULTS + 4)
        return (uint16_t) (daly_alarm_word(pack) >> 16 * (reg - D2_FAULTS));
    if (reg == D2_MASK || reg == D2_MASK + 1)
        return (uint16_t) ((uint64_t) pack_value_or(pack, BALANCE_MASK, 0) >> 16 * (reg - D2_MASK));
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
    .max_cells = 32,
    .cell_count = 49,
    .mos_temp = 66,
    .current = 41,
    MODBUS_MAP_VALUES(d2_values),
    .decode_rest = d2_decode_rest,
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
    {0x30, MODBUS_U16, TEMP_C, .count = 8, .counted = 0x3D, .offset = -40, .lowest = 1, .highest = 254, .blank = 255},
    {0x38, MODBUS_U16, VOLTAGE_V, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {0x3A, MODBUS_U16, SOC_PERCENT, .divisor = 10, .highest = 0xFFFE},
    {0x3C, MODBUS_U16, CELL_COUNT, .lowest = 1, .highest = 48},
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

/* Levels count from 0 (none) to 7: 1 warns; from 2 on the BMS acts, like level 2 of dialect D2. */
static const struct fault {
    uint8_t reg, shift, bits; /* 3: a level, 1: a fault */
    uint8_t alarm;
} faults[] = {
    {0x6D,  0, 3, CELL_OVER_VOLTAGE},
    {0x6D,  3, 3, CELL_UNDER_VOLTAGE},
    {0x6D,  8, 3, CELL_IMBALANCE},
    {0x6D, 11, 3, CHARGE_OVER_TEMPERATURE},
    {0x6E,  0, 3, CHARGE_UNDER_TEMPERATURE},
    {0x6E,  3, 3, DISCHARGE_OVER_TEMPERATURE},
    {0x6E,  6, 1, MOS_OVER_TEMPERATURE}, /* charge FET */
    {0x6E,  7, 1, TEMP_SENSOR_FAULT},
    {0x6E,  8, 3, DISCHARGE_UNDER_TEMPERATURE},
    {0x6E, 11, 3, TEMPERATURE_IMBALANCE},
    {0x6E, 14, 1, MOS_OVER_TEMPERATURE}, /* discharge FET */
    {0x6E, 15, 1, TEMP_SENSOR_FAULT},
    {0x6F,  0, 3, PACK_OVER_VOLTAGE},
    {0x6F,  3, 3, PACK_UNDER_VOLTAGE},
    {0x6F,  6, 1, SHORT_CIRCUIT},
    {0x6F,  8, 3, CHARGE_OVER_CURRENT},
    {0x6F, 11, 3, DISCHARGE_OVER_CURRENT},
    {0x70,  0, 3, SOC_LOW},
    {0x70,  7, 1, COMMUNICATION_FAULT}, /* parallel link */
    {0x70,  8, 3, MOS_OVER_TEMPERATURE},
    {0x70, 11, 3, CHARGE_OVER_TEMPERATURE}, /* thermal runaway, which has no name of its own: too hot for both */
    {0x70, 11, 3, DISCHARGE_OVER_TEMPERATURE},
    {0x72,  8, 1, HARDWARE_FAULT},       /* AFE chip */
    {0x72,  9, 1, COMMUNICATION_FAULT},  /* AFE */
    {0x72, 10, 1, HARDWARE_FAULT},       /* AFE sampling */
    {0x72, 11, 1, VOLTAGE_SENSOR_FAULT},
    {0x72, 12, 1, VOLTAGE_SENSOR_FAULT}, /* sense wire */
    {0x72, 13, 1, VOLTAGE_SENSOR_FAULT}, /* total voltage */
    {0x72, 14, 1, HARDWARE_FAULT},       /* current measuring */
    {0x72, 15, 1, TEMP_SENSOR_FAULT},
    {0x73,  0, 1, TEMP_SENSOR_FAULT},    /* wire */
    {0x73,  1, 1, HARDWARE_FAULT},       /* EEPROM */
    {0x73,  2, 1, HARDWARE_FAULT},       /* flash */
    {0x73,  3, 1, HARDWARE_FAULT},       /* clock */
    {0x73,  4, 1, CHARGE_MOS_FAULT},
    {0x73,  5, 1, DISCHARGE_MOS_FAULT},
    {0x73,  6, 1, HARDWARE_FAULT},       /* pre-charge FET */
    {0x73,  7, 1, HARDWARE_FAULT},       /* pre-charge */
    {0x73, 15, 1, HARDWARE_FAULT},       /* heater */
};
// clang-format on

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
            daly_alarms(pack, daly_bits(window, P81_OLD_FAULTS, 4));
        return;
    }
    pack_clear_alarms(pack);
    for (size_t i = 0; i < COUNT(faults); i++) {
        enum pack_alarm alarm = (enum pack_alarm) faults[i].alarm;
        const unsigned word = modbus_word(window, faults[i].reg);
        const unsigned level = word >> faults[i].shift & ((1u << faults[i].bits) - 1);
        if (faults[i].bits > 1)
            pack_alarm(pack, alarm, level > 1 ? ALARM_PROTECTION : level == 1 ? ALARM_WARNING : 0);
        else
            pack_alarm_at(pack, alarm, ALARM_PROTECTION, level);
    }
    for (unsigned i = 0; i < P81_FAULT_COUNT; i++)
        pack_raw_alarm(pack, modbus_word(window, P81_FAULTS + i));
}

static uint16_t encode_faults(const struct pack *pack, unsigned reg)
{
    unsigned word = 0;
    uint32_t told = 0; /* alarms of earlier rows: each is reported once */
    for (size_t i = 0; i < COUNT(faults); i++) {
        const struct fault *fault = &faults[i];
        bool protects = pack->alarms_protection >> fault->alarm & 1;
        bool warns = pack->alarms_warning >> fault->alarm & 1;
        unsigned level = fault->bits == 1 ? protects : protects ? 2 : warns;
        if (level == 0 || told >> fault->alarm & 1)
            continue;
        told |= 1u << fault->alarm;
        if (fault->reg == reg)
            word |= level << fault->shift;
    }
    return (uint16_t) word;
}

static uint16_t p81_encode_rest(const struct pack *pack, unsigned reg)
{
    const uint32_t mah = (uint32_t) lround(pack_value_or(pack, RATED_AH, 0) * 1000);
    if (reg >= P81_FAULTS && reg < P81_FAULTS + P81_FAULT_COUNT)
        return encode_faults(pack, reg);
    if (reg == 0x60) /* limit: none */
        return 30000;
    if (reg >= RATED_MAH && reg < RATED_MAH + 4) /* twice */
        return (uint16_t) ((reg - RATED_MAH) % 2 == 0 ? mah >> 16 : mah);
    /* The registers from the fault words up to 0x100 do not exist. */
    return reg >= P81_FAULTS + P81_FAULT_COUNT && reg < 0x100 ? 0xFFFF : 0;
}

const struct daly_map daly_p81_map = {
    .request_first = 0x81,
    .request_last = 0x90,
    .reply_shift = 0x30,
    .max_cells = 48,
    .cell_count = 0x3C,
    .mos_temp = 0x5A,
    .current = 0x39,
    MODBUS_MAP_VALUES(p81_values),
    .decode_rest = p81_decode_rest,
    .charge_switch = CHARGE_SWITCH,
    .discharge_switch = DISCHARGE_SWITCH,
    .soc_setting = 0x116,
    .last_reg = 0x24C,
    .heartbeat = 0x3B,
    .cell_average = 0x57,
    .cell_delta = 0x42,
    .power = 0x58,
    .hottest = 0x43,
    .coldest = 0x45,
    .temp_delta = 0x47,
    .encode_rest = p81_encode_rest,
};
