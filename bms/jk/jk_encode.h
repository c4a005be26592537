// SPDX-License-Identifier: MIT
/*
 * Encodes the records of JK boards for simulated packs: the reverse of jk_record. Pure.
 */
#pragma once

#include "jk_record.h"

/* A record being written; offsets are those of the 300-byte frame. */
struct jk_image {
    uint8_t bytes[JK_RECORD_SIZE];
    bool big_endian; /* as in the registers */
};

/** Writes a record of the pack into the image and appends its sum. JK_LAYOUT_AUTO is the 32-cell
 * layout. */
void jk_encode(struct jk_image *image, enum jk_type type, enum jk_layout layout, uint8_t counter,
               uint8_t address, const struct pack *pack);
