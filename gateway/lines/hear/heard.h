// SPDX-License-Identifier: MIT
/* Bytes that were heard on a line, and when the first of them was sent, at the latest. Pure. */
#ifndef PACKGATE_LINES_HEARD_H
#define PACKGATE_LINES_HEARD_H

#include "bms/driver.h"

#define HEARD_SIZE (2 * BMS_FRAME_MAX)
#define HEARD_MARKS 64 /* pieces in which the bytes have come */

struct heard {
    uint8_t bytes[HEARD_SIZE];
    size_t size;
    struct heard_mark {
        size_t offset; /* bytes from here on came then */
        double at;
    } marks[HEARD_MARKS];
    unsigned mark_count;
    double byte_s; /* what a byte takes on the wire */
};

void heard_clear(struct heard *heard);

/** Appends what came then; returns how many bytes fitted. */
size_t heard_append(struct heard *heard, const uint8_t *bytes, size_t size, double at);

/** Removes bytes from the beginning. */
void heard_drop(struct heard *heard, size_t size);

/** When the first byte was sent, at the latest: what has come by then behind it took its time on the wire. */
double heard_since(const struct heard *heard);

#endif
