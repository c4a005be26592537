// SPDX-License-Identifier: MIT
/*
 * The register map: which value is at which Modbus address. The encoder, register-map.md, JSON,
 * CSV, the client files and the tests all walk one table (map.c). Released addresses never move.
 *
 * Numbers are rounded to nearest and saturate; they never wrap. Floats, u32 and wider bit fields
 * have the low word first unless `big_floats` is set; the two display words of the compatibility
 * block always have the high word first.
 */
#pragma once

#include "bms/pack.h"

#include <stdio.h>

#define MAP_VERSION 3
#define MAP_BASE_DEFAULT 290
#define MAP_ALSO_AT_DEFAULT 100
#define MAP_NONE (-1)           /* also_at: no second copy */
#define MAP_COMPAT_SIZE 58      /* registers of the compatibility block, from base */
#define MAP_EXTENDED_OFFSET 110 /* where the second block starts, from base */
#define MAP_EXTENDED_SIZE 400   /* its registers, with room for later rows; free ones read 0 */
#define MAP_SETTINGS_OFFSET 610 /* where the block of settings starts, from base */
#define MAP_SETTINGS_SIZE 60    /* the same */

/* A pack or a bank in the client files. */
struct map_unit {
    const char *name;
    const char *title;       /* what people call it, for comments */
    unsigned unit;           /* Modbus unit id */
    unsigned cells, sensors; /* 0: none, as for a bank */
};

/* An MQTT section in the client files: a dashboard. Sections with the same broker share a
 * connection. */
struct map_mqtt {
    const char *name, *host, *user;
    const char *password; /* NULL: not to be printed */
    unsigned port;
    bool tls;
    unsigned connection, dashboard; /* numbers from 0; of the dashboard within its connection */
    const char *topic, *pack;
    unsigned cells; /* of that pack */
    bool switching;
};

/* The packs, hosts and dashboards of the client files. */
struct map_clients {
    const char *host;
    unsigned port;
    const struct map_unit *units;
    unsigned count;
    const struct map_mqtt *mqtts;
    unsigned mqtt_count;
};

struct map_settings {
    int base;            /* zero-based PDU address of the compatibility block */
    int also_at;         /* a copy of it; MAP_NONE, or the same as base: none */
    bool big_floats;     /* high word first; default: low word first */
    bool fahrenheit;     /* offset 8 only */
    uint32_t display[3]; /* page, up to 65535, and two numbers */
    bool writable; /* printed maps mark the switches "rw" instead of "r"; it has no other effect */
    bool settable; /* the same for settings that can be written */
    const struct map_clients *clients; /* for client files; NULL: one pack of an example */
};

/* The switches, for clients that may write: registers from base (and from also_at). */
#define MAP_OFFSET_DISCHARGE 17
#define MAP_OFFSET_CHARGE 18

/* The day's highest SOC. percent < 0: none yet. */
struct map_soc_peak {
    int percent, hour, minute; /* local time */
};

enum map_state { MAP_STATE_NEVER, MAP_STATE_FRESH, MAP_STATE_STALE, MAP_STATE_NO_LINE };

/** "never", "fresh", "stale", "no_line". */
const char *map_state_name(enum map_state state);

/* Values that only a bank has. Packs are counted from 1 in the order of the configuration; 0: no
 * pack has the value. */
struct map_bank {
    unsigned present; /* packs with fresh values, which count */
    unsigned missing;
    unsigned needed; /* the bank is stale with fewer fresh packs */
    unsigned cell_max_pack, cell_min_pack;
    double temp_max_c, temp_min_c; /* NaN: unknown */
    unsigned temp_max_pack, temp_min_pack;
    double packs_current_a,
        packs_soc_percent; /* where a shunt measures the bank; NaN: none does, or unknown */
};

/* Why a current is limited. Codes of the register map: never reorder, append only. */
// clang-format off
#define LIMIT_REASONS(X) \
    X(CONFIGURATION, "configuration") \
    X(BMS,           "bms") \
    X(CELL_HIGH,     "cell_high") \
    X(CELL_LOW,      "cell_low") \
    X(TEMPERATURE,   "temperature") \
    X(MOS,           "mos") \
    X(SOC,           "soc") \
    X(STALE,         "stale") \
    X(ALARM,         "alarm") \
    X(IMBALANCE,     "imbalance") \
    X(PACK_MISSING,  "pack_missing") \
    X(UNKNOWN,       "unknown") \
    X(RAMP,          "ramp")
#define LIMIT_REASON_ENUM(symbol, name) LIMITED_BY_##symbol,
// clang-format on
enum limit_reason { LIMIT_REASONS(LIMIT_REASON_ENUM) LIMIT_REASON_COUNT };

/** "cell_high". */
const char *map_limit_reason_name(enum limit_reason reason);

/* The limits of a pack or a bank. */
struct map_allowed {
    bool configured;         /* false: it has no [limits], and all below is meaningless */
    double charge_voltage_v; /* NaN: not known */
    double charge_current_a, discharge_current_a;
    bool discharges_stale; /* discharging stays allowed while stale, until the next update */
    enum limit_reason charge_limited_by, discharge_limited_by;
    /* The limiting pack of a bank, from 1 in the order of the configuration; 0: no single one. */
    unsigned charge_limited_pack, discharge_limited_pack;
    double age_s; /* age of the oldest values used; NaN: none */
};

/* What the gateway knows beside the values: always readable, also while the pack is silent. */
struct map_status {
    enum map_state state;
    double age_s;             /* of the values, rounded up in registers; NaN: never read */
    uint32_t polls;           /* published cycles */
    uint32_t timeouts;        /* requests without an answer after all retries */
    uint32_t checksum_errors; /* frames with a wrong checksum, or malformed answers */
    uint32_t reconnects;
    uint32_t implausible;     /* values rejected because they were out of range */
    uint32_t spikes;          /* readings discarded, because the next one contradicted them */
    int32_t bms;              /* another number: another protocol; below 0: not all is read yet */
    const char *driver;       /* its name; NULL: none */
    const char *driver_title; /* begins with the make of the battery; NULL: the make is not known */
    uint16_t memory_mib;      /* available on the host */
    uint16_t seconds;         /* counter, wraps */
    int timezone_hours;       /* ahead of UTC, to the nearest whole hour */
    struct map_soc_peak peak;
    double charged_wh, discharged_wh;       /* counted by the gateway; NaN: not counted */
    const char *pack_name;                  /* as configured, or the bank's own name; NULL: none */
    const struct map_bank *bank;            /* NULL: a pack */
    struct map_allowed allowed;             /* read it by map_allowed */
    double time_to_full_s, time_to_empty_s; /* NaN: unknown */
};

/** The limits while the values are `fresh`; otherwise 0, or discharging as before. */
struct map_allowed map_allowed(const struct map_status *status, bool fresh);

/** Whether a setting that some protocols can write is at this address: the first of the two
 * registers of a float. */
bool map_setting_at(const struct map_settings *settings, unsigned address, enum pack_value *id);

/** Whether the blocks are disjoint and end below 65536; if not, writes the reason to `reason`. All
 * functions below require settings that passed this check. */
bool map_check(const struct map_settings *settings, char *reason, size_t size);

/** The number of registers of one unit, from address 0: one more than the highest address. */
unsigned map_size(const struct map_settings *settings);

/** Writes all values of a pack into `registers` (map_size of them, host byte order). Gaps become 0. `pack` NULL: only what comes
 * from `status`: state, age, counters and clock; the pack's values remain. The failure flag is set while any alarm is active and in
 * every state but MAP_STATE_FRESH. */
void map_encode(const struct map_settings *settings, const struct pack *pack,
                const struct map_status *status, uint16_t *registers);

/** The value of a number of the extended block that is not in struct pack: derived from it, counted by the gateway, or of a bank. In
 * the unit of its row; NaN: unknown, or there is none of this name. */
double map_number_named(const char *name, const struct pack *pack, const struct map_status *status);

/* What an address range contains; MAP_OUTSIDE takes precedence over MAP_VALUES, that over
 * MAP_STATUS. */
enum map_range { MAP_STATUS, MAP_VALUES, MAP_OUTSIDE };
/** MAP_OUTSIDE if any register is in no block (or count is 0), MAP_VALUES if any is a value of the
 * pack. Gaps inside a block are MAP_STATUS. */
enum map_range map_range(const struct map_settings *settings, unsigned address, unsigned count);

/* Discrete inputs (function 2) and coils (1): bits, from address 0, independent of base. */
#define MAP_INPUTS 48
#define MAP_COIL_CHARGE 0
#define MAP_COIL_DISCHARGE 1
#define MAP_COILS 2 /* charge MOS, discharge MOS */
#define MAP_COIL_UNKNOWN 0xFF
/** One byte per bit, 0 or 1. Unknown inputs read 0; an unknown coil is MAP_COIL_UNKNOWN. */
void map_encode_bits(const struct pack *pack, const struct map_status *status,
                     uint8_t inputs[MAP_INPUTS], uint8_t coils[MAP_COILS]);
/** Like map_range, for discrete inputs and for coils. */
enum map_range map_input_range(unsigned address, unsigned count);
enum map_range map_coil_range(unsigned address, unsigned count);

/** Prints the map in a format: "md", "json", "csv", or a client file: "homeassistant",
 * "homeassistant-basic", "homeassistant-cells", "telegraf", "nodered", "evcc", "iobroker",
 * "tasmota", "tasmota-display", "mbpoll", "iotmqttpanel": the templates of conf/clients/.
 * false: no such format, and nothing was printed. */
bool map_print(const struct map_settings *settings, const char *format, FILE *out);
