// SPDX-License-Identifier: MIT
/*
 * CAN frames as lines of text, the protocol of USB adapters with a serial port (SLCAN, by Lawicel): "t35181402740E740ECC01"
 * and CR. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SLCAN_LINE 22           /* bytes of the longest frame with an 11-bit identifier */
#define SLCAN_OPEN "C\rS6\rO\r" /* closes the channel, sets 500 kbit/s, opens it */

struct can_message {
    uint16_t id;
    uint8_t size;
    uint8_t data[8];
};

/** Writes a frame as a line. Returns its size in bytes. */
size_t slcan_write(const struct can_message *frame, uint8_t out[SLCAN_LINE]);

/** Reads one line. Returns its size in bytes; 0: it is incomplete. Sets `frame->size` to 9 if the line is not a data frame. */
size_t slcan_read(const uint8_t *bytes, size_t size, struct can_message *frame);
