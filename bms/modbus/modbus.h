// SPDX-License-Identifier: MIT
/*
 * The engine for BMS that use Modbus RTU: framing, a table-driven reader, and the slave's side for
 * simulated packs. A driver based on it is a plan whose steps say what to read, a table of values,
 * a table of alarms and a board to emulate; it has functions of its own only for what no table can
 * express.
 */
#pragma once

#include "bms/bytes.h"
#include "bms/driver.h"

#define MODBUS_READ_MAX 125 /* registers per reply */
#define MODBUS_READ_MAX_BITS 2000
#define MODBUS_NONE (-2) /* instead of a content: there is no such register */
#define MODBUS_COIL 0xFF /* instead of a bit's number: the address is that of a coil */

enum modbus_function {
    MODBUS_COILS = 0x01,
    MODBUS_DISCRETE = 0x02,
    MODBUS_HOLDING = 0x03,
    MODBUS_INPUT = 0x04,
    MODBUS_WRITE = 0x06,
    MODBUS_WRITE_MANY = 0x10,
    MODBUS_EXCEPTION = 0x80
};

enum modbus_error {
    MODBUS_BAD_FUNCTION = 1,
    MODBUS_BAD_ADDRESS = 2,
    MODBUS_BAD_VALUE = 3,
    MODBUS_ACKNOWLEDGED = 5, /* the reply will take longer */
    MODBUS_BUSY = 6
};

/* How registers hold a number. Each register has its high byte first; 32-bit types have the high
 * word first, except those called LOW. */
enum modbus_type {
    MODBUS_U16,
    MODBUS_S16,
    MODBUS_U32,
    MODBUS_S32,
    MODBUS_F32,
    MODBUS_U32_LOW,
    MODBUS_S32_LOW,
    MODBUS_F32_LOW,
    MODBUS_S8,   /* two numbers per register, the first in the high byte */
    MODBUS_BIT,  /* 1 if `bit` of the register, or the coil, is set */
    MODBUS_TEXT, /* two characters per register; `id` is an enum pack_text */
    MODBUS_U48,  /* three registers */
    MODBUS_U48_LOW
};

/* One value, or a run of cells or sensors: value = (raw + offset) / divisor. The last members are
 * mostly for maps written by users. */
struct modbus_value {
    uint16_t reg;
    uint8_t type;     /* enum modbus_type */
    uint8_t id;       /* enum pack_value; BALANCING is 1 for any raw value except 0 */
    uint8_t count;    /* cells or sensors of a run, registers of a text; 0: one */
    uint8_t bit;      /* of MODBUS_BIT: 0 is the lowest; MODBUS_COIL */
    uint16_t counted; /* the register with the number of elements of a run; 0: none */
    double offset;
    double divisor;         /* 0: 1 */
    double lowest, highest; /* raw values outside are unknown; both 0: no limits */
    bool required;          /* a reply with a raw value outside is BMS_INVALID */
    int32_t
        blank; /* raw number of an unknown value, of a board to emulate; 0: what means unknown */

    uint16_t mask;  /* of a type with one register: the bits of the number; 0: all */
    uint16_t match; /* if `matched`: raw is 1 if the number equals this, else 0 */
    bool matched;
    bool swapped;   /* the low byte of each register comes first */
    bool digits;    /* `id` is an enum pack_text: the decimal numbers of the run, concatenated */
    bool scaled;    /* `exponent` is a register: the value is multiplied by 10 to that power */
    uint8_t stride; /* registers between the numbers of a run; 0: contiguous */
    uint16_t exponent;
    uint16_t sign_reg, sign_mask,
        sign; /* negative where sign_reg & sign_mask is sign; mask 0: none */
};

/* A number that is an alarm unless it is 0, usually a bit; several rows may have the same alarm. */
struct modbus_alarm {
    struct modbus_value value; /* without its id */
    uint8_t alarm;
    uint8_t level;
};

/* The row of a bit. MODBUS_COIL as its number: reg is a coil. */
#define MODBUS_ALARM(reg_, bit_, alarm_, level_)                                                   \
    {                                                                                              \
        {.reg = (reg_), .type = MODBUS_BIT, .bit = (bit_)}, alarm_, level_                         \
    }

/* A reply to a read by any master: registers or coils start … start + count - 1. */
struct modbus_window {
    uint8_t function;
    unsigned start, count;
    const uint8_t *data;
};

struct modbus_map {
    const struct modbus_value *values;
    size_t value_count;
    const struct modbus_alarm *alarms;
    size_t alarm_count;
    uint16_t raw_first, raw_count; /* registers of the raw alarm words */

    /** Checks whether a reply can come from this protocol: BMS_DONE, or BMS_INVALID if another
     * device must have sent it, BMS_FOREIGN if it answers another request. NULL: always BMS_DONE.
     */
    enum bms_result (*check)(struct bms *bms, const struct modbus_window *window);

    /** Takes what the tables cannot express. NULL: nothing. */
    void (*rest)(struct bms *bms, const struct modbus_window *window, struct pack *pack);
};

/* Members of struct modbus_map: a table and the number of its rows. */
#define MODBUS_MAP_VALUES(rows) .values = rows, .value_count = COUNT(rows)
#define MODBUS_MAP_ALARMS(rows) .alarms = rows, .alarm_count = COUNT(rows)

/** Registers of one number of a type, distance to the next number of a run, registers of the whole
 * row. */
unsigned modbus_width(unsigned type);
static inline unsigned modbus_step(const struct modbus_value *row)
{
    return row->stride > 0 ? row->stride : modbus_width(row->type);
}

unsigned modbus_registers(const struct modbus_value *row);

/** Whether a function reads coils or discrete inputs. */
static inline bool modbus_reads_bits(unsigned function)
{
    return function == MODBUS_COILS || function == MODBUS_DISCRETE;
}

/** Whether the low word of a type comes first. */
static inline bool modbus_low_first(unsigned type)
{
    return (type >= MODBUS_U32_LOW && type <= MODBUS_F32_LOW) || type == MODBUS_U48_LOW;
}

/** Takes some values from a window, for layouts that a driver selects. */
void modbus_take(const struct bms *bms, const struct modbus_value *rows, size_t count,
                 const struct modbus_window *window, struct pack *pack);

/** Whether limits select the numbers that are an alarm, 0 as well; without them any number but 0 is one. */
bool modbus_alarm_limited(const struct modbus_value *value);
/** Takes the alarms of a map from a window, and its raw words. */
void modbus_take_alarms(const struct modbus_map *map, const struct modbus_window *window,
                        struct pack *pack);

/** Whether `count` cells in mV from `reg` on can belong to a pack of this voltage: compares their
 * sum, unless a cell reads nonsense, as with a broken wire. Distinguishes a map from another one
 * that has other values there. */
bool modbus_cells_fit(const struct modbus_window *window, unsigned reg, unsigned count,
                      double volts);

/** Whether a window of registers contains `count` of them from `reg` on; and the value of one. */
bool modbus_has(const struct modbus_window *window, unsigned reg, unsigned count);
static inline uint16_t modbus_word(const struct modbus_window *window, unsigned reg)
{
    return be16(window->data + 2 * (reg - window->start));
}

static inline uint32_t modbus_long(const struct modbus_window *window, unsigned reg)
{
    return be32(window->data + 2 * (reg - window->start));
}

/** The same for a window of coils. */
bool modbus_has_coils(const struct modbus_window *window, unsigned coil, unsigned count);
static inline bool modbus_coil(const struct modbus_window *window, unsigned coil)
{
    unsigned at = coil - window->start;
    return window->data[at / 8] >> at % 8 & 1;
}

/* ---- host's side ---- */

bool modbus_crc_fits(const uint8_t *bytes, size_t size);

/** Appends the CRC of `size` bytes; returns the size with it. */
size_t modbus_put_crc(uint8_t *bytes, size_t size);

/** Requests. */
void modbus_read(uint8_t address, uint8_t function, unsigned start, unsigned count,
                 struct bms_request *request);
void modbus_write(uint8_t address, unsigned reg, unsigned value, struct bms_request *request);
void modbus_write_many(uint8_t address, unsigned reg, unsigned value, struct bms_request *request);
void modbus_write_words(uint8_t address, unsigned reg, const uint16_t *words, unsigned count,
                        struct bms_request *request);

/** The slave's address of a pack. */
uint8_t modbus_address(const struct bms *bms);

/** `build`: reads what the step of the plan says. */
bool modbus_build(struct bms *bms, unsigned step, struct bms_request *request);
#define MODBUS_PLAN(rows) BMS_PLAN(rows), .build = modbus_build

/** `frame`: the reply to the request, an exception, or its echo. Replies do not contain their
 * register addresses, so replies to other requests cannot be decoded and are skipped. */
struct bms_span modbus_frame(const struct bms *bms, const struct bms_request *request,
                             const uint8_t *bytes, size_t size);

/** `question`: a read or write request to any slave address. Also what a board receives. */
struct bms_span modbus_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                int *address);

/** The driver's map; a map of the user has its tables. */
struct modbus_map modbus_map_of(const struct bms *bms);

/** `decode` with the tables of the map. */
enum bms_result modbus_decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack);

/** `finish`: if the device does not report the number of cells and sensors, counts them up to the
 * last one present, and clears the sensors beyond that number. */
void modbus_finish(struct bms *bms, struct pack *pack);

/* What the engine does for every driver with its map and its board, as members of struct
 * bms_driver. */
#define MODBUS_ENGINE(map_, board_)                                                                \
    .check = BMS_CHECK_CRC16, .frame = modbus_frame, .question = modbus_question,                  \
    .decode = modbus_decode, .emulate = modbus_emulate, .map = &(map_), .board = &(board_)

/* ---- slave's side ---- */

struct modbus_board {
    /** The content of a register, or of a coil (0 or 1), that the driver's map does not have or that
     * differs from it; -1: that of the map, or 0 if a step of the plan reads it; MODBUS_NONE: the
     * board has none of that number. NULL: always -1. */
    int32_t (*word)(struct bms *bms, const struct pack *told, unsigned function, unsigned reg);

    /** Handles a write to a register. Returns 0, or an enum modbus_error. NULL: read-only. */
    unsigned (*write)(struct bms *bms, struct pack *told, unsigned reg, unsigned value);

    uint8_t functions[4];   /* for reading, 0 at the end */
    unsigned most;          /* registers per read; 0: MODBUS_READ_MAX */
    uint8_t address_offset; /* the slave's address minus the pack's */
};

/** `emulate` of the driver's board, at the slave's address of the pack. */
size_t modbus_emulate(struct bms *bms, struct pack *told, const uint8_t *bytes, size_t size,
                      struct bms_output *out);

/** Writes the reply that rejects a request. */
void modbus_exception(const uint8_t *asked, unsigned error, struct bms_output *out);

/** The content of a register, or of a coil, by a table of values; -1: no row has it. */
int32_t modbus_told_rows(const struct modbus_value *rows, size_t count, const struct pack *told,
                         unsigned function, unsigned reg);

/** Whether a step of the plan, or of the user's map, reads this register or coil. */
bool modbus_is_read(const struct bms *bms, unsigned function, unsigned reg);

/** The bits of a register, or a coil, by the map's table of alarms, one row per alarm and active
 * level. */
int32_t modbus_told_alarms(const struct modbus_map *map, const struct pack *told, unsigned reg);

/* ---- `protocol = modbus`: a BMS that its owner describes in a map file, which the configuration
 * parses, instead of a driver ---- */

#define MODBUS_USER_READS 8 /* per kind: in each cycle, and once a minute */
#define MODBUS_USER_VALUES 128
#define MODBUS_USER_ALARMS 96
#define MODBUS_USER_WORDS 8    /* registers of one write request */
#define MODBUS_USER_EXPECTED 8 /* registers with required values */
#define MODBUS_USER_HEAD 4     /* bytes before each request */

struct modbus_user {
    /* The slow ones in the second half; count 0: none. With function MODBUS_WRITE_MANY: a write. */
    struct bms_read reads[2 * MODBUS_USER_READS];
    uint16_t written[MODBUS_USER_READS]
                    [MODBUS_USER_WORDS]; /* values for the writes of the first half */
    struct {
        uint16_t reg, value;
    } expected[MODBUS_USER_EXPECTED]; /* a reply with another value is rejected */
    size_t expected_count;
    uint8_t head[MODBUS_USER_HEAD];
    size_t head_size;
    struct modbus_value values[MODBUS_USER_VALUES];
    size_t value_count;
    struct modbus_alarm alarms[MODBUS_USER_ALARMS];
    size_t alarm_count;
    uint16_t raw_first, raw_count;
    uint64_t contents; /* a hash, to detect changes of the file */
};

/** Not in the list of drivers: it requires bms->options.map. */
extern const struct bms_driver modbus_user_driver;
