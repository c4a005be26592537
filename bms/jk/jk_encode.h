// SPDX-License-Identifier: MIT
/*
 * The records of JK boards as a simulated one sends them: the other direction of jk_record. Pure.
 */
#ifndef PACKGATE_BMS_JK_ENCODE_H
#define PACKGATE_BMS_JK_ENCODE_H

#include "jk_record.h"

/* A record under way; offsets are those of the 300-byte frame. */
struct jk_image {
    uint8_t bytes[JK_RECORD_SIZE];
    bool big_endian; /* as the registers are */
};

/** Fills the image with a record of the pack and closes it with its sum. JK_LAYOUT_AUTO is the
 * 32-cell layout. */
void jk_encode(struct jk_image *image, enum jk_type type, enum jk_layout layout, uint8_t counter,
               uint8_t address, const struct pack *pack);

#endif
