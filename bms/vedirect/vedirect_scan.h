// SPDX-License-Identifier: MIT
/*
 * Splits the bytes of a VE.Direct line: blocks of text fields with a checksum, and HEX records,
 * between blocks or anywhere inside them. Sections 2 and 3 of the sheet `vedirect`.
 */
#pragma once

#include "bms/driver.h"

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
