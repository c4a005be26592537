// SPDX-License-Identifier: MIT
/*
 * Modbus TCP framing: where a frame ends, and whether a request is well formed. Pure.
 *
 * An ADU is the MBAP header and the PDU:
 *   00 01       | 00 00    | 00 06                        | 01   | 03 01 22 00 02
 *   transaction | protocol | bytes that follow, 2 … 254   | unit | function and fields, 1 … 253 bytes
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MBAP_HEADER 7 /* bytes, including the unit id */
#define MBAP_PDU_MAX 253
#define MBAP_ADU_MAX (MBAP_HEADER + MBAP_PDU_MAX)

#define MBAP_FC_IDENTIFY 43  /* encapsulated interface transport; libmodbus has no name for it */
#define MBAP_MEI_IDENTIFY 14 /* the one supported type: read device identification */

/* The beginning of a client's received bytes. */
enum mbap_kind {
    MBAP_MORE,    /* an incomplete frame; size is not used */
    MBAP_FRAME,   /* a request of `size` bytes */
    MBAP_FOREIGN, /* `size` bytes of another protocol: to be discarded without an answer */
    MBAP_BROKEN   /* an impossible length: the start of the next frame is unknown */
};
struct mbap_span {
    enum mbap_kind kind;
    size_t size; /* 8 … MBAP_ADU_MAX */
};
struct mbap_span mbap_find(const uint8_t *bytes, size_t size);

struct mbap_range {
    uint16_t address, count; /* count 0: no range */
};

struct mbap_request {
    uint8_t unit, function;
    struct mbap_range read, write;
};

/** Checks the PDU of a frame of `size` bytes that mbap_find found: function, exact length, byte
 * count, quantities. Returns 0 or the exception code for the answer: 1 for an unsupported
 * function, else 3. Always sets unit and function, the ranges only if the result is 0. */
uint8_t mbap_check(const uint8_t *frame, size_t size, struct mbap_request *request);

/** Whether a function changes registers or coils. */
bool mbap_writes(uint8_t function);

/** Writes the header of the response to `request`, before a PDU of `pdu_size` bytes. */
void mbap_reply_header(const uint8_t *request, size_t pdu_size, uint8_t header[MBAP_HEADER]);
