// SPDX-License-Identifier: MIT
/*
 * The tables contain the alarms that have a canonical name in the sheet; all others (ambient
 * temperatures, states) are only in the raw words.
 */
#include "topbms_variants.h"

#define BIT(byte, bit) (8 * (byte) + (bit))

const char *const topbms_names[] = {"auto",      "topbms", "topband",  "pace", "seplos",
                                    "pylontech", "eg4",    "creabest", NULL};

// clang-format off

/* ---- 42H behind the sensors ---- */

/* Section 4. The document has count 5, the wire 6: humidity takes two bytes, and a second balance
 * word follows. Topband has the first eight (section 8.1); two bytes defined by its maker may follow. */
static const struct topbms_field topbms_fields[] = {
    /* id                size count unit */
    {CURRENT_A,            2, 0, 0.01},
    {VOLTAGE_V,            2, 0, 0.01},
    {REMAINING_AH,         2, 0, 0.01},
    {FIELD_COUNT,          1, 0, 1},
    {FULL_AH,              2, 0, 0.01},
    {CYCLES,               2, 0, 1},
    {SOC_PERCENT,          1, 0, 1},
    {SOH_PERCENT,          1, 0, 1},
    {FIELD_BALANCE_LOW,    2, 0, 1},
    {FIELD_OTHER,          2, 6, 1},   /* relative humidity */
    {FIELD_BALANCE_HIGH,   2, 6, 1},
};

static const struct topbms_field pace_fields[] = {
    {CURRENT_A,            2, 0, 0.01},
    {VOLTAGE_V,            2, 0, 0.001},
    {REMAINING_AH,         2, 0, 0.01},
    {FIELD_COUNT,          1, 0, 1},
    {FULL_AH,              2, 0, 0.01},
    {CYCLES,               2, 0, 1},
    {RATED_AH,             2, 0, 0.01},
    {FIELD_PACE_SOC,       1, 0, 1},
    {FIELD_PACE_SOH,       9, 0, 1},
};

static const struct topbms_field seplos_fields[] = {
    {CURRENT_A,            2, 0, 0.01},
    {VOLTAGE_V,            2, 0, 0.01},
    {REMAINING_AH,         2, 0, 0.01},
    {FIELD_COUNT,          1, 0, 1},
    {FULL_AH,              2, 0, 0.01},
    {SOC_PERCENT,          2, 0, 0.1},
    {RATED_AH,             2, 0, 0.01},
    {CYCLES,               2, 0, 1},
    {SOH_PERCENT,          2, 0, 0.1},
};

static const struct topbms_field pylontech_fields[] = {
    {CURRENT_A,              2, 0, 0.1},
    {VOLTAGE_V,              2, 0, 0.001},
    {REMAINING_AH,           2, 0, 0.001},
    {FIELD_COUNT,            1, 0, 1},
    {FULL_AH,                2, 0, 0.001},
    {CYCLES,                 2, 0, 1},
    {FIELD_LARGE_CAPACITIES, 6, 4, 0.001},
};

/* Extremes, which are derived from the cells, and lifetime counters follow. */
static const struct topbms_field eg4_fields[] = {
    {CURRENT_A,            2, 0, 0.01},
    {VOLTAGE_V,            2, 0, 0.01},
    {REMAINING_AH,         2, 0, 0.01},
    {FULL_AH,              2, 0, 0.01},
    {CYCLES,               2, 0, 1},
    {FIELD_COUNT,          1, 0, 1},
    {SOC_PERCENT,          2, 0, 1},
    {SOH_PERCENT,          2, 0, 1},
};

/* Section 8.7. */
static const struct topbms_field creabest_fields[] = {
    {CURRENT_A,            2, 0, 0.1},
    {VOLTAGE_V,            2, 0, 0.1},
    {SOC_PERCENT,          2, 0, 1},
    {FIELD_COUNT,          1, 0, 1},
    {CYCLES,               2, 0, 1},
};

/* ---- status bytes of 44H ---- */

/* A protection in each bit, one for each cell. */
#define BYTE(byte, alarm) \
    {BIT(byte, 0), alarm, PROT}, {BIT(byte, 1), alarm, PROT}, {BIT(byte, 2), alarm, PROT}, {BIT(byte, 3), alarm, PROT}, \
    {BIT(byte, 4), alarm, PROT}, {BIT(byte, 5), alarm, PROT}, {BIT(byte, 6), alarm, PROT}, {BIT(byte, 7), alarm, PROT}

/* Section 5; byte 0 is the sheet's status 1. The first row of an alarm and level is the emulated
 * one. */
static const struct alarm_bit topbms_alarms[] = {
    ALARM_VOLTAGES(BIT(0, 0), BIT(1, 0), 1),
    ALARM_LEVELS(BIT(0, 4), BIT(1, 4), CHARGE_OVER_CURRENT),
    ALARM_LEVELS(BIT(0, 5), BIT(1, 5), DISCHARGE_OVER_CURRENT),
    ALARM_LEVELS(BIT(0, 6), BIT(0, 7), CELL_IMBALANCE),
    {BIT(1, 6), DISCHARGE_OVER_CURRENT, PROT}, /* level 2 */
    {BIT(1, 7), SHORT_CIRCUIT, PROT},
    ALARM_TEMPERATURES(BIT(2, 0), BIT(3, 0), 1),
    ALARM_LEVELS(BIT(2, 6), BIT(3, 6), MOS_OVER_TEMPERATURE),
    {BIT(4, 1), SOC_LOW, WARN},
    {BIT(4, 2), CHARGE_MOS_FAULT, PROT},
    {BIT(4, 3), DISCHARGE_MOS_FAULT, PROT},
    {BIT(4, 4), CHARGE_OVER_TEMPERATURE, WARN},    /* hot, direction unknown */
    {BIT(4, 4), DISCHARGE_OVER_TEMPERATURE, WARN},
    {BIT(4, 5), CHARGE_UNDER_TEMPERATURE, WARN},   /* cold, direction unknown */
    {BIT(4, 5), DISCHARGE_UNDER_TEMPERATURE, WARN},
    /* cells judged faulty */
    BYTE(7, HARDWARE_FAULT), BYTE(8, HARDWARE_FAULT), BYTE(9, HARDWARE_FAULT),
    BYTE(10, HARDWARE_FAULT), BYTE(11, HARDWARE_FAULT), BYTE(12, HARDWARE_FAULT),
    {BIT(13, 0), DISCHARGE_MOS_FAULT, PROT},
    {BIT(13, 1), CHARGE_MOS_FAULT, PROT},
    {BIT(13, 2), HARDWARE_FAULT, PROT},            /* front end */
    {BIT(13, 3), HARDWARE_FAULT, PROT},            /* clock */
    {BIT(13, 4), HARDWARE_FAULT, PROT},            /* data memory */
    {BIT(13, 5), HARDWARE_FAULT, PROT},            /* parameter memory */
    {BIT(13, 6), PACK_OVER_VOLTAGE, PROT},
    {BIT(13, 7), HARDWARE_FAULT, PROT},            /* pre-discharge MOS */
    {BIT(14, 0), HARDWARE_FAULT, PROT},            /* insulation of P+ */
    {BIT(14, 1), HARDWARE_FAULT, PROT},            /* insulation of P- */
    {BIT(14, 2), HARDWARE_FAULT, PROT},            /* cell */
    {BIT(14, 3), TEMP_SENSOR_FAULT, PROT},
    {BIT(14, 4), HARDWARE_FAULT, PROT},            /* vibration sensor */
    {BIT(14, 5), HARDWARE_FAULT, PROT},            /* current limiting board */
};

/* Section 8.2, numbered as the bits of the little-endian word. Those from 32 up are uncertain. */
static const struct alarm_bit topband_alarms[] = {
    ALARM_LEVELS(3, 0, CELL_OVER_VOLTAGE),
    ALARM_LEVELS(1, 12, CELL_UNDER_VOLTAGE),
    ALARM_LEVELS(47, 2, CHARGE_OVER_CURRENT),
    ALARM_LEVELS(46, 4, DISCHARGE_OVER_CURRENT),
    ALARM_LEVELS(7, 13, PACK_UNDER_VOLTAGE),
    {11, SHORT_CIRCUIT, PROT},
    {15, SOC_LOW, WARN},
    {28, CELL_UNDER_VOLTAGE, PROT},                /* a cell far too low */
    ALARM_LEVELS(40, 58, PACK_OVER_VOLTAGE),
    ALARM_LEVELS(41, 59, MOS_OVER_TEMPERATURE),
    {44, CHARGE_UNDER_TEMPERATURE, WARN},          /* cells cold, direction unknown */
    {44, DISCHARGE_UNDER_TEMPERATURE, WARN},
    {45, CHARGE_OVER_TEMPERATURE, WARN},           /* cells hot, direction unknown */
    {45, DISCHARGE_OVER_TEMPERATURE, WARN},
    {50, DISCHARGE_MOS_FAULT, PROT},
    {51, CHARGE_MOS_FAULT, PROT},
    {52, HARDWARE_FAULT, PROT},                    /* current sensor */
    {53, HARDWARE_FAULT, PROT},                    /* front end */
    {54, TEMP_SENSOR_FAULT, PROT},
    {55, HARDWARE_FAULT, PROT},                    /* cell */
    {56, DISCHARGE_OVER_CURRENT, PROT},            /* level 2 */
};

/* Section 8.2: protect 1, protect 2, instruction, control, fault, balance 1, balance 2, warn 1,
 * warn 2. The order of bits 1 and 2 of the temperatures is not that of TopBMS. */
static const struct alarm_bit pace_alarms[] = {
    ALARM_VOLTAGES(BIT(7, 0), BIT(0, 0), 1),
    ALARM_LEVELS(BIT(7, 4), BIT(0, 4), CHARGE_OVER_CURRENT),
    ALARM_LEVELS(BIT(7, 5), BIT(0, 5), DISCHARGE_OVER_CURRENT),
    {BIT(0, 6), SHORT_CIRCUIT, PROT},
    ALARM_LEVELS(BIT(8, 0), BIT(1, 0), CHARGE_OVER_TEMPERATURE),
    ALARM_LEVELS(BIT(8, 1), BIT(1, 1), DISCHARGE_OVER_TEMPERATURE),
    ALARM_LEVELS(BIT(8, 2), BIT(1, 2), CHARGE_UNDER_TEMPERATURE),
    ALARM_LEVELS(BIT(8, 3), BIT(1, 3), DISCHARGE_UNDER_TEMPERATURE),
    ALARM_LEVELS(BIT(8, 6), BIT(1, 4), MOS_OVER_TEMPERATURE),
    {BIT(4, 0), CHARGE_MOS_FAULT, PROT},
    {BIT(4, 1), DISCHARGE_MOS_FAULT, PROT},
    {BIT(4, 2), TEMP_SENSOR_FAULT, PROT},
    {BIT(4, 3), COMMUNICATION_FAULT, PROT},
    {BIT(4, 4), HARDWARE_FAULT, PROT},             /* cell */
    {BIT(4, 5), VOLTAGE_SENSOR_FAULT, PROT},
    {BIT(4, 6), HARDWARE_FAULT, PROT},             /* current limiting */
    {BIT(4, 7), HARDWARE_FAULT, PROT},             /* heating film */
    {BIT(8, 7), SOC_LOW, WARN},
};

/* Seplos and EG4 share these three bytes, at different positions. */
#define PAIR(byte, bit, alarm) ALARM_LEVELS(BIT(byte, bit), BIT(byte, (bit) + 1), alarm)
#define PAIRS_VOLTAGE(byte) ALARM_VOLTAGES(BIT(byte, 0), BIT(byte, 1), 2)
#define PAIRS_TEMPERATURE(byte) ALARM_TEMPERATURES(BIT(byte, 0), BIT(byte, 1), 2)
#define PAIRS_CURRENT(byte) \
    PAIR(byte, 0, CHARGE_OVER_CURRENT), PAIR(byte, 2, DISCHARGE_OVER_CURRENT), \
    {BIT(byte, 4), DISCHARGE_OVER_CURRENT, PROT}, {BIT(byte, 5), SHORT_CIRCUIT, PROT}, \
    {BIT(byte, 6), DISCHARGE_OVER_CURRENT, PROT}, {BIT(byte, 7), SHORT_CIRCUIT, PROT}

/* Section 8.2; byte 0 is the sheet's byte 1. */
static const struct alarm_bit seplos_alarms[] = {
    {BIT(0, 0), VOLTAGE_SENSOR_FAULT, PROT},
    {BIT(0, 1), TEMP_SENSOR_FAULT, PROT},
    {BIT(0, 2), HARDWARE_FAULT, PROT},             /* current sensor */
    {BIT(0, 3), HARDWARE_FAULT, PROT},             /* key switch */
    {BIT(0, 4), CELL_IMBALANCE, WARN},
    {BIT(0, 5), CHARGE_MOS_FAULT, PROT},
    {BIT(0, 6), DISCHARGE_MOS_FAULT, PROT},
    {BIT(0, 7), HARDWARE_FAULT, PROT},             /* limiting switch */
    PAIRS_VOLTAGE(1),
    PAIRS_TEMPERATURE(2),
    ALARM_LEVELS(BIT(3, 5), BIT(3, 4), MOS_OVER_TEMPERATURE), /* the protection first */
    PAIRS_CURRENT(4),
    ALARM_LEVELS(BIT(5, 2), BIT(5, 3), SOC_LOW),
    BYTE(10, VOLTAGE_SENSOR_FAULT), BYTE(11, VOLTAGE_SENSOR_FAULT), /* cells disconnected */
    {BIT(13, 0), HARDWARE_FAULT, PROT},            /* memory */
    {BIT(13, 1), HARDWARE_FAULT, PROT},            /* clock */
};

static const struct alarm_bit pylontech_alarms[] = {
    {BIT(0, 0), PACK_OVER_VOLTAGE, PROT},
    {BIT(0, 1), CELL_UNDER_VOLTAGE, PROT},
    {BIT(0, 2), CHARGE_OVER_CURRENT, PROT},
    {BIT(0, 4), DISCHARGE_OVER_CURRENT, PROT},
    {BIT(0, 5), DISCHARGE_OVER_TEMPERATURE, PROT},
    {BIT(0, 6), CHARGE_OVER_TEMPERATURE, PROT},
    {BIT(0, 7), PACK_UNDER_VOLTAGE, PROT},
    BYTE(3, HARDWARE_FAULT), BYTE(4, HARDWARE_FAULT), /* cells outside of 1.0…4.2 V */
};

/* Balance event, voltage event, temperature event (2 bytes, high one first), current event,
 * remaining capacity, MOS, system, balancing (4), reserved. */
static const struct alarm_bit eg4_alarms[] = {
    {BIT(0, 4), CELL_IMBALANCE, WARN},
    {BIT(0, 5), CHARGE_MOS_FAULT, PROT},
    {BIT(0, 6), DISCHARGE_MOS_FAULT, PROT},
    PAIRS_VOLTAGE(1),
    {BIT(2, 4), MOS_OVER_TEMPERATURE, PROT},
    {BIT(2, 5), HARDWARE_FAULT, PROT},             /* fire */
    PAIRS_TEMPERATURE(3),
    PAIRS_CURRENT(4),
    {BIT(5, 0), SOC_LOW, WARN},
};

/* ---- the rows ---- */

#define FIELDS(table) .fields = table, .field_count = COUNT(table)
#define ALARMS(table) .alarms = table, .alarm_count = COUNT(table)
/* TopBMS: degrees plus 40. The others: tenths of a kelvin, 0 °C at 2731 or, PACE, at 2730. */
#define DEGREES .sensor_min = 1, .sensor_max = 255, .sensor_zero = 40, .sensor_unit = 1
#define KELVIN(zero) .sensor_min = 1731, .sensor_max = 4731, .sensor_zero = zero, .sensor_unit = 0.1

const struct topbms_variant topbms_variants[TOPBMS_IDS] = {
    [ID_TOPBMS] = {
        .version = 0x21, .reply_version = 0x52, .names_pack = true, .master = 1, .flag_absent = true, .flag_stands = true,
        DEGREES, /* whether sensor 5 or 6 is the MOS is unknown */
        .count_at = 6, .lengths = {{6, 19}, {5, 16}}, .may_end_early = true, FIELDS(topbms_fields),
        /* Older firmware probably lacks the short-circuit bytes and status 10 to 15 (section 5). */
        .tails = {{21, 5, 15}, {22, 5, 15}, {20, 5, 15}, {14, 3, 9}},
        .tail_count_at = 4, .tail_count = 15, ALARMS(topbms_alarms),
        .charge_mos = BIT(5, 1), .discharge_mos = BIT(5, 0), .balance_at = NOWHERE,
        .identity = TOPBMS_PRODUCT, .serial = TOPBMS_SERIAL,
    },
    [ID_TOPBAND] = {
        .version = 0x21, .reply_version = 0x21, .names_pack = true, .master = 1, .flag_absent = true,
        KELVIN(2731), .mos_sensor = LAST_SENSOR,
        .count_at = 6, .lengths = {{0, 15}, {0, 13}}, .may_end_early = true, .fields = topbms_fields, .field_count = 8,
        .tails = {{11, 3, 8}}, .tail_count_at = 2, .tail_count = 8, ALARMS(topband_alarms),
        .charge_mos = 9, .discharge_mos = 10, .balance_at = NOWHERE,
        .identity = TOPBMS_MAKER,
    },
    [ID_PACE] = {
        .version = 0x25, .reply_version = 0x25, .names_pack = true, .master = 1, .flag_stands = true,
        KELVIN(2730), .mos_sensor = 5, .soc_by_capacities = true,
        .count_at = 6, .lengths = {{0, 13}, {0, 14}, {0, 27}, {0, 23}, {0, 35}}, FIELDS(pace_fields),
        /* Newer firmware adds faults, indications, two bytes of active balancing, and faults. */
        .tails = {{12, 3, 9}, {13, 3, 9}, {14, 3, 9}, {16, 3, 9}, {17, 3, 9}},
        .tail_count_at = NOWHERE, ALARMS(pace_alarms),
        .charge_mos = BIT(2, 1), .discharge_mos = BIT(2, 2), .balance_at = 5, .balance_size = 2,
        .identity = TOPBMS_BOARD, .serial = TOPBMS_SERIALS,
    },
    [ID_SEPLOS] = {
        .version = 0x20, .reply_version = 0x20, .names_pack = true, .master = 1, .flag_stands = true,
        KELVIN(2731), .mos_sensor = 6,
        .count_at = 6, .lengths = {{10, 27}}, FIELDS(seplos_fields),
        .tails = {{23, 3, 20}}, .tail_count_at = 2, .tail_count = 20, ALARMS(seplos_alarms),
        .charge_mos = BIT(6, 1), .discharge_mos = BIT(6, 0), .balance_at = 7, .balance_size = 2,
        .identity = TOPBMS_MAKER,
    },
    [ID_PYLONTECH] = {
        .version = 0x20, .reply_version = 0x20, .names_pack = true, .master = 2, .flag_stands = true,
        KELVIN(2731), .soc_by_capacities = true,
        .count_at = 6, .lengths = {{4, 17}, {2, 11}}, FIELDS(pylontech_fields),
        .tails = {{8, 3, 5}}, .tail_count_at = NOWHERE, ALARMS(pylontech_alarms),
        .charge_mos = BIT(1, 1), .discharge_mos = BIT(1, 2), .balance_at = NOWHERE,
        .identity = TOPBMS_MAKER, .serial = TOPBMS_MODULE, .limits = TOPBMS_LIMITS,
    },
    [ID_EG4] = {
        .version = 0x20, .reply_version = 0x20, .master = 1, .flag_stands = true,
        KELVIN(2731), .uncounted_sensors = 2, .mos_sensor = LAST_SENSOR,
        .count_at = 10, .lengths = {{15, 53}}, FIELDS(eg4_fields),
        .tails = {{16, 3, 13}}, .tail_count_at = 2, .tail_count = 9, ALARMS(eg4_alarms),
        .charge_mos = BIT(6, 1), .discharge_mos = BIT(6, 0),
        .balance_at = 8, .balance_size = 4, .balance_big_endian = true,
    },
    [ID_CREABEST] = {
        .version = 0x11, .reply_version = 0x22, .names_pack = true, .master = 1,
        .flag_absent = true, .no_group = true,
        .sensor_max = 2000, .sensor_min = 1000, .sensor_unit = 0.1, .sensor_signed = true,
        .count_at = 6, .lengths = {{7, 21}}, FIELDS(creabest_fields),
        .tail_count_at = NOWHERE, .balance_at = NOWHERE,
    },
};
// clang-format on
