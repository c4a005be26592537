// SPDX-License-Identifier: MIT
/*
 * Modbus function 8, diagnostics of a serial line: what a device counts, and the answers to its sub-functions. Pure.
 */
#ifndef PACKGATE_OUTLETS_PRESENT_DIAGNOSTICS_H
#define PACKGATE_OUTLETS_PRESENT_DIAGNOSTICS_H

#include <stddef.h>
#include <stdint.h>

#define DIAGNOSTICS_FC 8
#define DIAGNOSTICS_ANSWER 5 /* bytes of the PDU */

/* Counters; they wrap, as only 16 bits are reported. */
struct diagnostics {
    uint32_t messages;   /* whole frames on the line, to whatever address */
    uint32_t errors;     /* bytes with a wrong CRC or in no frame, each time that such came */
    uint32_t exceptions; /* that we answered with */
    uint32_t ours;       /* requests to one of our addresses, or to all */
    uint32_t unanswered; /* of these: broadcasts, and while nothing may be said */
    uint32_t busy;       /* exceptions 6 */
    uint32_t overruns;   /* more bytes than a frame can have */
};

/** Answers a request of `size` bytes from its function code on. Returns 0 with the answer, or an exception code. */
uint8_t diagnostics_answer(struct diagnostics *counted, const uint8_t *pdu, size_t size,
                           uint8_t answer[DIAGNOSTICS_ANSWER]);

#endif
