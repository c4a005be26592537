// SPDX-License-Identifier: MIT
/*
 * The register map: what stands at which Modbus address. One table (map.c) is the map; the encoder,
 * register-map.md, JSON, CSV, the client files and the tests walk its rows. Addresses never move
 * once released.
 *
 * Numbers are rounded to nearest and saturate, they never wrap. Floats, u32 and wider bit fields
 * stand low word first unless `big_floats` is set; the two display words of the compatibility block
 * always stand high word first.
 */
#ifndef PACKGATE_REGISTERS_MAP_H
#define PACKGATE_REGISTERS_MAP_H

#include "bms/pack.h"

#include <stdio.h>

#define MAP_VERSION 3
#define MAP_BASE_DEFAULT 290
#define MAP_ALSO_AT_DEFAULT 100
#define MAP_NONE (-1)           /* also_at: not served a second time */
#define MAP_COMPAT_SIZE 58      /* registers of the compatibility block, from base */
#define MAP_EXTENDED_OFFSET 110 /* where the second block starts, from base */
#define MAP_EXTENDED_SIZE 400   /* its registers, with room for later rows; what is free reads 0 */
#define MAP_SETTINGS_OFFSET 610 /* where the block of settings starts, from base */
#define MAP_SETTINGS_SIZE 60    /* the same */

/* A pack or a bank as the client files name it. */
struct map_unit {
    const char *name;
    unsigned unit;           /* Modbus unit id */
    unsigned cells, sensors; /* that it has; 0: none, as a bank */
};

/* An MQTT section as the client files name it: a dashboard. Those at the same broker share a connection. */
struct map_mqtt {
    const char *name, *host, *user;
    const char *password; /* NULL: it is not to be printed */
    unsigned port;
    bool tls;
    unsigned connection, dashboard; /* numbers, from 0; of the dashboard within its connection */
    const char *topic, *pack;
    unsigned cells; /* of that pack */
    bool switching;
};

/* Whom the client files ask for what. */
struct map_clients {
    const char *host;
    unsigned port;
    const struct map_unit *units;
    unsigned count;
    const struct map_mqtt *mqtts;
    unsigned mqtt_count;
};

struct map_settings {
    int base;        /* zero-based PDU address of the compatibility block */
    int also_at;     /* a copy of it; MAP_NONE: none. The same as base is no second copy either */
    bool big_floats; /* high word first; default: low word first */
    bool fahrenheit; /* offset 8 only */
    uint32_t display[3]; /* page, up to 65535, and two numbers */
    bool writable; /* printed maps call the switches "rw", not "r"; nothing else follows from it */
    bool settable; /* the same of the settings that can be written */
    const struct map_clients *clients; /* for client files; NULL: one pack of an example */
};

/* The registers that are switches where writing is allowed, from base (and from also_at). */
#define MAP_OFFSET_DISCHARGE 17
#define MAP_OFFSET_CHARGE 18

/* The daily highest SOC, of which the gateway keeps the day. percent < 0: none yet. */
struct map_soc_peak {
    int percent, hour, minute; /* local time */
};

enum map_state { MAP_STATE_NEVER, MAP_STATE_FRESH, MAP_STATE_STALE, MAP_STATE_NO_LINE };

/* What only a bank has. Packs are counted from 1 in the order of the configuration; 0 where none
 * has the value. */
struct map_bank {
    unsigned present; /* packs whose values are fresh and counted in */
    unsigned missing;
    unsigned needed; /* with fewer fresh ones the bank is stale */
    unsigned cell_max_pack, cell_min_pack;
    double temp_max_c, temp_min_c; /* NaN: not known */
    unsigned temp_max_pack, temp_min_pack;
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

/* What a pack or a bank may be charged and discharged with. */
struct map_allowed {
    bool configured;         /* false: it has no [limits], and nothing below counts */
    double charge_voltage_v; /* NaN: not known */
    double charge_current_a, discharge_current_a;
    enum limit_reason charge_limited_by, discharge_limited_by;
    double age_s; /* of the oldest values that the limits are from; NaN: there are none */
};

/* What the gateway knows beside the values: always readable, also while the pack is silent. */
struct map_status {
    enum map_state state;
    double age_s;             /* of the values, rounded up in registers; NaN: none were ever read */
    uint32_t polls;           /* cycles published */
    uint32_t timeouts;        /* requests unanswered after all repeats */
    uint32_t checksum_errors; /* frames whose checksum was wrong, or malformed answers */
    uint32_t reconnects;
    uint32_t implausible; /* values refused by their range */
    uint32_t spikes;      /* readings thrown away, because the next one said otherwise */
    const char *driver;   /* its name; NULL: none */
    uint16_t memory_mib;  /* available on the host */
    uint16_t seconds;     /* counter, wraps */
    int timezone_hours;   /* ahead of UTC, to the nearest whole hour */
    struct map_soc_peak peak;
    double charged_wh, discharged_wh; /* counted by the gateway; NaN: not counted */
    const char *pack_name;            /* as configured, of a bank its own; NULL: none */
    const struct map_bank *bank;      /* NULL: a pack */
    struct map_allowed allowed;       /* while the values are fresh */
};

/** What is allowed as long as the values are `fresh`, else nothing. */
struct map_allowed map_allowed(const struct map_status *status, bool fresh);

/** Whether a setting that some packs take stands at this address, where it is read: the first of
 * the two registers of a float. */
bool map_setting_at(const struct map_settings *settings, unsigned address, enum pack_value *id);

/** Whether the blocks lie apart and end below 65536; otherwise false and why in `reason`. All
 * functions below want settings that passed. */
bool map_check(const struct map_settings *settings, char *reason, size_t size);

/** Registers that one unit needs, from address 0: one more than the highest address served. */
unsigned map_size(const struct map_settings *settings);

/** Writes all values of a pack into `registers` (map_size of them, host byte order). Holes become
 * 0. The failure flag is set while any alarm is active and in every state but MAP_STATE_FRESH. */
void map_encode(const struct map_settings *settings, const struct pack *pack,
                const struct map_status *status, uint16_t *registers);

/** Writes only what comes from `status`: state, age, counters, clock, and the failure flag once the
 * state is no longer MAP_STATE_FRESH. The pack's values stay as the last map_encode left them. */
void map_encode_status(const struct map_settings *settings, const struct map_status *status,
                       uint16_t *registers);

/* A number that the extended block has beside those of struct pack: worked out of them, counted by
 * the gateway, or of a bank. */
struct map_number {
    const char *name;
    bool is_status; /* known also while the pack is silent */
    bool is_bits;   /* a set of bits, worthless when it is cut */
    double min, max;
};

/** How many there are, and the n-th of them, from 0. */
unsigned map_number_count(void);
struct map_number map_number_info(unsigned n);

/** Its value, in the unit of its row; NaN: not known. */
double map_number(unsigned n, const struct pack *pack, const struct map_status *status);

/* What an address range touches; MAP_OUTSIDE wins over MAP_VALUES, that over MAP_STATUS. */
enum map_range { MAP_STATUS, MAP_VALUES, MAP_OUTSIDE };
/** MAP_OUTSIDE when any register lies in no block (or count is 0), MAP_VALUES when any belongs to a
 * value of the pack. Holes inside a block belong to nothing and are MAP_STATUS. */
enum map_range map_range(const struct map_settings *settings, unsigned address, unsigned count);

/* Discrete inputs (function 2) and coils (1): bits, from address 0, independent of base. */
#define MAP_INPUTS 48
#define MAP_COIL_CHARGE 0
#define MAP_COIL_DISCHARGE 1
#define MAP_COILS 2 /* charge MOS, discharge MOS */
/** One byte a bit, 0 or 1, as libmodbus keeps them. Unknown bits read 0. */
void map_encode_bits(const struct pack *pack, const struct map_status *status,
                     uint8_t inputs[MAP_INPUTS], uint8_t coils[MAP_COILS]);
/** Writes only those inputs that come from the state in `status`. */
void map_encode_state_bits(const struct map_status *status, uint8_t inputs[MAP_INPUTS]);
/** As map_range, for discrete inputs and for coils. */
enum map_range map_input_range(unsigned address, unsigned count);
enum map_range map_coil_range(unsigned address, unsigned count);

/** Prints the map in a format: "md", "json", "csv", or a client file: "homeassistant",
 * "homeassistant-basic", "homeassistant-cells", "telegraf", "nodered", "evcc", "iobroker",
 * "tasmota", "tasmota-display", "mbpoll", "iotmqttpanel": the templates of conf/clients/.
 * false: no such format, and nothing was printed. */
bool map_print(const struct map_settings *settings, const char *format, FILE *out);

#endif
