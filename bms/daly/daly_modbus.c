// SPDX-License-Identifier: MIT
/*
 * Daly's Modbus-like protocols: dialect D2 (one unit, address D2) and dialect 81 (RS485, boards
 * 81-90 that reply as 51-60). Follows the sheet `daly-d2`; what a register means is in the map of
 * the dialect. Oddities: a reply does not name its start register and so means nothing without its
 * request; a D2 unit's reply to a write is the same bytes as the echo of a two-wire adapter;
 * writing many registers has no byte count; other programs read other stretches of registers than
 * we do, so every reply is taken as a window onto the map.
 */
#include "daly_common.h"

#include "bms/bytes.h"
#include "bms/modbus/modbus.h"

#include <math.h>
#include <string.h>

#define CRC_SIZE 2
#define WRITE_SIZE 8 /* bytes of a request to write a register, and of its reply */
#define NO_CURRENT 30000
#define P81_SETTINGS 0x100
#define P81_SETTINGS_COUNT 0x51
#define P81_PASSWORD 0x126
#define P81_PASSWORD_COUNT 3

/* A register that can be written: raw = value * factor. */
struct daly_register {
    uint16_t reg;
    uint8_t id;           /* enum pack_value */
    uint8_t factor;       /* 0: the end of the list */
    uint16_t least, most; /* raw; a unit does not answer others */
};

struct memory {
    struct daly_direction direction; /* of the current */
    bool line_echoes;                /* our own requests come back */
    bool echo_passed;                /* the echo of the current write was received */
    bool mos_useful;                 /* D2_MOS_STEP returned useful values */
    bool mos_useless;                /* it was answered, but never with useful values */
    uint8_t heartbeat;               /* of the emulator */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

enum { D2_MOS_STEP = 1 };

// clang-format off
static const struct bms_step d2_plan[] = {
    {.name = "status",        .vital = true,   .read = {MODBUS_HOLDING,   0, 62}},
    [D2_MOS_STEP] = {.name = "MOS temperature", .read = {MODBUS_HOLDING, 62,  9}},
    {.name = "settings",      .every_s = 3600, .read = {MODBUS_HOLDING, 128, 41}},
    {.name = "versions",      .every_s = 3600, .read = {MODBUS_HOLDING, 169, 32}},
    {.name = "serial number", .every_s = 3600, .read = {MODBUS_HOLDING,  87, 12}},
    {.name = "balancer switch", .every_s = 3600, .read = {MODBUS_HOLDING, 207, 1}},
};
/* The settings lie in the one range that is known to be answered. */
static const struct bms_step p81_plan[] = {
    {.name = "cells and measurements", .vital = true,   .read = {MODBUS_HOLDING, 0x000, 0x40}},
    {.name = "state and faults",       .vital = true,   .read = {MODBUS_HOLDING, 0x041, 0x3E}},
    {.name = "settings",               .every_s = 3600, .read = {MODBUS_HOLDING, P81_SETTINGS, P81_SETTINGS_COUNT}},
    {.name = "versions",               .every_s = 3600, .read = {MODBUS_HOLDING, 0x178, 0x4A}},
};
// clang-format on

/* What both dialects have, in different registers. */
static void decode_common(struct bms *bms, const struct modbus_window *window, unsigned cell_count,
                          unsigned flow, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    memory->direction.state_is_new |= modbus_has(window, flow, 1);
    /* Other programs read windows without the number of cells: 0 may then be behind the last one. */
    const bool counts = modbus_has(window, cell_count, 1);
    for (unsigned i = 0; i < MAX_CELLS && !counts; i++)
        if (modbus_has(window, i, 1) && pack->value[CELL_MV + i] == 0)
            pack_unset(pack, CELL_MV + i);
}

/* Up to four registers of the window as one number, the first in the lowest bits. */
static uint64_t bits_at(const struct modbus_window *window, unsigned reg, unsigned count)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < count; i++)
        bits |= (uint64_t) modbus_word(window, reg + i) << 16 * i;
    return bits;
}

/* The raw temperature of the hottest or coldest sensor, or 255 if there is none. */
static int32_t extreme_temp(const struct pack *told, bool hottest)
{
    double found = NAN; /* which fmax and fmin ignore */
    for (int i = 0; i < MAX_TEMPS; i++)
        found =
            hottest ? fmax(found, told->value[TEMP_C + i]) : fmin(found, told->value[TEMP_C + i]);
    return isnan(found) ? 255 : (int32_t) fmax(round(found) + 40, 0);
}

/* For simulated packs: a register that the decoder takes or that is in `rows`; 0: any other. */
static int32_t table_word(const struct bms *bms, const struct pack *told, unsigned function,
                          unsigned reg, const struct modbus_value *rows, size_t count)
{
    const struct modbus_map *map = bms->driver->map;
    struct pack raw = *told;
    for (int i = 0; i < MAX_TEMPS; i++) /* before the 40 is added: -0.5 °C is -1 */
        raw.value[TEMP_C + i] = round(told->value[TEMP_C + i]);
    raw.value[CELL_AVG_MV] = floor(told->value[CELL_AVG_MV]);
    raw.value[POWER_W] = fabs(told->value[POWER_W]);
    raw.value[FLOW] = pack_flow(told);
    int32_t word = modbus_told_rows(rows, count, &raw, function, reg);
    if (word < 0)
        word = modbus_told_rows(map->values, map->value_count, &raw, function, reg);
    return word < 0 ? 0 : word;
}

/* Dialect D2: the sheet `daly-d2`, sections 4 to 7. Power (57) and the average, difference and
 * extremes of the cells are less precise than what follows from voltage, current and cells, so only
 * 43 and 44 are read, for programs that do not read the cells. 201-203 hold a password and are
 * never read. */
enum {
    D2_FLOW = 47,
    D2_CELL_COUNT = 49,
    AVERAGE = 55,
    D2_FAULTS = 58,
    D2_MASK = 62,
    D2_MOS_TEMP = 66,
    OLD_HARDWARE = 185,
    OLD_HARDWARE_COUNT = 16,
    CHARGE_LIMIT = 148,
    D2_CHARGE_SWITCH = 165,
    D2_DISCHARGE_SWITCH = 166,
    D2_LAST = 214
};

// clang-format off
static const struct modbus_value d2_values[] = {
    /* reg, type, value, offset, divisor, raw values: lowest, highest */
    {0, MODBUS_U16, CELL_MV, .count = 32, .counted = D2_CELL_COUNT, .highest = 0xFFFE},
    {32, MODBUS_U16, TEMP_C, .count = 8, .counted = 50, .offset = -40, .lowest = 1, .highest = 254, .blank = 255},
    {40, MODBUS_U16, VOLTAGE_V, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {41, MODBUS_U16, CURRENT_A, .offset = -NO_CURRENT, .divisor = 10, .lowest = 1, .highest = 0xFFFE, .blank = NO_CURRENT},
    {42, MODBUS_U16, SOC_PERCENT, .divisor = 10, .highest = 0xFFFE},
    {43, MODBUS_U16, CELL_MAX_MV, .lowest = 1, .highest = 0xFFFE},
    {44, MODBUS_U16, CELL_MIN_MV, .highest = 0xFFFE},
    {D2_FLOW, MODBUS_U16, FLOW, .highest = 2},
    {48, MODBUS_U16, REMAINING_AH, .divisor = 10, .highest = 0xFFFE},
    {D2_CELL_COUNT, MODBUS_U16, CELL_COUNT, .lowest = 1, .highest = 32, .required = true}, /* none: not ready (section 10) */
    {50, MODBUS_U16, TEMP_COUNT, .highest = 8},
    {51, MODBUS_U16, CYCLES, .highest = 0xFFFE},
    {52, MODBUS_U16, BALANCING, .highest = 0xFFFE},
    {53, MODBUS_U16, CHARGE_MOS, .highest = 1},
    {54, MODBUS_U16, DISCHARGE_MOS, .highest = 1},
    {D2_MOS_TEMP, MODBUS_U16, MOS_TEMP_C, .offset = -40, .lowest = 1, .highest = 254},
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
}, d2_told[] = {
    {.reg = AVERAGE, .type = MODBUS_U16, .id = CELL_AVG_MV},
    {.reg = 56, .type = MODBUS_U16, .id = CELL_DELTA_MV},
    {.reg = 57, .type = MODBUS_U16, .id = POWER_W},
    {.reg = D2_CHARGE_SWITCH, .type = MODBUS_U16, .id = CHARGE_MOS},
    {.reg = D2_DISCHARGE_SWITCH, .type = MODBUS_U16, .id = DISCHARGE_MOS},
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

static void d2_decode_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    decode_common(bms, window, D2_CELL_COUNT, D2_FLOW, pack);
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
        const unsigned raw = modbus_word(window, CHARGE_LIMIT);
        if (raw > 0 && raw < NO_CURRENT)
            pack_set(pack, SET_CHARGE_CURRENT_A, (NO_CURRENT - raw) / 10.0);
    }
    /* Firmware without the mask has FFFF or other values here: finish() checks it. */
    if (modbus_has(window, D2_MASK, 2)) {
        uint64_t mask = bits_at(window, D2_MASK, 2);
        pack_set(pack, BALANCE_MASK, mask == 0xFFFFFFFF ? NAN : (double) mask);
    }
    /* Some units have no MOS sensor, and some of these no balance mask either (section 5): the step
     * is requested as long as it returns one of them. */
    if (modbus_has(window, D2_MOS_TEMP, 1)) {
        memory->mos_useful |= pack_known(pack, MOS_TEMP_C) || pack_known(pack, BALANCE_MASK);
        memory->mos_useless = !memory->mos_useful;
    }
    /* Older firmware, with 32 characters per version, has its hardware name where newer has a date. */
    if (!modbus_has(window, OLD_HARDWARE, OLD_HARDWARE_COUNT) || pack->text[MODEL][0])
        return;
    pack_set_text(pack, MODEL, window->data + 2 * (OLD_HARDWARE - window->start),
                  2 * OLD_HARDWARE_COUNT);
    if (strspn(pack->text[MODEL], "0123456789") == strlen(pack->text[MODEL]))
        memset(pack->text[MODEL], 0, TEXT_SIZE);
}

static int32_t d2_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    if (reg > D2_LAST)
        return MODBUS_NONE;
    if (reg >= D2_FAULTS && reg < D2_FAULTS + 4)
        return (uint16_t) (daly_alarm_word(told) >> 16 * (reg - D2_FAULTS));
    if (reg == D2_MASK || reg == D2_MASK + 1)
        return (uint16_t) ((uint64_t) pack_value_or(told, BALANCE_MASK, 0) >> 16 * (reg - D2_MASK));
    if (reg == 45 || reg == 46)
        return extreme_temp(told, reg == 45);
    if (reg == 64) /* balance current: none */
        return NO_CURRENT;
    if (reg == CHARGE_LIMIT)
        return NO_CURRENT - (int32_t) pack_scaled(told, SET_CHARGE_CURRENT_A, 10, 0, 29990);
    return table_word(bms, told, function, reg, d2_told, COUNT(d2_told));
}

static const struct modbus_map d2_map = {MODBUS_MAP_VALUES(d2_values), .rest = d2_decode_rest};

/* Dialect 81: the sheet `daly-d2`, section 8. Fault words hold levels of three bits besides single
 * bits, the low byte first. 126-128, among the settings, hold a password, which is masked. Firmware
 * without the fault words 6D-73 has those of dialect D2 in 66-69; firmware with both has
 * contradicting values in the latter, which are ignored. */
enum {
    P81_HEARTBEAT = 0x3B,
    P81_CELL_COUNT = 0x3C,
    P81_FLOW = 0x48,
    P81_OLD_FAULTS = 0x66,
    P81_FAULTS = 0x6D,
    P81_FAULT_COUNT = 7,
    RATED_MAH = 0x109,
    CHARGE_SWITCH = 0x121,
    DISCHARGE_SWITCH = 0x122,
    P81_LAST = 0x24C
};

// clang-format off
static const struct modbus_value p81_values[] = {
    /* reg, type, value, offset, divisor, raw values: lowest, highest */
    {0, MODBUS_U16, CELL_MV, .count = 48, .counted = P81_CELL_COUNT, .highest = 0xFFFE},
    {0x30, MODBUS_U16, TEMP_C, .count = 8, .counted = 0x3D, .offset = -40, .lowest = 1, .highest = 254, .blank = 255},
    {0x38, MODBUS_U16, VOLTAGE_V, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {0x39, MODBUS_U16, CURRENT_A, .offset = -NO_CURRENT, .divisor = 10, .lowest = 1, .highest = 0xFFFE, .blank = NO_CURRENT},
    {0x3A, MODBUS_U16, SOC_PERCENT, .divisor = 10, .highest = 0xFFFE},
    {P81_CELL_COUNT, MODBUS_U16, CELL_COUNT, .lowest = 1, .highest = 48, .required = true},
    {0x3D, MODBUS_U16, TEMP_COUNT, .highest = 8},
    {0x3E, MODBUS_U16, CELL_MAX_MV, .lowest = 1, .highest = 0xFFFE},
    {0x3F, MODBUS_U16, CELL_MAX_INDEX, .lowest = 1, .highest = 48},
    {0x40, MODBUS_U16, CELL_MIN_MV, .highest = 0xFFFE},
    {0x41, MODBUS_U16, CELL_MIN_INDEX, .lowest = 1, .highest = 48},
    {P81_FLOW, MODBUS_U16, FLOW, .highest = 2},
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
}, p81_told[] = {
    {.reg = 0x42, .type = MODBUS_U16, .id = CELL_DELTA_MV},
    {.reg = 0x57, .type = MODBUS_U16, .id = CELL_AVG_MV},
    {.reg = 0x58, .type = MODBUS_U16, .id = POWER_W},
    {.reg = RATED_MAH + 2, .type = MODBUS_U32, .id = RATED_AH, .divisor = 1000}, /* once more */
    {.reg = CHARGE_SWITCH, .type = MODBUS_U16, .id = CHARGE_MOS},
    {.reg = DISCHARGE_SWITCH, .type = MODBUS_U16, .id = DISCHARGE_MOS},
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

static void p81_decode_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    decode_common(bms, window, P81_CELL_COUNT, P81_FLOW, pack);
    if (!modbus_has(window, P81_FAULTS, P81_FAULT_COUNT))
        return;
    const bool absent = bits_at(window, P81_FAULTS, 4) == UINT64_MAX &&
                        bits_at(window, P81_FAULTS + 4, 3) == UINT64_MAX >> 16;
    if (!absent)
        modbus_take_alarms(&p81_alarms, window, pack);
    else if (modbus_has(window, P81_OLD_FAULTS, 4) &&
             bits_at(window, P81_OLD_FAULTS, 4) != UINT64_MAX)
        daly_alarms(pack, bits_at(window, P81_OLD_FAULTS, 4));
}

static int32_t p81_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    struct memory *memory = bms_memory(bms);
    if (reg > P81_LAST)
        return MODBUS_NONE;
    if (reg == P81_HEARTBEAT)
        return memory->heartbeat++;
    if (reg >= P81_FAULTS && reg < P81_FAULTS + P81_FAULT_COUNT)
        return modbus_told_alarms(&p81_alarms, told, reg);
    /* The registers from the fault words up to 0x100 do not exist. */
    if (reg >= P81_FAULTS + P81_FAULT_COUNT && reg < 0x100)
        return 0xFFFF;
    if (reg == 0x43 || reg == 0x45)
        return extreme_temp(told, reg == 0x43);
    if (reg == 0x47)
        return extreme_temp(told, true) - extreme_temp(told, false);
    if (reg == 0x60) /* limit: none */
        return NO_CURRENT;
    return table_word(bms, told, function, reg, p81_told, COUNT(p81_told));
}

static const struct modbus_map p81_map = {MODBUS_MAP_VALUES(p81_values), .rest = p81_decode_rest};

static const struct daly_register *writable(const struct bms *bms)
{
    return bms->driver->map == &p81_map ? p81_writable : d2_writable;
}

/* ---- addresses and frames (sections 1 and 3) ---- */

/* A board replies with its request address minus this. */
static uint8_t reply_shift(const struct bms *bms)
{
    return bms->driver->map == &p81_map ? 0x30 : 0;
}

/* The board with this address in requests; 0: none. */
static int board_of(const struct bms *bms, int address)
{
    const int board = address - bms->driver->board->address_offset;
    return board >= bms->driver->address.min && board <= bms->driver->address.max ? board : 0;
}

/* Requests and their echoes: D2 03 00 00 00 3E D7 B9, or with data for function 10. */
static size_t request_length(const uint8_t *bytes, size_t size)
{
    if (bytes[1] == MODBUS_WRITE_MANY && size >= 6)
        return be16(bytes + 4) <= MODBUS_READ_MAX ? 8u + 2u * be16(bytes + 4) : 0;
    const bool known =
        bytes[1] == MODBUS_HOLDING || bytes[1] == MODBUS_WRITE || bytes[1] == MODBUS_WRITE_MANY;
    return known ? 8 : 0;
}

/* Replies: 51 03 02 FF FF 79 F8, 51 06 01 74 00 A2 45 C5, 51 10 0F 05 AA AA 21 93. */
static size_t reply_length(const uint8_t *bytes, size_t size)
{
    if (bytes[1] == MODBUS_HOLDING && size < 3)
        return 5 + 2;
    if (bytes[1] == MODBUS_HOLDING)
        return bytes[2] > 0 && bytes[2] % 2 == 0 && bytes[2] <= 2 * MODBUS_READ_MAX ? 5u + bytes[2]
                                                                                    : 0;
    const unsigned function = bytes[1] & ~(unsigned) MODBUS_EXCEPTION;
    if (function != MODBUS_HOLDING && function != MODBUS_WRITE && function != MODBUS_WRITE_MANY)
        return 0;
    return bytes[1] & MODBUS_EXCEPTION ? 5 : 8;
}

/* Finds a frame at bytes[0]. If both directions use the same address it may be a reply or the echo
 * of a request. A possible reply to a read is never a request: D2 has no registers above FF, so
 * the byte count is where requests have 0. */
static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const bool answers = board_of(bms, bytes[0] + reply_shift(bms));
    const bool asks = board_of(bms, bytes[0]);
    if (!answers && !asks)
        return (struct bms_span){BMS_SKIP, 1};
    if (size < 2)
        return (struct bms_span){BMS_MORE, 0};
    size_t lengths[] = {answers ? reply_length(bytes, size) : 0,
                        asks ? request_length(bytes, size) : 0};
    if (bytes[1] == MODBUS_HOLDING && lengths[0] > 0)
        lengths[1] = 0;
    enum bms_span_kind kind = BMS_SKIP;
    for (size_t i = 0; i < 2; i++) {
        if (lengths[i] > 0 && lengths[i] <= size && modbus_crc_fits(bytes, lengths[i]))
            return (struct bms_span){BMS_FRAME, lengths[i]};
        if (lengths[i] > size)
            kind = BMS_MORE;
        else if (lengths[i] > 0 && kind == BMS_SKIP)
            kind = BMS_DAMAGED;
    }
    return (struct bms_span){kind, 1};
}

static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    if (!board_of(bms, bytes[0]))
        return (struct bms_span){BMS_SKIP, 1};
    struct bms_span span = modbus_question(bms, bytes, size, address);
    *address = board_of(bms, bytes[0]);
    return span;
}

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    return !(step == D2_MOS_STEP && memory->mos_useless) && modbus_build(bms, step, request);
}

static const struct bms_setting d2_settings[] = {
    {SOC_PERCENT, 0, 100, 0.1, 0}, {RATED_AH, 1, 6000, 0.1, 0}, {SET_BALANCER, 0, 1, 1, 0}};
static const struct bms_setting p81_settings[] = {{SOC_PERCENT, 0, 100, 0.1, 0}};

/* Section 9. */
static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const struct daly_register *row = writable(bms);
    memory->echo_passed = false;
    for (; row->factor > 0; row++)
        if (row->id == id)
            modbus_write(modbus_address(bms), row->reg, (unsigned) lround(value * row->factor),
                         request);
    return true;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    /* The request with the address that a reply to it has; empty: for a board of another dialect. */
    struct bms_request asked = *request;
    if (!board_of(bms, asked.bytes[0]))
        asked.size = 0;
    asked.bytes[0] = (uint8_t) (asked.bytes[0] - reply_shift(bms));
    const bool repeats = size == request->size && memcmp(frame, request->bytes, size) == 0;
    if (asked.size >= WRITE_SIZE && size == WRITE_SIZE && frame[1] == MODBUS_WRITE &&
        memcmp(frame, asked.bytes, WRITE_SIZE - CRC_SIZE) == 0) {
        /* The reply to a write repeats it, and so does an echo, which comes first. */
        memory->echo_passed = memory->line_echoes && repeats && !memory->echo_passed;
        return memory->echo_passed ? BMS_FOREIGN : BMS_DONE;
    }
    memory->line_echoes |= repeats;
    return modbus_decode(bms, &asked, frame, size, pack);
}

/* Registers 0x126 to 0x128 hold a password. The size of a reply shows which of our requests it
 * answers. A reply to another program may contain anything, so all of it is blanked. */
static void mask_p81(uint8_t *frame, size_t size)
{
    uint8_t *first = frame + 3;
    size_t blanked = size - 5;
    if (frame[1] != MODBUS_HOLDING || size <= 8)
        return;
    for (unsigned i = 0; i < COUNT(p81_plan); i++)
        if (size == 5u + 2u * p81_plan[i].read.count)
            blanked = 0;
    if (size == 5 + 2 * P81_SETTINGS_COUNT) {
        first += 2 * (P81_PASSWORD - P81_SETTINGS);
        blanked = 2 * P81_PASSWORD_COUNT;
    }
    memset(first, '*', blanked);
    modbus_put_crc(frame, size - CRC_SIZE);
}

/* ---- what needs more than one reply ---- */

static void finish(struct bms *bms, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    /* The engine has already inverted an inverted one. */
    const enum bms_current option =
        bms->options.current == BMS_CURRENT_AUTO ? BMS_CURRENT_AUTO : BMS_CURRENT_NORMAL;
    daly_current_settle(&memory->direction, pack, pack->value[CURRENT_A], DALY_ABOVE_CHARGES,
                        option);
    /* Accepts a mask only if it agrees with the state of the balancer and with the number of cells:
     * in the document these registers hold something else (section 5). */
    if (pack_known(pack, BALANCE_MASK)) {
        double mask = pack->value[BALANCE_MASK];
        bool beyond =
            pack_known(pack, CELL_COUNT) && mask >= ldexp(1, (int) pack->value[CELL_COUNT]);
        bool denied = pack_known(pack, BALANCING) && (mask > 0) != (pack->value[BALANCING] > 0);
        if (beyond || denied)
            pack_unset(pack, BALANCE_MASK);
    }
    for (int i = 0; i < MAX_TEMPS; i++)
        if (pack->value[TEMP_COUNT] <= i)
            pack_unset(pack, (enum pack_value)(TEMP_C + i));
    /* Not every dialect reports which cell is the highest; with all cells known, voltage and number
     * follow from them. A number whose voltage was not read is discarded. */
    if (pack_known(pack, CELL_MV)) {
        pack_unset(pack, CELL_MAX_MV);
        pack_unset(pack, CELL_MIN_MV);
    }
    if (!pack_known(pack, CELL_MAX_MV))
        pack_unset(pack, CELL_MAX_INDEX);
    if (!pack_known(pack, CELL_MIN_MV))
        pack_unset(pack, CELL_MIN_INDEX);
}

/* ---- emulator ---- */

static unsigned board_write(struct bms *bms, struct pack *told, unsigned reg, unsigned value)
{
    for (const struct daly_register *row = writable(bms); row->factor > 0; row++)
        if (row->reg == reg && value >= row->least && value <= row->most) {
            pack_set(told, row->id, (double) value / row->factor);
            return 0;
        }
    return MODBUS_BAD_VALUE;
}

#define BOARD(word_, offset)                                                                       \
    {                                                                                              \
        .word = word_, .write = board_write, .functions = {MODBUS_HOLDING},                        \
        .address_offset = offset                                                                   \
    }
static const struct modbus_board d2_board = BOARD(d2_word, 0xD1), p81_board = BOARD(p81_word, 0x80);

/* What another board would reject is not answered (section 10). Writes of many registers, which
 * have no byte count, are not emulated. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    if (bytes[0] != modbus_address(bms) || (size > 1 && bytes[1] == MODBUS_WRITE_MANY))
        return 1;
    const size_t used = modbus_emulate(bms, pack, bytes, size, out);
    if (out->size > 0 && out->bytes[1] & MODBUS_EXCEPTION)
        out->size = 0;
    if (out->size > 0) {
        out->bytes[0] = (uint8_t) (out->bytes[0] - reply_shift(bms));
        modbus_put_crc(out->bytes, out->size - CRC_SIZE);
    }
    return used;
}

/* Members of both drivers. */
#define BOTH_DIALECTS(map_, board_)                                                                \
    .check = BMS_CHECK_CRC16, .build = build, .frame = find_frame, .question = find_question,      \
    .decode = decode, .finish = finish, .control = bms_control_by_set, .set = build_setting,       \
    .emulate = emulate, .map = &(map_), .board = &(board_)

const struct bms_driver daly_d2_driver = {
    .name = "daly-d2",
    .on_air = true,
    .title = "Daly, Modbus-like, one unit (address D2)",
    .guide = {.makes = "Daly H, K, M, S, Active Balance since about 2023",
              .port = "UART, RS485",
              .wires = "UART or RS485",
              .setting = "sleep time 65535: RS485 does not wake it"},
    .address = {.min = 1, .max = 1, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 30, .one_pack = true},
    BMS_PLAN(d2_plan),
    BMS_SETTINGS(d2_settings),
    BOTH_DIALECTS(d2_map, d2_board),
};

static const struct bms_guess p81_guesses[] = {
    {.address = 1}, {.address = 2}, {.address = 3}, {.address = 4}};

const struct bms_driver daly_p81_driver = {
    .name = "daly-p81",
    .title = "Daly H/K/M/S, Modbus-like, boards 1 to 16 on RS485 (addresses 81-90)",
    .guide = {.makes = "Daly H, K, M, S, Active Balance, several on one RS485 bus",
              .port = "RS485",
              .wires = "RS485",
              .setting = "Board number (BMSTool), sleep time 65535"},
    .address = {.min = 1, .max = 16, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 30},
    BMS_PLAN(p81_plan),
    BMS_GUESSES(p81_guesses),
    BMS_SETTINGS(p81_settings),
    .mask = mask_p81,
    BOTH_DIALECTS(p81_map, p81_board),
};
