// SPDX-License-Identifier: MIT
/*
 * Modbus RTU frames among received bytes, and to be sent. Pure. A frame is a Modbus PDU between the address of a device and a CRC:
 *   02      | 03 01 22 00 02 | 65 C4
 *   address | PDU            | CRC, low byte first
 */
#ifndef PACKGATE_OUTLETS_PRESENT_RTU_H
#define PACKGATE_OUTLETS_PRESENT_RTU_H

#include <stddef.h>
#include <stdint.h>

#define RTU_ADU_MAX 256 /* bytes of a frame */

enum rtu_kind {
    RTU_NOTHING, /* no frame ends here; it may be the beginning of one */
    RTU_REQUEST, /* of a master, to whatever address */
    RTU_ANSWER,  /* of a device */
    RTU_NOISE    /* `size` bytes that are in no frame */
};

struct rtu_span {
    enum rtu_kind kind;
    size_t at, size; /* of the frame in the bytes */
};

/** The frame that ends with the last byte, after which there was silence: all the bytes or, behind noise and frames that nobody waits
 * for any more, as many of the last ones as possible. Of several frames only the last one counts: a master has one request open. */
struct rtu_span rtu_find_last(const uint8_t *bytes, size_t size);

/** The request that begins with the first byte, where no silence tells frames apart. RTU_NOTHING: it goes on. */
struct rtu_span rtu_find_first(const uint8_t *bytes, size_t size);

/** Puts a frame together and returns its size. */
size_t rtu_compose(uint8_t address, const uint8_t *pdu, size_t pdu_size, uint8_t out[RTU_ADU_MAX]);

/** How long a line is silent between two frames: 3.5 characters, or 1.75 ms above 19200 baud. */
double rtu_silence_s(unsigned baud, const char framing[4]);

#endif
