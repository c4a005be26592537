// SPDX-License-Identifier: MIT
/*
 * CAN frames as lines of text, as USB adapters speak them on a serial port (SLCAN, after Lawicel): "t35181402740E740ECC01" and
 * CR. Pure.
 */
#ifndef PACKGATE_BASE_SLCAN_H
#define PACKGATE_BASE_SLCAN_H

#include <stddef.h>
#include <stdint.h>

#define SLCAN_LINE 22           /* bytes of the longest frame with 11 bits of identifier */
#define SLCAN_OPEN "C\rS6\rO\r" /* closes the channel, sets 500 kbit/s, opens it */

struct can_message {
    uint16_t id;
    uint8_t size;
    uint8_t data[8];
};

/** Writes a frame. Returns how many bytes. */
size_t slcan_write(const struct can_message *frame, uint8_t out[SLCAN_LINE]);

/** Takes one line. Returns how many bytes it has; 0: it is not whole. `frame->size` is 9 if it is no frame. */
size_t slcan_read(const uint8_t *bytes, size_t size, struct can_message *frame);

#endif
