// SPDX-License-Identifier: MIT
/*
 * Modbus function 8, diagnostics of a serial line: the counters of a device, and the answers to the sub-functions. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

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
