// SPDX-License-Identifier: MIT
/*
 * What comes over a VE.Direct line, cut into pieces: blocks of text fields under a checksum, and
 * HEX records, which stand between the blocks or anywhere inside them. Sections 2 and 3 of the
 * sheet `vedirect`.
 */
#ifndef PACKGATE_BMS_VEDIRECT_SCAN_H
#define PACKGATE_BMS_VEDIRECT_SCAN_H

#include "bms/driver.h"

#define VEDIRECT_FIELDS 22
#define VEDIRECT_LABEL 8
#define VEDIRECT_VALUE 32
#define VEDIRECT_RECORDS 8 /* inside one block; further ones are passed over */
#define VEDIRECT_DATA 44   /* bytes of data in a HEX record */
#define VEDIRECT_RECORD_MAX (5 + 2 * VEDIRECT_DATA)

struct vedirect_field {
    char label[VEDIRECT_LABEL + 1];
    char value[VEDIRECT_VALUE + 1];
};

/* Where a HEX record stands inside a block. */
struct vedirect_piece {
    size_t at, size;
};

struct vedirect_block {
    size_t size; /* from its CR LF to its checksum; 0: it does not end in the bytes there are */
    bool sound;  /* its sum is right and its form as well */
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

/** The block that begins with the CR LF at bytes[0]. */
void vedirect_scan_block(const uint8_t *bytes, size_t size, struct vedirect_block *block);

/** The record that begins with the colon at bytes[0]. BMS_DAMAGED: its check is wrong, or it
 * breaks off; the byte that broke it counts as its own, except for CR and colon, with which
 * something else begins. */
struct bms_span vedirect_scan_record(const uint8_t *bytes, size_t size);

/** Takes a record apart that vedirect_scan_record has called a frame, or a request. False: it is
 * none. */
bool vedirect_parse_record(const uint8_t *bytes, size_t size, struct vedirect_record *record);

/** Writes a record with its framing; `bytes` must have room for VEDIRECT_RECORD_MAX. Returns its
 * size. */
size_t vedirect_write_record(uint8_t command, const uint8_t *data, size_t size, uint8_t *bytes);

/** What stands at bytes[0]: a block, a record, or neither. */
struct bms_span vedirect_scan(const uint8_t *bytes, size_t size);

/** The last field of that label (they may repeat); NULL: there is none. */
const char *vedirect_value(const struct vedirect_block *block, const char *label);

#endif
