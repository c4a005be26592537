// SPDX-License-Identifier: MIT
/*
 * The configuration: one INI file into structs. Its sections and their keys are tables (keys.h) that
 * parse, check ranges, compare at a reload and print the manual. A file that has any mistake yields no
 * configuration at all.
 */
#pragma once

#include "allow.h"
#include "outlet_config.h"

#include "base/listeners.h"
#include "registers/map.h"
#include "registers/types.h"
#include "registers/value.h"
#include "bms/driver.h"

#include <string.h>

#define NAME_SIZE 33 /* names of lines and packs: 1…32 of a-z A-Z 0-9 - _ . */
#define TITLE_CHARACTERS 40
#define TITLE_SIZE (4 * TITLE_CHARACTERS + 1) /* bytes of a name for people */
#define PORT_SIZE 256 /* "serial:/dev/…", "tcp://host:port", "sim:" with its options */
#define MAX_BANK_PACKS 32

enum on_stale { STALE_EXCEPTION, STALE_HOLD };

/* Largest plausible step between two readings; 0: any. */
struct spike_limits {
    double soc_percent;
    double voltage_percent; /* of the voltage before */
    double cell_mv;
    double temperature_c;
};

struct config_section; /* keys.h */
struct config_key;

struct gateway_config {
    char title[TITLE_SIZE]; /* what people call it; empty: the name of the host */
    struct listen_list listen;
    struct allow_list allow;
    struct allow_list allow_write; /* clients that may switch, of packs that are writable */
    struct map_settings map; /* base, also_at, float order, temperature unit, dashboard, display */
    double poll_s;           /* default interval of the packs */
    double stale_after_s;    /* 0: five poll intervals, at least 10 s */
    enum on_stale on_stale;
    unsigned max_clients;
    double idle_timeout_s;
    char state_file[PORT_SIZE]; /* absolute; empty ("none"): nothing is kept over a restart */
    char control[PORT_SIZE];    /* the same of the control socket; empty: there is none */
    struct {
        double latitude, longitude; /* in degrees, north and east positive; NaN: not known */
    } location;
};

enum rts_mode { RTS_DEFAULT, RTS_ON, RTS_OFF, RTS_RS485 };

struct line_config {
    char name[NAME_SIZE];
    char port[PORT_SIZE];
    const struct bms_driver *driver; /* default for its packs; NULL: each pack names its own */
    int variant;                     /* of that driver, for the packs that name none */
    unsigned baud; /* 0 or "" where the driver's usual setting holds, as with reply_ms and gap_ms */
    char framing[4]; /* "8N1" */
    enum rts_mode rts;
    unsigned given_baud; /* with `protocol = auto`: that of the file; `baud` may have been found */
    unsigned reply_ms;
    unsigned gap_ms;
    bool gap_set;             /* a gap of 0 can be meant */
    unsigned tries;           /* 0: the driver's */
    bool listen;              /* the line has another master: nothing is ever sent */
    char key_file[PORT_SIZE]; /* of advertisements that are encrypted; empty: none */
    bool searching; /* for packs with `protocol = auto`: none of its packs is polled meanwhile */
    bool searched;  /* beside packs that were known: over, in the life of this process */
    unsigned settle_ms; /* nothing is sent so long after an exchange, and bytes are discarded */
    bool any_age;       /* of a search: any reply counts, however old it may be */
};

/* `protocol = auto`: takes the place of the driver until one is found. Not in the list of drivers;
 * it sends and decodes nothing. */
extern const struct bms_driver automatic_driver;

/* The file that describes a BMS without a driver, and what is in it. */
struct pack_map {
    char path[PORT_SIZE];     /* "": none */
    struct modbus_user *rows; /* on the heap */
};

/* What authorized clients may change of a pack. */
enum writable { WRITABLE_NO, WRITABLE_SWITCHES, WRITABLE_SETTINGS, WRITABLE_ALL };

struct pack_config {
    char name[NAME_SIZE];
    char title[TITLE_SIZE]; /* what people call it; empty: its name */
    const struct line_config *line;
    const struct bms_driver *driver; /* its own or the line's; never NULL after a good load */
    struct bms_options options;      /* address, adr, variant, current, capacity, map, writable */
    struct pack_map map;             /* of `protocol = modbus` */
    char password_file[PORT_SIZE];   /* has options.password; empty: none */
    int unit;                        /* Modbus unit id 1…247 */
    double poll_s;                   /* resolved: its own or the gateway's */
    double stale_after_s; /* resolved; for a line that takes longer see poller_stale_after */
    bool stale_fixed;     /* it was configured, not the default */
    enum writable writable;
    bool automatic;    /* `protocol = auto`: the driver is automatic_driver until one is found */
    int given_address; /* of such a pack, as configured; -1: none, it is searched for as well */
    struct spike_limits spikes;
    double frozen_after_s; /* 0: never */
};

static inline bool pack_is_writable(const struct pack_config *pack)
{
    return pack->writable == WRITABLE_SWITCHES || pack->writable == WRITABLE_ALL;
}

static inline bool pack_is_settable(const struct pack_config *pack)
{
    return pack->writable == WRITABLE_SETTINGS || pack->writable == WRITABLE_ALL;
}

struct bank_config {
    char name[NAME_SIZE];                            /* no pack has the same */
    char title[TITLE_SIZE];                          /* what people call it; empty: its name */
    const struct pack_config *packs[MAX_BANK_PACKS]; /* in the order of the key */
    unsigned pack_count;
    int unit;              /* Modbus unit id, which no pack and no other bank has */
    unsigned min_packs;    /* with fewer fresh ones it is stale; resolved, 1…pack_count */
    char shunt[NAME_SIZE]; /* a pack that measures all of them together; empty: none */
};

#define CURVE_POINTS 8

/* Share of a current as a function of a value: linear between the points, constant outside. */
struct curve {
    struct curve_point {
        double at, share;   /* share: 0 to 1 */
    } points[CURVE_POINTS]; /* `at` rises */
    unsigned count;         /* 0: not configured */
};

/* What stale values still allow. */
enum limits_stale { STALE_STOP, STALE_DISCHARGE };

/* The most that a pack or a bank may be charged and discharged with. */
struct limits_config {
    char name[NAME_SIZE];
    char of[NAME_SIZE]; /* the pack or bank: its name, or that of older files */
    double charge_current_a, discharge_current_a;
    unsigned cells, sensors; /* of each pack, all of which must be known */
    double cell_full_v, cell_float_v;
    double soc_again_percent;         /* NaN: not configured */
    struct curve cell_high, cell_low; /* over V */
    struct curve temperature, mos_temperature;
    struct curve soc_high, soc_low;
    double soc_ceiling_percent; /* 0: none */
    double full_every_s;        /* 0: the ceiling is never lifted */
    unsigned on_stale;          /* enum limits_stale */
};

/* Replaces a value that is stale or unknown. */
enum instead {
    INSTEAD_SKIP,      /* nothing is written: what was written last stays at the target */
    INSTEAD_UNKNOWN,   /* NaN, 0xFFFF, 0x8000 and so on, as the register map has it */
    INSTEAD_EXCEPTION, /* none: it is not answered */
    INSTEAD_HOLD,      /* what was known last */
    INSTEAD_NUMBER     /* the number as it stands, not scaled */
};
struct substitute {
    enum instead kind;
    double number;
};

#define ROW_TERMS 8   /* values that one register is made of */
#define ROW_PAIRS 24  /* of one enumeration */
#define ROW_LINE 200  /* longest line of a configuration, and the NUL */
#define ROW_STRING 64 /* registers of a text */

enum row_what {
    ROW_NUMBER, /* as it stands in the file */
    ROW_VALUE,  /* of the source, by `value` */
    ROW_FRESH,  /* 1 while the source's values are fresh, else 0 */
    ROW_SECONDS /* the gateway's own counter */
};

struct row_term {
    enum row_what what;
    bool minus;
    char source[NAME_SIZE]; /* name of a pack or a bank; empty: none is needed */
    struct value_ref value;
    double number;
};

/* How several terms are combined into one number. */
enum row_join { ROW_SUM, ROW_HIGHEST, ROW_LOWEST };

enum row_text { ROW_QUOTED, ROW_SERIAL, ROW_MODEL, ROW_FIRMWARE, ROW_DRIVER, ROW_PACK_NAME };

struct row_pair {
    double in, out;
};

/* One `register` of a view or `write` of a push: its address, content and format. A write has one
 * term, which is no number. */
struct register_row {
    char line[ROW_LINE];    /* as it stands in the file */
    unsigned from_size;     /* of `line`: what stands before the arrow */
    unsigned line_number;   /* in the file */
    unsigned address, size; /* zero-based; registers */
    enum map_type type;
    enum row_text text; /* of REG_STRING: its one term has the source */
    char quoted[2 * ROW_STRING + 1];
    struct row_term terms[ROW_TERMS];
    unsigned term_count;
    enum row_join join;
    struct row_pair pairs[ROW_PAIRS]; /* none: the number is not translated */
    unsigned pair_count;
    double scale, offset, min, max; /* number * scale + offset, within min and max */
    double deadband;                /* of a write; in the unit of the value */
    int bit;                        /* of REG_BITS16 and REG_BITS32; -1: the whole register */
    bool big_words;                 /* high word first */
    struct substitute on_unknown;   /* of a register; a write has on_stale for both */
    struct substitute on_stale;
};

struct push_config {
    char name[NAME_SIZE];
    char target[PORT_SIZE]; /* "tcp://host:port" */
    unsigned unit;          /* of the target, 0…255 */
    double interval_s;
    bool on_change;
    double timeout_s;
    bool big_words; /* these two: of writes that say nothing else */
    struct substitute on_stale;
    struct register_row *writes; /* by address */
    unsigned write_count;
};

#define VIEW_UNITS 16 /* of one view */
#define VIEW_FILLS 64 /* of one view; the same for copies */

/* Registers that return a constant where nothing else is defined; of a copy, those that are repeated from address `value` on. */
struct view_fill {
    unsigned first, last, value;
};

struct view_units {
    uint8_t id[VIEW_UNITS];
    unsigned count;
};
struct view_fills {
    struct view_fill list[VIEW_FILLS];
    unsigned count;
};

struct view_config {
    char name[NAME_SIZE];
    char source[NAME_SIZE];    /* of values without one; empty: none */
    struct listen_list listen; /* none: where the packs are served */
    struct view_units units;
    bool big_words; /* these three: of registers that say nothing else */
    struct substitute on_unknown, on_stale;
    struct view_fills fills, copies;
    struct register_row *registers; /* by address, those that share bits one behind the other */
    unsigned register_count;
};

/* Gives another program access to a line that is polled. */
struct tunnel_config {
    char name[NAME_SIZE];
    char line[NAME_SIZE];
    struct listen_list listen;
    bool share; /* false: nothing is polled while a program is connected */
    double idle_s;
};

/* A value as it stands in the file, or a preset; a list has one for each of its items. */
struct config_entry {
    const struct config_section *section;
    char name[NAME_SIZE]; /* of the section; empty where there is only one */
    const struct config_key *key;
    unsigned line; /* of the file; 0: a preset of a section that is not in it */
    char *text;
};

struct config {
    struct gateway_config gateway;
    struct line_config *lines;
    unsigned line_count;
    struct pack_config *packs; /* in the order of the file */
    unsigned pack_count;
    struct bank_config *banks; /* the same */
    unsigned bank_count;
    struct limits_config *limits;
    unsigned limits_count;
    struct push_config *pushes;
    unsigned push_count;
    struct view_config *views;
    unsigned view_count;
    struct tunnel_config *tunnels;
    unsigned tunnel_count;
    struct history_config *history; /* NULL: none */
    struct web_config *web;         /* the same */
    struct mqtt_config *mqtts;
    unsigned mqtt_count;
    struct influx_config *influxes;
    unsigned influx_count;
    struct notify_config *notifies;
    unsigned notify_count;
    struct present_config *presents;
    unsigned present_count;
    struct print_config *prints;
    unsigned print_count;
    struct config_entry *entries; /* of the sections in the order of the file */
    unsigned entry_count;
};

/** Whether `name` may be the name of a line or a pack. */
static inline bool config_name_good(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t length = strlen(name);
    return length > 0 && length < NAME_SIZE && strspn(name, allowed) == length;
}
