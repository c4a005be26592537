// SPDX-License-Identifier: MIT
/*
 * The differences between the siblings of TopBMS: one row per variant, shared by the decoder and
 * the emulator. Follows the sheet `topbms`, sections 4, 5 and 8.
 */
#pragma once

#include "ydt1363.h"

enum topbms_command {
    TOPBMS_ANALOG = 0x42,
    TOPBMS_STATUS = 0x44,
    TOPBMS_MAKER = 0x51,      /* Topband, Seplos, Pylontech */
    TOPBMS_LIMITS = 0x92,     /* Pylontech */
    TOPBMS_MODULE = 0x93,     /* Pylontech: its serial number */
    TOPBMS_CHARGE_MOS = 0x9A, /* PACE */
    TOPBMS_DISCHARGE_MOS = 0x9B,
    TOPBMS_BOARD = 0xC1,   /* PACE: board and software */
    TOPBMS_SERIALS = 0xC2, /* PACE: of the board, of the pack */
    TOPBMS_SERIAL = 0xE9,  /* TopBMS, document V1.1 */
    TOPBMS_PRODUCT = 0xF1  /* TopBMS */
};

#define TOPBMS_ALL_PACKS 0xFF /* COMMAND: all packs in one reply */

/* In the order of options.variant; auto detects which of the others it is. */
enum topbms_id {
    ID_AUTO,
    ID_TOPBMS,
    ID_TOPBAND,
    ID_PACE,
    ID_SEPLOS,
    ID_PYLONTECH,
    ID_EG4,
    ID_CREABEST,
    TOPBMS_IDS
};
extern const char *const topbms_names[];

/* Fields of 42H that are not simply one value of struct pack. */
enum topbms_field_id {
    FIELD_COUNT = PACK_VALUES, /* number of fields that follow, which distinguishes layouts */
    FIELD_OTHER,               /* ignored */
    FIELD_BALANCE_LOW,         /* bit 0 = cell 1 */
    FIELD_BALANCE_HIGH,        /* bit 0 = cell 17 */
    FIELD_LARGE_CAPACITIES,    /* Pylontech: remaining and full in 3 bytes if 2 are too small */
    FIELD_PACE_SOC,            /* not in all firmwares */
    FIELD_PACE_SOH             /* after four capacities: in even fewer firmwares */
};

/* One field of 42H after the sensors, in wire order. */
struct topbms_field {
    uint8_t id;    /* enum pack_value or topbms_field_id */
    uint8_t size;  /* bytes */
    uint8_t count; /* present only if the count byte is at least this */
    double unit;
};

/* Number of bytes in 42H after the sensors. */
struct topbms_length {
    uint8_t count; /* count byte for this length; 0: any */
    uint8_t size;
};

/* Number of bytes in 44H after the sensors, and position of the status bytes among them. */
struct topbms_tail {
    uint8_t size;
    uint8_t status_at;
    uint8_t status_size;
};

#define TOPBMS_LENGTHS 5
#define TOPBMS_TAILS 5
#define TOPBMS_NO_SENSOR 0x8000
#define NOWHERE 0xFF
#define LAST_SENSOR 0xFF

struct topbms_variant {
    /* The usual VER of requests and of replies. The latter is not checked, because some firmwares
     * set another one. */
    uint8_t version;
    uint8_t reply_version;
    bool names_pack;  /* requests for 42H and 44H contain COMMAND, the pack's number */
    bool flag_absent; /* INFOFLAG may be absent */
    bool flag_stands; /* INFOFLAG may come first */
    bool no_group;    /* the group byte may be absent, too, and `auto` does not expect it */
    uint8_t master;   /* highest low digit of ADR of a pack that replies for all */

    /* Sensors of 42H: wire values; 0 and TOPBMS_NO_SENSOR are a missing sensor. */
    uint16_t sensor_min, sensor_max, sensor_zero;
    bool sensor_signed; /* from -sensor_min to sensor_max; 0 is a value */
    double sensor_unit;
    uint8_t uncounted_sensors; /* sensors after those that N counts */
    uint8_t mos_sensor;        /* number of the MOS sensor; 0: unknown */

    /* 42H after the sensors. The counts of `lengths` are the valid ones; the first is emulated. */
    bool may_end_early;     /* the last fields may be missing */
    bool soc_by_capacities; /* the wire has no SOC, or not in all firmwares */
    uint8_t count_at;
    struct topbms_length lengths[TOPBMS_LENGTHS];
    const struct topbms_field *fields;
    uint8_t field_count;

    /* 44H after the sensors; without any tail it is not requested. The first tail is emulated,
     * with a count in its place. */
    struct topbms_tail tails[TOPBMS_TAILS];
    uint8_t tail_count_at, tail_count;

    /* Status bytes of 44H: bit 8 * n + m is bit m of byte n, counted from 0. */
    const struct alarm_bit *alarms;
    uint8_t alarm_count;
    uint8_t charge_mos, discharge_mos;
    uint8_t balance_at, balance_size; /* bytes; NOWHERE: none */
    bool balance_big_endian;

    uint8_t identity, serial, limits; /* commands of the slower steps; 0: none */
};

/* By enum topbms_id; the row of ID_AUTO is empty. */
extern const struct topbms_variant topbms_variants[TOPBMS_IDS];

/** ADR of requests to this pack, and COMMAND, which contains its number. */
static inline uint8_t topbms_adr(const struct bms *bms)
{
    return (uint8_t) (bms->options.adr >= 0 ? bms->options.adr : bms_address(bms));
}

static inline uint8_t topbms_number(const struct bms *bms)
{
    return (uint8_t) bms_address(bms);
}

/** The `emulate` of the driver: answers in the configured variant (auto: TopBMS). */
size_t topbms_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out);

/** The configured variant; any unknown one counts as ID_AUTO. */
static inline enum topbms_id topbms_configured(const struct bms *bms)
{
    int variant = bms->options.variant;
    return variant > ID_AUTO && variant < TOPBMS_IDS ? (enum topbms_id) variant : ID_AUTO;
}
