// SPDX-License-Identifier: MIT
/*
 * The register map itself: its rows, its groups, its bits, and their addresses for given settings.
 * To add a value, add a row in free room; a released row keeps its offset, type and meaning for
 * ever (tests/test_map.c has the list). The compatibility block is the map of the ScanLabs
 * SmartBMS data extractor.
 */
#include "map.h"

#include "rows.h"

#include "bms/count.h"

#include <stdio.h>
#include <string.h>

#define LAST_ADDRESS 65535

// clang-format off
const struct map_row map_rows[] = {
    /* offset count name                        type          unit   scale class   source     id                          meaning */
    {  0,  1, "soc_percent",               REG_U16,      "%",   1, VALUE,  OF_PACK,    SOC_PERCENT,               "state of charge"},
    {  1,  1, "voltage_v",                 REG_U16,      "V",   1, VALUE,  OF_PACK,    VOLTAGE_V,                 "voltage"},
    {  2,  1, "current_a",                 REG_S16,      "A",   1, VALUE,  OF_PACK,    CURRENT_A,                 "current, positive charges the pack"},
    {  3,  1, "power_w",                   REG_S16,      "W",   1, VALUE,  OF_PACK,    POWER_W,                   "power, positive charges the pack"},
    {  4,  1, "cell_delta_mv",             REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_DELTA_MV,             "cell voltage difference, highest less lowest"},
    {  5,  1, "cell_avg_mv",               REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_AVG_MV,               "average cell voltage"},
    {  6,  1, "cell_max_mv",               REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_MAX_MV,               "highest cell voltage"},
    {  7,  1, "cell_min_mv",               REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_MIN_MV,               "lowest cell voltage"},
    {  8,  1, "temp_avg_c",                REG_FLOAT32,  "°C",  1, VALUE,  OF_STATE,   SHOWN_TEMP_AVG,            "average temperature"},
    { 10,  1, "voltage_v",                 REG_FLOAT32,  "V",   1, VALUE,  OF_PACK,    VOLTAGE_V,                 "voltage"},
    { 12,  1, "current_a",                 REG_FLOAT32,  "A",   1, VALUE,  OF_PACK,    CURRENT_A,                 "current, positive charges the pack"},
    { 14,  1, "power_w",                   REG_FLOAT32,  "W",   1, VALUE,  OF_PACK,    POWER_W,                   "power, positive charges the pack"},
    { 17,  1, "discharge_mos",             REG_U16,      "",    1, SWITCH, OF_PACK,    DISCHARGE_MOS,             "discharge MOS, 0 off, 1 on"},
    { 18,  1, "charge_mos",                REG_U16,      "",    1, SWITCH, OF_PACK,    CHARGE_MOS,                "charge MOS, 0 off, 1 on"},
    { 20, 16, "cell_mv",                   REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_MV,                   "cell, its voltage"},
    { 40,  1, "cell_count",                REG_U16,      "",    1, VALUE,  OF_PACK,    CELL_COUNT,                "number of cells"},
    { 41,  1, "soc_peak_percent",          REG_U16,      "%",   1, VALUE,  OF_GATEWAY, OUR_PEAK_PERCENT,          "highest state of charge today"},
    { 42,  1, "soc_peak_hour",             REG_U16,      "h",   1, VALUE,  OF_GATEWAY, OUR_PEAK_HOUR,             "hour in which it was reached, local time"},
    { 43,  1, "soc_peak_minute",           REG_U16,      "min", 1, VALUE,  OF_GATEWAY, OUR_PEAK_MINUTE,           "minute in which it was reached"},
    { 44,  1, "remaining_ah",              REG_U16,      "Ah",  1, VALUE,  OF_PACK,    REMAINING_AH,              "remaining capacity"},
    { 45,  1, "failure",                   REG_U16,      "",    1, VALUE,  OF_STATE,   FAILURE,                   "failure flag, 1 while any alarm is active or the values are stale"},
    { 50,  1, "memory_mib",                REG_U16,      "MiB", 1, STATUS, OF_GATEWAY, OUR_MEMORY_MIB,            "memory available on the host"},
    { 51,  1, "seconds",                   REG_U16,      "s",   1, STATUS, OF_GATEWAY, OUR_SECONDS,               "seconds counter, starts again at 0 after 65535"},
    { 52,  1, "timezone_hours",            REG_S16,      "h",   1, STATUS, OF_GATEWAY, OUR_TIMEZONE_HOURS,        "time zone, hours ahead of UTC, to the nearest whole hour (+5:45 reads 6)"},
    { 53,  1, "dashboard_id",              REG_U16,      "",    1, STATUS, OF_GATEWAY, OUR_DASHBOARD_ID,          "dashboard id, as configured"},
    { 54,  2, "display",                   REG_U32_HIGH, "",    1, STATUS, OF_GATEWAY, OUR_DISPLAY,               "display settings, as configured"},

    {110,  1, "map_version",               REG_U16,      "",    1, STATUS, OF_GATEWAY, OUR_MAP_VERSION,           "map version, the rows that exist depend on it"},
    {111,  1, "connection_state",          REG_U16,      "",    1, STATUS, OF_GATEWAY, OUR_STATE,                 "connection state, 0 never answered, 1 fresh, 2 stale, 3 no line"},
    {112,  1, "packs_present",             REG_U16,      "",    1, STATUS, OF_BANK,    BANK_PACKS_PRESENT,        "packs present, of a bank: those whose values are fresh and included"},
    {113,  1, "packs_missing",             REG_U16,      "",    1, STATUS, OF_BANK,    BANK_PACKS_MISSING,        "packs missing, of a bank: those that are left out"},
    {114,  1, "packs_needed",              REG_U16,      "",    1, STATUS, OF_BANK,    BANK_PACKS_NEEDED,         "packs needed, of a bank: with fewer fresh ones it is stale"},
    {120,  1, "age_s",                     REG_U32,      "s",   1, STATUS, OF_GATEWAY, OUR_AGE_S,                 "age of the values, rounded up, at the moment of the request"},
    {122,  1, "polls",                     REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_POLLS,                 "poll cycles completed"},
    {124,  1, "timeouts",                  REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_TIMEOUTS,              "requests unanswered, after all repeats"},
    {126,  1, "checksum_errors",           REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_CHECKSUM_ERRORS,       "damaged answers, wrong checksum or form"},
    {128,  1, "reconnects",                REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_RECONNECTS,            "reconnects of the line"},
    {130,  1, "implausible",               REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_IMPLAUSIBLE,           "values refused, outside of their plausible range"},
    {132,  1, "spikes",                    REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_SPIKES,                "spikes, readings discarded because a second one, read at once, differed"},
    {140,  1, "driver",                    REG_STRING,   "",    1, STATUS, OF_TEXT,    OUR_DRIVER,                "driver, the protocol as named in the configuration"},
    {156,  1, "pack_name",                 REG_STRING,   "",    1, STATUS, OF_TEXT,    OUR_PACK_NAME,             "pack name, as in the configuration"},
    {180,  1, "check_u16",                 REG_U16,      "",    1, STATUS, OF_GATEWAY, OUR_CHECK_U16,             "self-check u16, always 12345"},
    {181,  1, "check_s16",                 REG_S16,      "",    1, STATUS, OF_GATEWAY, OUR_CHECK_S16,             "self-check s16, always -12345"},
    {182,  1, "check_u32",                 REG_U32,      "",    1, STATUS, OF_GATEWAY, OUR_CHECK_U32,             "self-check u32, always 305419896 (0x12345678)"},
    {184,  1, "check_float32",             REG_FLOAT32,  "",    1, STATUS, OF_GATEWAY, OUR_CHECK_FLOAT32,         "self-check float32, always 123456.0"},

    {210,  1, "voltage_v",                 REG_FLOAT32,  "V",   1, VALUE,  OF_PACK,    VOLTAGE_V,                 "voltage"},
    {212,  1, "current_a",                 REG_FLOAT32,  "A",   1, VALUE,  OF_PACK,    CURRENT_A,                 "current, positive charges the pack"},
    {214,  1, "power_w",                   REG_FLOAT32,  "W",   1, VALUE,  OF_PACK,    POWER_W,                   "power, positive charges the pack"},
    {216,  1, "soc_percent",               REG_FLOAT32,  "%",   1, VALUE,  OF_PACK,    SOC_PERCENT,               "state of charge"},
    {218,  1, "soh_percent",               REG_FLOAT32,  "%",   1, VALUE,  OF_PACK,    SOH_PERCENT,               "state of health"},
    {220,  1, "remaining_ah",              REG_FLOAT32,  "Ah",  1, VALUE,  OF_PACK,    REMAINING_AH,              "remaining capacity"},
    {222,  1, "full_ah",                   REG_FLOAT32,  "Ah",  1, VALUE,  OF_PACK,    FULL_AH,                   "full capacity, as the pack is today"},
    {224,  1, "rated_ah",                  REG_FLOAT32,  "Ah",  1, VALUE,  OF_PACK,    RATED_AH,                  "rated capacity, as the pack was when new"},
    {226,  1, "mos_temp_c",                REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    MOS_TEMP_C,                "MOS temperature"},
    {228,  1, "charge_voltage_limit_v",    REG_FLOAT32,  "V",   1, VALUE,  OF_PACK,    CHARGE_VOLTAGE_LIMIT_V,    "charge voltage limit, as the BMS reports it"},
    {230,  1, "charge_current_limit_a",    REG_FLOAT32,  "A",   1, VALUE,  OF_PACK,    CHARGE_CURRENT_LIMIT_A,    "charge current limit, as the BMS reports it"},
    {232,  1, "discharge_voltage_limit_v", REG_FLOAT32,  "V",   1, VALUE,  OF_PACK,    DISCHARGE_VOLTAGE_LIMIT_V, "discharge voltage limit, as the BMS reports it"},
    {234,  1, "discharge_current_limit_a", REG_FLOAT32,  "A",   1, VALUE,  OF_PACK,    DISCHARGE_CURRENT_LIMIT_A, "discharge current limit, as the BMS reports it"},
    {236,  1, "packs_current_a",           REG_FLOAT32,  "A",   1, VALUE,  OF_BANK,    BANK_PACKS_CURRENT_A,      "current of the packs together, of a bank whose own current is that of a shunt"},
    {238,  1, "packs_soc_percent",         REG_FLOAT32,  "%",   1, VALUE,  OF_BANK,    BANK_PACKS_SOC_PERCENT,    "state of charge by the packs, of a bank whose own one is that of a shunt"},

    {260,  1, "charged_wh",                REG_U32,      "Wh",  1, VALUE,  OF_GATEWAY, OUR_CHARGED_WH,            "charged energy, counted by the gateway"},
    {262,  1, "discharged_wh",             REG_U32,      "Wh",  1, VALUE,  OF_GATEWAY, OUR_DISCHARGED_WH,         "discharged energy, counted by the gateway"},
    {264,  1, "cycles",                    REG_U32,      "",    1, VALUE,  OF_PACK,    CYCLES,                    "charge cycles"},
    {266,  1, "time_to_full_s",            REG_U32,      "s",   1, VALUE,  OF_GATEWAY, OUR_TIME_TO_FULL_S,        "time to full, with the average current of the last minutes; unknown while it is close to 0 or discharges"},
    {268,  1, "time_to_empty_s",           REG_U32,      "s",   1, VALUE,  OF_GATEWAY, OUR_TIME_TO_EMPTY_S,       "time to empty, the same; unknown while it charges"},

    {270,  1, "alarms_active",             REG_BITS32,   "",    1, VALUE,  OF_STATE,   ALARMS_ACTIVE,             "active alarms, at any level"},
    {272,  1, "alarms_warning",            REG_BITS32,   "",    1, VALUE,  OF_STATE,   ALARMS_WARNING,            "active warnings, which the BMS only reports"},
    {274,  1, "alarms_protection",         REG_BITS32,   "",    1, VALUE,  OF_STATE,   ALARMS_PROTECTION,         "active protections, on which the BMS acts"},
    {276,  1, "alarms_known",              REG_BITS32,   "",    1, VALUE,  OF_STATE,   ALARMS_KNOWN,              "known alarms, those that this BMS can report"},
    {280,  1, "balance_mask",              REG_BITS64,   "",    1, VALUE,  OF_PACK,    BALANCE_MASK,              "balancing cells, bit 0 is cell 1"},

    {290,  1, "charge_mos",                REG_U16,      "",    1, VALUE,  OF_PACK,    CHARGE_MOS,                "charge MOS, 0 off, 1 on"},
    {291,  1, "discharge_mos",             REG_U16,      "",    1, VALUE,  OF_PACK,    DISCHARGE_MOS,             "discharge MOS, 0 off, 1 on"},
    {292,  1, "balancing",                 REG_U16,      "",    1, VALUE,  OF_PACK,    BALANCING,                 "balancing, 1 while any cell is balanced"},
    {293,  1, "alarm_level",               REG_U16,      "",    1, VALUE,  OF_STATE,   ALARM_LEVEL,               "alarm level, 0 no alarm, 1 warning, 2 protection"},
    {294,  1, "cell_count",                REG_U16,      "",    1, VALUE,  OF_PACK,    CELL_COUNT,                "number of cells"},
    {295,  1, "temp_count",                REG_U16,      "",    1, VALUE,  OF_PACK,    TEMP_COUNT,                "number of temperature sensors"},
    {296,  1, "raw_alarm_count",           REG_U16,      "",    1, VALUE,  OF_STATE,   RAW_ALARM_COUNT,           "number of raw alarm words"},

    {300,  1, "cell_max_mv",               REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_MAX_MV,               "highest cell voltage"},
    {301,  1, "cell_min_mv",               REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_MIN_MV,               "lowest cell voltage"},
    {302,  1, "cell_max_index",            REG_U16,      "",    1, VALUE,  OF_PACK,    CELL_MAX_INDEX,            "highest cell, its number from 1"},
    {303,  1, "cell_min_index",            REG_U16,      "",    1, VALUE,  OF_PACK,    CELL_MIN_INDEX,            "lowest cell, its number from 1"},
    {304,  1, "cell_delta_mv",             REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_DELTA_MV,             "cell voltage difference, highest less lowest"},
    {305,  1, "cell_max_pack",             REG_U16,      "",    1, VALUE,  OF_BANK,    BANK_CELL_MAX_PACK,        "pack of the highest cell, of a bank: its place in the list from 1"},
    {306,  1, "cell_min_pack",             REG_U16,      "",    1, VALUE,  OF_BANK,    BANK_CELL_MIN_PACK,        "pack of the lowest cell, of a bank: its place in the list from 1"},
    {307,  1, "temp_max_pack",             REG_U16,      "",    1, VALUE,  OF_BANK,    BANK_TEMP_MAX_PACK,        "pack of the highest temperature, of a bank: its place in the list from 1"},
    {308,  1, "temp_min_pack",             REG_U16,      "",    1, VALUE,  OF_BANK,    BANK_TEMP_MIN_PACK,        "pack of the lowest temperature, of a bank: its place in the list from 1"},
    {310,  1, "cell_avg_mv",               REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_AVG_MV,               "average cell voltage"},
    {311, 48, "cell_mv",                   REG_U16,      "mV",  1, VALUE,  OF_PACK,    CELL_MV,                   "cell, its voltage"},

    {370,  1, "temp_avg_c",                REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    TEMP_AVG_C,                "average temperature"},
    {372, 16, "temp_c",                    REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    TEMP_C,                    "temperature"},
    {404,  1, "temp_max_c",                REG_FLOAT32,  "°C",  1, VALUE,  OF_STATE,   TEMP_MAX,                  "highest temperature"},
    {406,  1, "temp_min_c",                REG_FLOAT32,  "°C",  1, VALUE,  OF_STATE,   TEMP_MIN,                  "lowest temperature"},

    {410,  1, "serial",                    REG_STRING,   "",    1, VALUE,  OF_TEXT,    SERIAL,                    "serial number"},
    {430,  1, "model",                     REG_STRING,   "",    1, VALUE,  OF_TEXT,    MODEL,                     "model"},
    {450,  1, "firmware",                  REG_STRING,   "",    1, VALUE,  OF_TEXT,    FIRMWARE,                  "firmware"},

    {481, 16, "raw_alarm",                 REG_BITS16,   "",    1, VALUE,  OF_STATE,   RAW_ALARM,                 "raw alarm word, as in the protocol"},

    {498,  1, "allowed_charge_voltage_v",  REG_FLOAT32,  "V",   1, STATUS, OF_GATEWAY, OUR_ALLOWED_CHARGE_V,      "allowed charge voltage, unknown without fresh values"},
    {500,  1, "allowed_charge_current_a",  REG_FLOAT32,  "A",   1, STATUS, OF_GATEWAY, OUR_ALLOWED_CHARGE_A,      "allowed charge current, 0 without fresh values"},
    {502,  1, "allowed_discharge_current_a", REG_FLOAT32,  "A",   1, STATUS, OF_GATEWAY, OUR_ALLOWED_DISCHARGE_A,   "allowed discharge current, 0 without fresh values, or as before for 10 s (on_stale)"},
    {504,  1, "charge_limited_by",         REG_U16,      "",    1, STATUS, OF_GATEWAY, OUR_CHARGE_LIMITED_BY,     "limit of the charge current, by its code in docs/limits.md"},
    {505,  1, "discharge_limited_by",      REG_U16,      "",    1, STATUS, OF_GATEWAY, OUR_DISCHARGE_LIMITED_BY,  "limit of the discharge current, by its code in docs/limits.md"},
    {506,  1, "limits_age_s",              REG_U16,      "s",   1, STATUS, OF_GATEWAY, OUR_LIMITS_AGE_S,          "age of the values that the limits are from, rounded up"},

    {610,  1, "set_cell_high_mv",          REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_CELL_HIGH_MV,           "cell over voltage limit, as set in the BMS: it stops charging there"},
    {612,  1, "set_cell_high_release_mv",  REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_CELL_HIGH_RELEASE_MV,   "cell over voltage release, below which charging resumes"},
    {614,  1, "set_cell_low_mv",           REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_CELL_LOW_MV,            "cell under voltage limit, as set in the BMS: it stops discharging there"},
    {616,  1, "set_cell_low_release_mv",   REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_CELL_LOW_RELEASE_MV,    "cell under voltage release, above which discharging resumes"},
    {618,  1, "set_pack_high_v",           REG_FLOAT32,  "V",   1, VALUE,  OF_PACK,    SET_PACK_HIGH_V,            "pack over voltage limit, as set in the BMS"},
    {620,  1, "set_pack_low_v",            REG_FLOAT32,  "V",   1, VALUE,  OF_PACK,    SET_PACK_LOW_V,             "pack under voltage limit, as set in the BMS"},
    {622,  1, "set_charge_current_a",      REG_FLOAT32,  "A",   1, VALUE,  OF_PACK,    SET_CHARGE_CURRENT_A,       "charge over current limit, as set in the BMS"},
    {624,  1, "set_discharge_current_a",   REG_FLOAT32,  "A",   1, VALUE,  OF_PACK,    SET_DISCHARGE_CURRENT_A,    "discharge over current limit, as set in the BMS"},
    {626,  1, "set_charge_hot_c",          REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_CHARGE_HOT_C,           "charge over temperature limit, as set in the BMS"},
    {628,  1, "set_charge_hot_release_c",  REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_CHARGE_HOT_RELEASE_C,   "charge over temperature release, as set in the BMS"},
    {630,  1, "set_charge_cold_c",         REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_CHARGE_COLD_C,          "charge under temperature limit, as set in the BMS"},
    {632,  1, "set_charge_cold_release_c", REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_CHARGE_COLD_RELEASE_C,  "charge under temperature release, as set in the BMS"},
    {634,  1, "set_discharge_hot_c",       REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_DISCHARGE_HOT_C,        "discharge over temperature limit, as set in the BMS"},
    {636,  1, "set_discharge_hot_release_c", REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_DISCHARGE_HOT_RELEASE_C, "discharge over temperature release, as set in the BMS"},
    {638,  1, "set_discharge_cold_c",      REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_DISCHARGE_COLD_C,       "discharge under temperature limit, as set in the BMS"},
    {640,  1, "set_discharge_cold_release_c", REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_DISCHARGE_COLD_RELEASE_C, "discharge under temperature release, as set in the BMS"},
    {642,  1, "set_mos_hot_c",             REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_MOS_HOT_C,              "MOS over temperature limit, as set in the BMS"},
    {644,  1, "set_mos_hot_release_c",     REG_FLOAT32,  "°C",  1, VALUE,  OF_PACK,    SET_MOS_HOT_RELEASE_C,      "MOS over temperature release, as set in the BMS"},
    {646,  1, "set_cell_difference_mv",    REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_CELL_DIFFERENCE_MV,     "cell difference limit, from which an alarm is raised"},
    {648,  1, "set_balance_start_mv",      REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_BALANCE_START_MV,       "balance start voltage, above which cells are balanced"},
    {650,  1, "set_balance_difference_mv", REG_FLOAT32,  "mV",  1, VALUE,  OF_PACK,    SET_BALANCE_DIFFERENCE_MV,  "balance start difference, from which cells are balanced"},
    {652,  1, "set_balancer",              REG_FLOAT32,  "",    1, VALUE,  OF_PACK,    SET_BALANCER,               "balancer switch, 1 while balancing is enabled"},
};
const unsigned map_row_count = COUNT(map_rows);

const struct map_group map_groups[] = {
    /* offset size title, text                                                                       poll_s */
    {  0,  58, "Compatibility block", "", 0},
    {110,  10, "State",
     "Can be read at any time, also while the pack is silent. The numbers of packs are those of a [bank](#banks).", 10},
    {120,  20, "Counters",
     "Can be read at any time. They count from the start of the gateway.", 60},
    {140,  32, "Names",
     "Can be read at any time.", 600},
    {180,   6, "Self-check",
     "Constants, to verify a new client. Can be read at any time.", 0},
    {210,  50, "Measurements", "", 10},
    {260,  10, "Energy and cycles",
     "The energy counters survive a restart of the gateway. The times exist from map version 3 on.", 60},
    {270,   8, "Alarms",
     "Bit n is the alarm of [discrete input](#discrete-inputs) n + 1. If it is not set in `alarms_known`, the BMS does\nnot report that alarm.",
     0},
    {280,   4, "Balance mask", "", 0},
    {290,  10, "Switches and counts", "", 10},
    {300,  59, "Cells",
     "The average is in the register before cell 1: the number of a cell is its distance from the average.", 10},
    {370,  38, "Temperatures",
     "The average is in the register before sensor 1. Always °C.", 10},
    {410,  56, "Identity", "", 600},
    {481,  16, "Raw alarm words",
     "In the order of the protocol, for alarms that have no common name. Unknown from `raw_alarm_count` on.", 0},
    {498,   6, "Limits",
     "From map version 3 on, of packs and banks with [limits](docs/limits.md); unknown for others. Can be read at any time,\n"
     "also while the pack is silent: nothing is allowed then, or with `on_stale = discharge` to discharge for 10 s.", 10},
    {504,   3, "Reasons of the limits",
     "The same.", 10},
    {MAP_SETTINGS_OFFSET, MAP_SETTINGS_SIZE, "Settings",
     "Settings of the BMS, if its protocol exposes them: the limits at which it switches off, and when it balances. Read once an\nhour. The configured capacity is `rated_ah`. docs/settings.md says which can be written.",
     0},
};
const unsigned map_group_count = COUNT(map_groups);

/* The alarms follow pack.h, bit n at input n + 1; inputs up to 31 are reserved for new ones. */
#define ALARM_INPUT(symbol, name) {1 + symbol, "alarm." name, VALUE, BIT_OF_ALARM, symbol, NULL},
const struct map_bit map_inputs[] = {
    /* number name            class   source        id              meaning */
    {0,  "alarm",             VALUE,  BIT_OF_STATE, ANY_ALARM,      "any alarm, at any level"},
    PACK_ALARMS(ALARM_INPUT)
    {32, "charge_mos",        VALUE,  BIT_OF_PACK,  CHARGE_MOS,     "charge MOS on"},
    {33, "discharge_mos",     VALUE,  BIT_OF_PACK,  DISCHARGE_MOS,  "discharge MOS on"},
    {34, "balancing",         VALUE,  BIT_OF_PACK,  BALANCING,      "any cell is balanced"},
    {35, "charging",          VALUE,  BIT_OF_STATE, IS_CHARGING,    "the current charges the pack"},
    {36, "discharging",       VALUE,  BIT_OF_STATE, IS_DISCHARGING, "the current discharges the pack"},
    {37, "fresh",             STATUS, BIT_OF_STATE, IS_FRESH,       "the pack answers, its values are fresh; can be read at any time"},
    {38, "warning",           VALUE,  BIT_OF_STATE, ANY_WARNING,    "any alarm at warning level"},
    {39, "protection",        VALUE,  BIT_OF_STATE, ANY_PROTECTION, "any alarm at protection level"},
};
const unsigned map_input_count = COUNT(map_inputs);

const struct map_bit map_coils[] = {
    {0,  "charge_mos",        SWITCH, BIT_OF_PACK,  CHARGE_MOS,     "charge MOS on"},
    {1,  "discharge_mos",     SWITCH, BIT_OF_PACK,  DISCHARGE_MOS,  "discharge MOS on"},
};
const unsigned map_coil_count = COUNT(map_coils);
// clang-format on

const char *map_state_name(enum map_state state)
{
    static const char *const names[] = {"never", "fresh", "stale", "no_line"};
    return names[state];
}

const char *map_limit_reason_name(enum limit_reason reason)
{
#define LIMIT_REASON_NAME(symbol, name) name,
    static const char *const names[] = {LIMIT_REASONS(LIMIT_REASON_NAME)};
    return names[reason];
}

_Static_assert(1 + PACK_ALARM_COUNT <= 32, "no room for another alarm among the discrete inputs");

/* A run of served registers: those of the rows from `offset` on. */
struct span {
    unsigned start, size, offset;
    const char *name;
};
#define MAX_SPANS 4

static unsigned last(const struct span *span)
{
    return span->start + span->size - 1;
}

static bool overlap(const struct span *a, const struct span *b)
{
    return a->start <= last(b) && b->start <= last(a);
}

/* The block of settings was added later: it is left out if it would collide with a configuration.
 */
bool map_has_settings(const struct map_settings *settings)
{
    const struct span block = {(unsigned) settings->base + MAP_SETTINGS_OFFSET, MAP_SETTINGS_SIZE,
                               MAP_SETTINGS_OFFSET, NULL};
    const struct span copy = {(unsigned) settings->also_at, MAP_COMPAT_SIZE, 0, NULL};
    return last(&block) <= LAST_ADDRESS && !(map_has_copy(settings) && overlap(&block, &copy));
}

static unsigned list_spans(const struct map_settings *settings, struct span spans[MAX_SPANS])
{
    unsigned base = (unsigned) settings->base;
    spans[0] = (struct span){base, MAP_COMPAT_SIZE, 0, "compatibility block at base"};
    spans[1] = (struct span){base + MAP_EXTENDED_OFFSET, MAP_EXTENDED_SIZE, MAP_EXTENDED_OFFSET,
                             "extended block at base + 110"};
    unsigned count = 2;
    if (map_has_settings(settings))
        spans[count++] = (struct span){base + MAP_SETTINGS_OFFSET, MAP_SETTINGS_SIZE,
                                       MAP_SETTINGS_OFFSET, "block of settings at base + 610"};
    if (map_has_copy(settings))
        spans[count++] =
            (struct span){(unsigned) settings->also_at, MAP_COMPAT_SIZE, 0, "copy at also_at"};
    return count;
}

bool map_check(const struct map_settings *settings, char *reason, size_t size)
{
    const int also_at = settings->also_at == MAP_NONE ? 0 : settings->also_at;
    const bool base_good = settings->base >= 0 && settings->base <= LAST_ADDRESS;
    if (!base_good || also_at < 0 || also_at > LAST_ADDRESS) {
        snprintf(reason, size, "%s = %d is not an address (0 to %d)",
                 base_good ? "also_at" : "base", base_good ? also_at : settings->base,
                 LAST_ADDRESS);
        return false;
    }
    struct span spans[MAX_SPANS];
    unsigned count = list_spans(settings, spans);
    for (const struct span *span = spans; span < spans + count; span++) {
        if (last(span) > LAST_ADDRESS) {
            snprintf(reason, size, "the %s would reach from %u to %u, beyond address %d",
                     span->name, span->start, last(span), LAST_ADDRESS);
            return false;
        }
        for (const struct span *other = spans; other < span; other++)
            if (overlap(span, other)) {
                snprintf(reason, size, "the %s (%u to %u) overlaps the %s (%u to %u)", span->name,
                         span->start, last(span), other->name, other->start, last(other));
                return false;
            }
    }
    return true;
}

unsigned map_size(const struct map_settings *settings)
{
    struct span spans[MAX_SPANS];
    unsigned count = list_spans(settings, spans);
    unsigned size = 0;
    while (count-- > 0)
        size = last(&spans[count]) >= size ? last(&spans[count]) + 1 : size;
    return size;
}

/* Spans are disjoint, so a range is inside if they cover as many registers as it has. */
enum map_range map_range(const struct map_settings *settings, unsigned address, unsigned count)
{
    struct span spans[MAX_SPANS];
    const unsigned span_count = list_spans(settings, spans);
    const unsigned stop = address + count;
    unsigned covered = 0;
    bool values = false;
    for (const struct span *span = spans; span < spans + span_count; span++) {
        const unsigned first = span->start > address ? span->start : address;
        const unsigned end = last(span) < stop ? last(span) + 1 : stop;
        if (first >= end)
            continue;
        covered += end - first;
        const unsigned offset = span->offset + first - span->start;
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
            values |= row->class != STATUS && row->offset < offset + end - first &&
                      offset < row->offset + map_row_size(row);
    }
    return count == 0 || covered < count ? MAP_OUTSIDE : values ? MAP_VALUES : MAP_STATUS;
}

static enum map_range bit_range(const struct map_bit *bits, unsigned bit_count, unsigned size,
                                unsigned address, unsigned count)
{
    if (count == 0 || address >= size || count > size - address)
        return MAP_OUTSIDE;
    for (unsigned i = 0; i < bit_count; i++)
        if (bits[i].class != STATUS && bits[i].number >= address &&
            bits[i].number < address + count)
            return MAP_VALUES;
    return MAP_STATUS;
}

enum map_range map_input_range(unsigned address, unsigned count)
{
    return bit_range(map_inputs, map_input_count, MAP_INPUTS, address, count);
}

enum map_range map_coil_range(unsigned address, unsigned count)
{
    return bit_range(map_coils, map_coil_count, MAP_COILS, address, count);
}

const struct map_row *map_row_find(const char *name)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (map_row_block(row) == EXTENDED && strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* Settings are written where they are read, if the pack's protocol can write them. */
static bool is_settable(const struct map_row *row)
{
    bool number = row->offset >= MAP_EXTENDED_OFFSET && row->source == OF_PACK;
    return number && (row->id == SOC_PERCENT || row->id == RATED_AH || row->id == SET_BALANCER);
}

bool map_setting_at(const struct map_settings *settings, unsigned address, enum pack_value *id)
{
    for (unsigned i = 0; i < map_row_count; i++) {
        const struct map_row *row = &map_rows[i];
        if (!is_settable(row) || (unsigned) settings->base + row->offset != address)
            continue;
        *id = (enum pack_value) row->id;
        return row->offset < MAP_SETTINGS_OFFSET || map_has_settings(settings);
    }
    return false;
}

const char *map_row_access(const struct map_settings *settings, const struct map_row *row)
{
    return is_settable(row) && settings->settable ? "rw" : map_access(settings, row->class);
}

const char *map_access(const struct map_settings *settings, enum map_class class)
{
    return class == SWITCH && settings->writable ? "rw" : "r";
}
