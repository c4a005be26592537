// SPDX-License-Identifier: MIT
/*
 * Modbus RTU: finds frames in received bytes, composes frames, answers diagnostics. Pure. A frame is a Modbus PDU between a device address and a CRC:
 *   02      | 03 01 22 00 02 | 65 C4
 *   address | PDU            | CRC, low byte first
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RTU_ADU_MAX 256 /* bytes of a frame */

enum rtu_kind {
    RTU_NOTHING, /* no whole frame; it may be the beginning of one */
    RTU_REQUEST, /* of a master, to any address */
    RTU_ANSWER,  /* of a device */
    RTU_NOISE    /* `size` bytes that are in no frame */
};

struct rtu_span {
    enum rtu_kind kind;
    size_t at, size; /* of the frame in the bytes */
};

/** Finds the frame that ends with the last byte, after which the line was silent: the longest one, if noise or older frames precede
 * it. Older frames do not count, because a master has only one request in flight. */
struct rtu_span rtu_find_last(const uint8_t *bytes, size_t size);

/** Finds the request that begins with the first byte, for streams in which no silence separates frames. RTU_NOTHING: it is
 * incomplete. */
struct rtu_span rtu_find_first(const uint8_t *bytes, size_t size);

/** Composes a frame and returns its size. */
size_t rtu_compose(uint8_t address, const uint8_t *pdu, size_t pdu_size, uint8_t out[RTU_ADU_MAX]);

/** The silence between two frames, in seconds: 3.5 characters, or 1.75 ms above 19200 baud. */
double rtu_silence_s(unsigned baud, const char framing[4]);

/* Function 8, diagnostics of a serial line: the counters of a device, and the answers to the sub-functions. */

#define DIAGNOSTICS_FC 8
#define DIAGNOSTICS_ANSWER 5 /* bytes of the PDU */

/* Counters; an answer contains their low 16 bits. */
struct diagnostics {
    uint32_t messages;   /* whole frames on the line, to any address */
    uint32_t errors;     /* times that bytes had a wrong CRC or belonged to no frame */
    uint32_t exceptions; /* exception responses that we sent */
    uint32_t ours;       /* requests to one of our addresses, and broadcasts */
    uint32_t unanswered; /* of these: broadcasts, and requests while the state forbids an answer */
    uint32_t busy;       /* of the exceptions: code 6, busy */
    uint32_t overruns;   /* times that more bytes arrived than a frame can have */
};

/** Answers a request whose PDU has `size` bytes. Returns 0 with the answer, or an exception code. */
uint8_t diagnostics_answer(struct diagnostics *counted, const uint8_t *pdu, size_t size,
                           uint8_t answer[DIAGNOSTICS_ANSWER]);
