// SPDX-License-Identifier: MIT
/*
 * VE.Direct of Victron's shunts: registers and products from their papers, blocks of text fields with
 * a checksum and HEX records in the bytes of a line, and how numbers become those of struct pack,
 * which Instant Readout (victron_ble.c) shares. Sections 2 and 3 of the sheet `vedirect`.
 */
#pragma once

#include "bms/driver.h"

enum vedirect_command {
    VEDIRECT_PING = 1,
    VEDIRECT_VERSION = 3,
    VEDIRECT_PRODUCT = 4,
    VEDIRECT_RESTART = 6,
    VEDIRECT_GET = 7,
    VEDIRECT_SET = 8
};

enum vedirect_response {
    VEDIRECT_IS_DONE = 1,
    VEDIRECT_IS_UNKNOWN = 3,
    VEDIRECT_IS_ERROR = 4,
    VEDIRECT_IS_PING = 5,
    VEDIRECT_IS_GET = 7,
    VEDIRECT_IS_SET = 8,
    VEDIRECT_IS_ASYNC = 0xA /* as VEDIRECT_IS_GET, unsolicited */
};

enum vedirect_flags { VEDIRECT_FINE = 0, VEDIRECT_NO_SUCH = 1, VEDIRECT_NOT_SUPPORTED = 2 };

enum vedirect_register {
    VEDIRECT_PRODUCT_ID = 0x0100,
    VEDIRECT_SERIAL = 0x010A,
    VEDIRECT_MODEL = 0x010B,
    VEDIRECT_CYCLES = 0x0303,
    VEDIRECT_REASONS = 0x031E,
    VEDIRECT_SOC = 0x0FFF,
    VEDIRECT_CAPACITY = 0x1000,
    VEDIRECT_VOLTAGE = 0xED8D,
    VEDIRECT_CURRENT = 0xED8C,
    VEDIRECT_POWER = 0xED8E,
    VEDIRECT_COARSE_CURRENT = 0xED8F,
    VEDIRECT_TEMPERATURE = 0xEDEC,
    VEDIRECT_SYNCHRONISED = 0xEEB6,
    VEDIRECT_CONSUMED = 0xEEFF
};

struct vedirect_product {
    uint16_t id;
    const char *name;
};

/* A register with one of a pack's values: value = raw * unit + zero. */
struct vedirect_number {
    uint16_t id;
    uint8_t size; /* bytes, by the sheet; a decoder uses the size in the record */
    bool is_signed;
    double unit, zero;
    enum pack_value value;
};

#define VEDIRECT_PRODUCTS 24
extern const struct vedirect_product vedirect_products[VEDIRECT_PRODUCTS];

/** The bits of the reasons for the active alarms, for simulated shunts. */
uint16_t vedirect_told_reasons(const struct pack *pack);

/** NULL: unknown. */
const struct vedirect_number *vedirect_find_number(unsigned id);

/* ---- the bytes of a line ---- */

#define VEDIRECT_FIELDS 22
#define VEDIRECT_LABEL 8
#define VEDIRECT_VALUE 32
#define VEDIRECT_RECORDS 8 /* per block; further ones are ignored */
#define VEDIRECT_DATA 44   /* bytes of data in a HEX record */
#define VEDIRECT_RECORD_MAX (5 + 2 * VEDIRECT_DATA)

struct vedirect_field {
    char label[VEDIRECT_LABEL + 1];
    char value[VEDIRECT_VALUE + 1];
};

/* Position of a HEX record inside a block. */
struct vedirect_piece {
    size_t at, size;
};

struct vedirect_block {
    size_t size; /* from its CR LF to its checksum; 0: incomplete */
    bool sound;  /* its sum and its form are valid */
    unsigned field_count;
    struct vedirect_field fields[VEDIRECT_FIELDS];
    unsigned record_count;
    struct vedirect_piece records[VEDIRECT_RECORDS];
};

/* A HEX record without its framing. */
struct vedirect_record {
    uint8_t command;
    uint8_t data[VEDIRECT_DATA];
    size_t size;
};

/** Scans the block that begins with the CR LF at bytes[0]. */
void vedirect_scan_block(const uint8_t *bytes, size_t size, struct vedirect_block *block);

/** Scans the record that begins with the colon at bytes[0]. BMS_DAMAGED: its check is wrong, or it
 * breaks off; the byte that broke it counts as part of it, except CR and colon, which begin
 * something else. */
struct bms_span vedirect_scan_record(const uint8_t *bytes, size_t size);

/** Parses a record for which vedirect_scan_record has returned BMS_FRAME, or a request. False: it
 * is neither. */
bool vedirect_parse_record(const uint8_t *bytes, size_t size, struct vedirect_record *record);

/** Writes a record with its framing; `bytes` must have room for VEDIRECT_RECORD_MAX. Returns its
 * size. */
size_t vedirect_write_record(uint8_t command, const uint8_t *data, size_t size, uint8_t *bytes);

/** The `frame` of the drivers: a block, a record, or neither. */
struct bms_span vedirect_scan(const struct bms *bms, const struct bms_request *request,
                              const uint8_t *bytes, size_t size);

/** The last field with that label (labels may repeat); NULL: there is none. */
const char *vedirect_value(const struct vedirect_block *block, const char *label);

/* A value that arrives less often than the pack is published. */
struct vedirect_fact {
    bool known;
    double value;
};

struct vedirect_notes {
    struct vedirect_fact cycles; /* of the last history block */
    struct vedirect_fact consumed_ah;
    struct vedirect_fact capacity_ah; /* of register 1000 */
    char serial[TEXT_SIZE];
    bool believed;       /* a main block was received, so the next one is no fragment */
    bool has_text;       /* main blocks arrive */
    bool fine_current;   /* register ED8C exists */
    bool named;          /* the product id is in the list */
    bool unsynchronised; /* by register EEB6: its counters have no starting point yet */
    unsigned blocks;     /* main blocks since the last history block */
};
_Static_assert(sizeof(struct vedirect_notes) <= BMS_MEMORY, "a driver's notes must fit");

/** Simulates a shunt. */
size_t vedirect_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                        struct bms_output *out);

/** Sets the model by its product id; an unknown id sets none. */
void vedirect_set_product(struct vedirect_notes *notes, struct pack *pack, unsigned id);

/** Sets a number as bms_set does; a temperature is the only one. */
void vedirect_set_value(const struct bms *bms, struct pack *pack, enum pack_value id, double value);

/** Takes the bits of an alarm reason (section 2.5). */
void vedirect_set_alarms(struct pack *pack, uint16_t word);

/** Sets the capacity, the configured one rather than the shunt's, and the remaining capacity if the
 * consumed one is known. */
void vedirect_set_capacity(const struct bms *bms, struct pack *pack);
