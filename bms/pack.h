// SPDX-License-Identifier: MIT
/*
 * struct pack: the known values of one battery pack at one moment, in physical units, independent
 * of the protocol. The value names are those of exchange files, JSON, the register map and the
 * documentation.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CELLS 48
#define MAX_TEMPS 16
#define MAX_RAW_ALARMS 16
#define TEXT_SIZE 33 /* bytes: 32 characters and the NUL */

/*
 * Numbers of a pack, as struct pack_value_info describes them. Positive current and power charge it.
 * Cells and sensors count from 1 in their names: cell n is CELL_MV + n - 1, sensor n is TEMP_C + n -
 * 1. Switches are 1 for on, 0 for off.
 */
// clang-format off
#define PACK_VALUE_LIST(X) \
    /* symbol, name (NULL: internal), unit, least, most, decimals */ \
    X(VOLTAGE_V,                    "voltage_v",                     "V",      0,      1500, 3) \
    X(CURRENT_A,                    "current_a",                     "A",  -5000,      5000, 3) \
    X(POWER_W,                      "power_w",                       "W",   -5e6,       5e6, 1) \
    X(SOC_PERCENT,                  "soc_percent",                   "%",      0,       100, 2) \
    /* New cells hold more than their rated capacity. */ \
    X(SOH_PERCENT,                  "soh_percent",                   "%",      0,       200, 1) \
    X(REMAINING_AH,                 "remaining_ah",                  "Ah",     0,       1e5, 3) \
    X(FULL_AH,                      "full_ah",                       "Ah",     0,       1e5, 3) \
    X(RATED_AH,                     "rated_ah",                      "Ah",     0,       1e5, 3) \
    X(CYCLES,                       "cycles",                        "",       0,       1e6, 0) \
    X(CELL_COUNT,                   "cell_count",                    "",       0, MAX_CELLS, 0) \
    X(CELL_MAX_MV,                  "cell_max_mv",                   "mV",     0,      6000, 0) \
    X(CELL_MIN_MV,                  "cell_min_mv",                   "mV",     0,      6000, 0) \
    X(CELL_MAX_INDEX,               "cell_max_index",                "",       1, MAX_CELLS, 0) \
    X(CELL_MIN_INDEX,               "cell_min_index",                "",       1, MAX_CELLS, 0) \
    X(CELL_DELTA_MV,                "cell_delta_mv",                 "mV",     0,      6000, 0) \
    X(CELL_AVG_MV,                  "cell_avg_mv",                   "mV",     0,      6000, 1) \
    X(TEMP_COUNT,                   "temp_count",                    "",       0, MAX_TEMPS, 0) \
    X(TEMP_AVG_C,                   "temp_avg_c",                    "°C",   -60,       150, 2) \
    X(MOS_TEMP_C,                   "mos_temp_c",                    "°C",   -60,       150, 1) \
    X(CHARGE_MOS,                   "charge_mos",                    "",       0,         1, 0) \
    X(DISCHARGE_MOS,                "discharge_mos",                 "",       0,         1, 0) \
    X(BALANCING,                    "balancing",                     "",       0,         1, 0) \
    /* Bit 0 is cell 1; a double holds 48 bits exactly. */ \
    X(BALANCE_MASK,                 "balance_mask",                  "",       0, 281474976710655.0, 0) \
    /* Limits as the BMS reports them, both currents positive. */ \
    X(CHARGE_VOLTAGE_LIMIT_V,       "charge_voltage_limit_v",        "V",      0,      1500, 2) \
    X(CHARGE_CURRENT_LIMIT_A,       "charge_current_limit_a",        "A",      0,      5000, 2) \
    X(DISCHARGE_VOLTAGE_LIMIT_V,    "discharge_voltage_limit_v",     "V",      0,      1500, 2) \
    X(DISCHARGE_CURRENT_LIMIT_A,    "discharge_current_limit_a",     "A",      0,      5000, 2) \
    /* The direction that the BMS reports: 0 idle, 1 charging, 2 discharging. */ \
    X(FLOW,                         NULL,                            "",       0,         2, 0) \
    /* 1: some cells were not read yet; unknown: none, or not known. */ \
    X(CELLS_UNREAD,                 NULL,                            "",       0,         1, 0) \
    /* Settings of the BMS. If a limit has several steps, the one that switches off. */ \
    X(SET_CELL_HIGH_MV,             "set_cell_high_mv",              "mV",     0,      6000, 0) \
    X(SET_CELL_HIGH_RELEASE_MV,     "set_cell_high_release_mv",      "mV",     0,      6000, 0) \
    X(SET_CELL_LOW_MV,              "set_cell_low_mv",               "mV",     0,      6000, 0) \
    X(SET_CELL_LOW_RELEASE_MV,      "set_cell_low_release_mv",       "mV",     0,      6000, 0) \
    X(SET_PACK_HIGH_V,              "set_pack_high_v",               "V",      0,      1500, 2) \
    X(SET_PACK_LOW_V,               "set_pack_low_v",                "V",      0,      1500, 2) \
    X(SET_CHARGE_CURRENT_A,         "set_charge_current_a",          "A",      0,      5000, 1) \
    X(SET_DISCHARGE_CURRENT_A,      "set_discharge_current_a",       "A",      0,      5000, 1) \
    X(SET_CHARGE_HOT_C,             "set_charge_hot_c",              "°C",   -60,       215, 1) \
    X(SET_CHARGE_HOT_RELEASE_C,     "set_charge_hot_release_c",      "°C",   -60,       215, 1) \
    X(SET_CHARGE_COLD_C,            "set_charge_cold_c",             "°C",   -60,       215, 1) \
    X(SET_CHARGE_COLD_RELEASE_C,    "set_charge_cold_release_c",     "°C",   -60,       215, 1) \
    X(SET_DISCHARGE_HOT_C,          "set_discharge_hot_c",           "°C",   -60,       215, 1) \
    X(SET_DISCHARGE_HOT_RELEASE_C,  "set_discharge_hot_release_c",   "°C",   -60,       215, 1) \
    X(SET_DISCHARGE_COLD_C,         "set_discharge_cold_c",          "°C",   -60,       215, 1) \
    X(SET_DISCHARGE_COLD_RELEASE_C, "set_discharge_cold_release_c",  "°C",   -60,       215, 1) \
    X(SET_MOS_HOT_C,                "set_mos_hot_c",                 "°C",   -60,       215, 1) \
    X(SET_MOS_HOT_RELEASE_C,        "set_mos_hot_release_c",         "°C",   -60,       215, 1) \
    X(SET_CELL_DIFFERENCE_MV,       "set_cell_difference_mv",        "mV",     0,      6000, 0) \
    X(SET_BALANCE_START_MV,         "set_balance_start_mv",          "mV",     0,      6000, 0) \
    X(SET_BALANCE_DIFFERENCE_MV,    "set_balance_difference_mv",     "mV",     0,      6000, 0) \
    X(SET_BALANCER,                 "set_balancer",                  "",       0,         1, 0)
#define PACK_VALUE_ENUM(symbol, name, unit, min, max, decimals) symbol,
// clang-format on
enum pack_value {
    PACK_VALUE_LIST(PACK_VALUE_ENUM) SETTINGS_END,
    SETTINGS_FIRST = SET_CELL_HIGH_MV,
    CELL_MV = SETTINGS_END,
    TEMP_C = CELL_MV + MAX_CELLS,
    PACK_VALUES = TEMP_C + MAX_TEMPS
};

enum pack_flow { FLOW_IDLE, FLOW_CHARGING, FLOW_DISCHARGING };

/* The canonical alarms, in the order of their bits in the register map: never reorder, append
 * only. */
// clang-format off
#define PACK_ALARMS(X) \
    X(CELL_OVER_VOLTAGE,           "cell_over_voltage") \
    X(CELL_UNDER_VOLTAGE,          "cell_under_voltage") \
    X(PACK_OVER_VOLTAGE,           "pack_over_voltage") \
    X(PACK_UNDER_VOLTAGE,          "pack_under_voltage") \
    X(CHARGE_OVER_CURRENT,         "charge_over_current") \
    X(DISCHARGE_OVER_CURRENT,      "discharge_over_current") \
    X(SHORT_CIRCUIT,               "short_circuit") \
    X(CHARGE_OVER_TEMPERATURE,     "charge_over_temperature") \
    X(CHARGE_UNDER_TEMPERATURE,    "charge_under_temperature") \
    X(DISCHARGE_OVER_TEMPERATURE,  "discharge_over_temperature") \
    X(DISCHARGE_UNDER_TEMPERATURE, "discharge_under_temperature") \
    X(MOS_OVER_TEMPERATURE,        "mos_over_temperature") \
    X(CELL_IMBALANCE,              "cell_imbalance") \
    X(TEMPERATURE_IMBALANCE,       "temperature_imbalance") \
    X(SOC_LOW,                     "soc_low") \
    X(SOC_HIGH,                    "soc_high") \
    X(CHARGE_MOS_FAULT,            "charge_mos_fault") \
    X(DISCHARGE_MOS_FAULT,         "discharge_mos_fault") \
    X(TEMP_SENSOR_FAULT,           "temp_sensor_fault") \
    X(VOLTAGE_SENSOR_FAULT,        "voltage_sensor_fault") \
    X(COMMUNICATION_FAULT,         "communication_fault") \
    X(HARDWARE_FAULT,              "hardware_fault")
#define PACK_ALARM_ENUM(symbol, name) symbol,
// clang-format on
enum pack_alarm { PACK_ALARMS(PACK_ALARM_ENUM) PACK_ALARM_COUNT };

/* What a BMS does about an alarm: a warning only reports, a protection acts (or is a fault). */
enum alarm_level { ALARM_WARNING = 1, ALARM_PROTECTION = 2 };
enum { WARN = ALARM_WARNING, PROT = ALARM_PROTECTION }; /* the same in tables of alarms */

enum pack_text { SERIAL, MODEL, FIRMWARE, PACK_TEXTS };

struct pack {
    double value[PACK_VALUES];           /* NaN: unknown */
    uint32_t alarms_known;               /* bit n: enum pack_alarm n can be reported and was read */
    uint32_t alarms_warning;             /* active at warning level */
    uint32_t alarms_protection;          /* active at protection level */
    uint32_t alarms_can_warn;            /* known alarms that can be reported at warning level */
    uint32_t alarms_can_protect;         /* known alarms that can be reported at protection level */
    uint16_t raw_alarms[MAX_RAW_ALARMS]; /* the protocol's own alarm words, in its own order */
    unsigned raw_alarm_count;
    char text[PACK_TEXTS][TEXT_SIZE]; /* printable ASCII; empty: unknown */
    unsigned implausible;             /* values that pack_set has rejected */
};

/* The description of a value. Rows with a NULL name are internal and not published. */
struct pack_value_info {
    const char *name; /* "voltage_v"; of CELL_MV and TEMP_C the stem: "cell_mv" and "temp_c" */
    const char *unit; /* "V", "" where there is none */
    double min, max;  /* plausible range, both ends included */
    int decimals;     /* worth printing */
};

/** Everything unknown, no counters. A zeroed struct is not a cleared one. */
void pack_clear(struct pack *pack);

/** Sets a value and marks it known. A value outside of its plausible range, or NaN, becomes unknown
 * and is counted in `implausible`, so that an earlier value does not replace it. */
void pack_set(struct pack *pack, enum pack_value id, double value);

/** Makes a value unknown. */
static inline void pack_unset(struct pack *pack, enum pack_value id)
{
    pack->value[id] = NAN;
}

static inline bool pack_known(const struct pack *pack, enum pack_value id)
{
    return !isnan(pack->value[id]);
}

static inline double pack_value_or(const struct pack *pack, enum pack_value id, double otherwise)
{
    return pack_known(pack, id) ? pack->value[id] : otherwise;
}

/** The direction of the current; idle if it is unknown. */
enum pack_flow pack_flow(const struct pack *pack);

/** A value as an emulator sends it: times `factor`, plus `offset`, rounded, from 0 to `most`; 0 if it is unknown. */
uint32_t pack_scaled(const struct pack *pack, enum pack_value id, double factor, double offset,
                     uint32_t most);

/** The same with its sign, as a number of 32 bits in two's complement. */
uint32_t pack_raw(const struct pack *pack, enum pack_value id, double factor, double offset);

/** Cell n and sensor n, counted from 1; a number beyond MAX_CELLS or MAX_TEMPS (or 0) is
 * ignored. */
void pack_set_cell(struct pack *pack, unsigned n, double mv);
void pack_set_temp(struct pack *pack, unsigned n, double celsius);

/** Copies at most `size` bytes up to the first NUL, without blanks at both ends.
 * Anything that is not printable ASCII makes the whole text unknown. */
void pack_set_text(struct pack *pack, enum pack_text id, const void *bytes, size_t size);

/** One bit of a BMS's alarm word. Several rows may name the same alarm. */
struct alarm_bit {
    uint8_t bit;
    uint8_t alarm; /* enum pack_alarm */
    uint8_t level; /* enum alarm_level */
};

/* The rows of an alarm that has a bit for each level. */
// clang-format off
#define ALARM_LEVELS(warning, protection, alarm) \
    {warning, alarm, ALARM_WARNING}, {protection, alarm, ALARM_PROTECTION}

/* Most protocols have these four, with a bit for each level, in this order and `step` bits apart. */
#define ALARM_VOLTAGES(warning, protection, step) \
    ALARM_LEVELS(warning, protection, CELL_OVER_VOLTAGE), \
    ALARM_LEVELS((warning) + (step), (protection) + (step), CELL_UNDER_VOLTAGE), \
    ALARM_LEVELS((warning) + 2 * (step), (protection) + 2 * (step), PACK_OVER_VOLTAGE), \
    ALARM_LEVELS((warning) + 3 * (step), (protection) + 3 * (step), PACK_UNDER_VOLTAGE)
#define ALARM_TEMPERATURES(warning, protection, step) \
    ALARM_LEVELS(warning, protection, CHARGE_OVER_TEMPERATURE), \
    ALARM_LEVELS((warning) + (step), (protection) + (step), CHARGE_UNDER_TEMPERATURE), \
    ALARM_LEVELS((warning) + 2 * (step), (protection) + 2 * (step), DISCHARGE_OVER_TEMPERATURE), \
    ALARM_LEVELS((warning) + 3 * (step), (protection) + 3 * (step), DISCHARGE_UNDER_TEMPERATURE)
// clang-format on

/** Forgets all alarms and raw words; a decoder calls it at the start of the message that carries
 * them. */
void pack_clear_alarms(struct pack *pack);

/** Marks an alarm as reported at this level, and as active there or not. Never clears an active
 * one. */
void pack_alarm_at(struct pack *pack, enum pack_alarm alarm, int level, bool active);

/** The same for an alarm that can be reported at both levels; `level` 0: not active. */
void pack_alarm(struct pack *pack, enum pack_alarm alarm, int level);

/** pack_alarm_at for each row, active where its bit of `word` is set. */
void pack_alarm_bits(struct pack *pack, const struct alarm_bit *rows, size_t count, uint64_t word);

/** The same for the rows of one level, where the message has no others. */
void pack_alarm_bits_at(struct pack *pack, const struct alarm_bit *rows, size_t count,
                        uint64_t word, int level);

/** The reverse for emulators: the word with the bits of all rows whose alarm is active at their level;
 * `once`: of several rows for an alarm and level, only the first. */
uint64_t pack_alarm_word(const struct pack *pack, const struct alarm_bit *rows, size_t count,
                         bool once);

/** Appends one of the protocol's own alarm words; those beyond MAX_RAW_ALARMS are dropped. */
void pack_raw_alarm(struct pack *pack, uint16_t word);

/** The active alarms of a level, a bit for each enum pack_alarm. */
static inline uint32_t pack_alarms_at(const struct pack *pack, int level)
{
    return level == ALARM_WARNING ? pack->alarms_warning : pack->alarms_protection;
}

/** Active at any level. */
static inline bool pack_alarm_active(const struct pack *pack, enum pack_alarm alarm)
{
    return (pack->alarms_warning | pack->alarms_protection) >> alarm & 1;
}

/** Whether two packs are equal in values, alarms and texts. */
bool pack_same(const struct pack *a, const struct pack *b);

/** Everything that `part` knows replaces what `pack` holds; alarms are or-ed, raw words
 * appended. */
void pack_merge(struct pack *pack, const struct pack *part);

/** Computes what is still unknown: power, extremes with their cells, delta, average, temperature
 * average, balancing. First makes cells beyond cell_count unknown. Nothing is computed from cells
 * if CELLS_UNREAD is known; the delta then needs both extremes from the BMS. */
void pack_derive(struct pack *pack);

/** Row of an enum pack_value; CELL_MV + n and TEMP_C + n share the row of their stem. */
const struct pack_value_info *pack_value_info(enum pack_value id);

/** "alarm" names without their prefix: "cell_over_voltage". */
const char *pack_alarm_name(enum pack_alarm alarm);

/** "warning" or "protection". */
const char *pack_alarm_level_name(enum alarm_level level);
const char *pack_text_name(enum pack_text id);

/** Writes the full name of a value ("cell_mv.3", "soc_percent") and returns `out`. */
#define VALUE_NAME_SIZE 40
const char *pack_value_name(enum pack_value id, char out[VALUE_NAME_SIZE]);
