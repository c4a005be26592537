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

enum pack_state_number {
    ALARMS_ACTIVE,
    ALARMS_WARNING,
    ALARMS_PROTECTION,
    ALARMS_KNOWN,
    ALARM_LEVEL,
    FAILURE,
    SHOWN_TEMP_AVG, /* in the unit of the settings */
    TEMP_MAX,
    TEMP_MIN,
    RAW_ALARM_COUNT,
    RAW_ALARM,
    PACK_STATE_NUMBERS = RAW_ALARM + MAX_RAW_ALARMS
};

enum gateway_number {
    OUR_MAP_VERSION,
    OUR_STATE,
    OUR_AGE_S,
    OUR_POLLS,
    OUR_TIMEOUTS,
    OUR_CHECKSUM_ERRORS,
    OUR_RECONNECTS,
    OUR_IMPLAUSIBLE,
    OUR_SPIKES,
    OUR_CHARGED_WH,
    OUR_DISCHARGED_WH,
    OUR_PEAK_PERCENT,
    OUR_PEAK_HOUR,
    OUR_PEAK_MINUTE,
    OUR_ALLOWED_CHARGE_V,
    OUR_ALLOWED_CHARGE_A,
    OUR_ALLOWED_DISCHARGE_A,
    OUR_CHARGE_LIMITED_BY,
    OUR_DISCHARGE_LIMITED_BY,
    OUR_LIMITS_AGE_S,
    OUR_TIME_TO_FULL_S,
    OUR_TIME_TO_EMPTY_S,
    OUR_MEMORY_MIB,
    OUR_SECONDS,
    OUR_TIMEZONE_HOURS,
    OUR_DASHBOARD_ID,
    OUR_DISPLAY,
    OUR_CHECK_U16 = OUR_DISPLAY + 2,
    OUR_CHECK_S16,
    OUR_CHECK_U32,
    OUR_CHECK_FLOAT32,
    GATEWAY_NUMBERS
};

enum bank_number {
    BANK_PACKS_PRESENT,
    BANK_PACKS_MISSING,
    BANK_PACKS_NEEDED,
    BANK_CELL_MAX_PACK,
    BANK_CELL_MIN_PACK,
    BANK_TEMP_MAX_PACK,
    BANK_TEMP_MIN_PACK,
    BANK_PACKS_CURRENT_A,
    BANK_PACKS_SOC_PERCENT,
    BANK_NUMBERS
};

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
enum bit_state {
    ANY_ALARM,
    ANY_WARNING,
    ANY_PROTECTION,
    IS_CHARGING,
    IS_DISCHARGING,
    IS_FRESH,
    BIT_STATES
};

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

/** Whether the compatibility block has a second copy, at also_at. */
bool map_has_copy(const struct map_settings *settings);

/** Whether the block of settings is served. */
bool map_has_settings(const struct map_settings *settings);

enum map_block map_row_block(const struct map_row *row);

/** Offset of element n of a row, counted from 0; its address is base + offset. */
unsigned map_row_offset(const struct map_row *row, unsigned n);

/** Registers of the whole row. */
unsigned map_row_size(const struct map_row *row);

/** Whether the words of a row have the high word first. */
bool map_row_high_first(const struct map_settings *settings, const struct map_row *row);

/** The served unit: °F if the settings ask for it. */
const char *map_row_unit(const struct map_settings *settings, const struct map_row *row);

/** "r" or "rw". */
const char *map_access(const struct map_settings *settings, enum map_class class);
const char *map_row_access(const struct map_settings *settings, const struct map_row *row);

bool map_group_has(const struct map_group *group, const struct map_row *row);
