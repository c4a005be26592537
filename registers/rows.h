// SPDX-License-Identifier: MIT
/*
 * The rows of the register map and functions on them. Only for this room: the encoder and the
 * generators walk these tables, all other code uses map.h.
 */
#pragma once

#include "map.h"
#include "types.h"

enum map_block { COMPATIBILITY, EXTENDED, MAP_BLOCKS };

/* Where the encoder finds a row's number or text; `id` is the index there, element n of an array
 * is at id + n. */
enum map_source {
    OF_PACK,    /* pack->value: enum pack_value */
    OF_STATE,   /* computed from the pack: enum pack_state_number */
    OF_GATEWAY, /* of struct map_status, the settings, constants: enum gateway_number */
    OF_BANK,    /* of struct map_bank, unknown for a pack: enum bank_number */
    OF_TEXT     /* enum pack_text, followed by enum gateway_text */
};

/* Numbers with their values, which the encoder computes. ALARMS: if the BMS reports any; KNOWN: as long as there is such a
 * thing. The average temperature is in the unit of the settings. */
// clang-format off
#define STATE_NUMBER_LIST(X) \
    X(ALARMS_ACTIVE,            ALARMS(active)) \
    X(ALARMS_WARNING,           ALARMS(pack->alarms_warning)) \
    X(ALARMS_PROTECTION,        ALARMS(pack->alarms_protection)) \
    X(ALARMS_KNOWN,             pack->alarms_known) \
    X(ALARM_LEVEL,              ALARMS(pack->alarms_protection ? ALARM_PROTECTION : active ? ALARM_WARNING : 0)) \
    X(FAILURE,                  active || status->state != MAP_STATE_FRESH) \
    X(SHOWN_TEMP_AVG,           settings->fahrenheit ? mean_c * 9 / 5 + 32 : mean_c) \
    X(TEMP_MAX,                 status->bank ? status->bank->temp_max_c : highest_c) \
    X(TEMP_MIN,                 status->bank ? status->bank->temp_min_c : lowest_c) \
    X(RAW_ALARM_COUNT,          pack->raw_alarm_count)
#define GATEWAY_NUMBER_LIST(X) \
    X(OUR_MAP_VERSION,          MAP_VERSION) \
    X(OUR_STATE,                status->state) \
    X(OUR_AGE_S,                ceil(status->age_s)) \
    X(OUR_POLLS,                status->polls) \
    X(OUR_TIMEOUTS,             status->timeouts) \
    X(OUR_CHECKSUM_ERRORS,      status->checksum_errors) \
    X(OUR_RECONNECTS,           status->reconnects) \
    X(OUR_IMPLAUSIBLE,          status->implausible) \
    X(OUR_SPIKES,               status->spikes) \
    X(OUR_CHARGED_WH,           status->charged_wh) \
    X(OUR_DISCHARGED_WH,        status->discharged_wh) \
    X(OUR_PEAK_PERCENT,         KNOWN(peak, peak->percent)) \
    X(OUR_PEAK_HOUR,            KNOWN(peak, peak->hour)) \
    X(OUR_PEAK_MINUTE,          KNOWN(peak, peak->minute)) \
    X(OUR_ALLOWED_CHARGE_V,     KNOWN(allowed, allowed->charge_voltage_v)) \
    X(OUR_ALLOWED_CHARGE_A,     KNOWN(allowed, allowed->charge_current_a)) \
    X(OUR_ALLOWED_DISCHARGE_A,  KNOWN(allowed, allowed->discharge_current_a)) \
    X(OUR_CHARGE_LIMITED_BY,    KNOWN(allowed, allowed->charge_limited_by)) \
    X(OUR_DISCHARGE_LIMITED_BY, KNOWN(allowed, allowed->discharge_limited_by)) \
    X(OUR_LIMITS_AGE_S,         KNOWN(allowed, ceil(allowed->age_s))) \
    X(OUR_TIME_TO_FULL_S,       status->time_to_full_s) \
    X(OUR_TIME_TO_EMPTY_S,      status->time_to_empty_s) \
    X(OUR_MEMORY_MIB,           status->memory_mib) \
    X(OUR_SECONDS,              status->seconds) \
    X(OUR_TIMEZONE_HOURS,       status->timezone_hours) \
    X(OUR_DASHBOARD_ID,         settings->display[0]) \
    X(OUR_DISPLAY,              settings->display[1]) \
    X(OUR_DISPLAY_2,            settings->display[2]) \
    X(OUR_CHECK_U16,            12345) \
    X(OUR_CHECK_S16,            -12345) \
    X(OUR_CHECK_U32,            0x12345678) \
    X(OUR_CHECK_FLOAT32,        123456.0)
#define BANK_NUMBER_LIST(X) \
    X(BANK_PACKS_PRESENT,       KNOWN(bank, bank->present)) \
    X(BANK_PACKS_MISSING,       KNOWN(bank, bank->missing)) \
    X(BANK_PACKS_NEEDED,        KNOWN(bank, bank->needed)) \
    X(BANK_CELL_MAX_PACK,       PACK_OF(cell_max_pack)) \
    X(BANK_CELL_MIN_PACK,       PACK_OF(cell_min_pack)) \
    X(BANK_TEMP_MAX_PACK,       PACK_OF(temp_max_pack)) \
    X(BANK_TEMP_MIN_PACK,       PACK_OF(temp_min_pack)) \
    X(BANK_PACKS_CURRENT_A,     KNOWN(bank, bank->packs_current_a)) \
    X(BANK_PACKS_SOC_PERCENT,   KNOWN(bank, bank->packs_soc_percent))
#define NUMBER_ENUM(symbol, number) symbol,
// clang-format on
enum pack_state_number {
    STATE_NUMBER_LIST(NUMBER_ENUM) RAW_ALARM,
    PACK_STATE_NUMBERS = RAW_ALARM + MAX_RAW_ALARMS
};
enum gateway_number { GATEWAY_NUMBER_LIST(NUMBER_ENUM) GATEWAY_NUMBERS };
enum bank_number { BANK_NUMBER_LIST(NUMBER_ENUM) BANK_NUMBERS };

enum gateway_text { OUR_DRIVER = PACK_TEXTS, OUR_PACK_NAME, MAP_TEXTS };

/* The class of a row: of the gateway, always readable; of the pack, rejected while it is silent;
 * of the pack and writable, if the configuration permits writing. */
enum map_class { STATUS, VALUE, SWITCH };

struct map_row {
    unsigned offset;  /* from base; in the compatibility block also from also_at */
    unsigned count;   /* 1, or the number of elements of an array */
    const char *name; /* of an array the stem: its elements are "name.1" and so on */
    enum map_type type;
    const char *unit; /* "" where there is none */
    double scale;     /* value in `unit` = register * scale */
    enum map_class class;
    enum map_source source;
    int id;
    const char *meaning; /* a title; further explanation follows after a comma */
};
extern const struct map_row map_rows[];
extern const unsigned map_row_count;

/* Rows that are read together: at most 125 registers, and of one type except in the self-check and
 * in the compatibility block, which have given layouts. */
struct map_group {
    unsigned offset, size; /* from base, in registers */
    const char *title;
    const char *text; /* description for register-map.md */
    unsigned poll_s;  /* poll interval in client files; 0: not polled */
};
extern const struct map_group map_groups[];
extern const unsigned map_group_count;

/* A discrete input or a coil. */
enum bit_source {
    BIT_OF_ALARM, /* enum pack_alarm */
    BIT_OF_PACK,  /* enum pack_value, set if it is 1 */
    BIT_OF_STATE  /* enum bit_state */
};
// clang-format off
#define BIT_STATE_LIST(X) \
    X(ANY_ALARM,      (pack->alarms_warning | pack->alarms_protection) != 0) \
    X(ANY_WARNING,    pack->alarms_warning != 0) \
    X(ANY_PROTECTION, pack->alarms_protection != 0) \
    X(IS_CHARGING,    pack->value[CURRENT_A] > 0) \
    X(IS_DISCHARGING, pack->value[CURRENT_A] < 0) \
    X(IS_FRESH,       status->state == MAP_STATE_FRESH)
// clang-format on
enum bit_state { BIT_STATE_LIST(NUMBER_ENUM) BIT_STATES };

struct map_bit {
    unsigned number;
    const char *name;
    enum map_class class;
    enum bit_source source;
    int id;
    const char *meaning; /* NULL: the name suffices */
};
extern const struct map_bit map_inputs[], map_coils[];
extern const unsigned map_input_count, map_coil_count;

/** Whether a row has a number by itself that map_number_named knows; and this number. */
bool map_is_number(const struct map_row *row);
double map_number(const struct map_row *row, const struct pack *pack,
                  const struct map_status *status);

/** Whether the compatibility block has a second copy, at also_at. */
static inline bool map_has_copy(const struct map_settings *settings)
{
    return settings->also_at != MAP_NONE && settings->also_at != settings->base;
}

/** Whether the block of settings is served. */
bool map_has_settings(const struct map_settings *settings);

static inline enum map_block map_row_block(const struct map_row *row)
{
    return row->offset < MAP_EXTENDED_OFFSET ? COMPATIBILITY : EXTENDED;
}

/** The row of the extended block with this name, or NULL. */
const struct map_row *map_row_find(const char *name);

/** Registers of the whole row. */
static inline unsigned map_row_size(const struct map_row *row)
{
    return row->count * map_types[row->type].registers;
}

/** Whether the words of a row have the high word first. */
static inline bool map_row_high_first(const struct map_settings *settings,
                                      const struct map_row *row)
{
    return row->type == REG_U32_HIGH || settings->big_floats;
}

/** "r" or "rw". */
const char *map_access(const struct map_settings *settings, enum map_class class);
const char *map_row_access(const struct map_settings *settings, const struct map_row *row);

static inline bool map_group_has(const struct map_group *group, const struct map_row *row)
{
    return row->offset >= group->offset && row->offset < group->offset + group->size;
}
