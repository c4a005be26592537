// SPDX-License-Identifier: MIT
/*
 * Modbus TCP on the wire: where a frame ends, and whether a request is well formed. Pure.
 * Everything that libmodbus would trust, or answer by sleeping, is found here before libmodbus sees
 * the request.
 *
 * An ADU is the MBAP header and the PDU:
 *   00 01       | 00 00    | 00 06                        | 01   | 03 01 22 00 02
 *   transaction | protocol | bytes that follow, 2 … 254   | unit | function and its fields, 1 … 253
 * bytes
 */
#ifndef PACKGATE_MODBUS_MBAP_H
#define PACKGATE_MODBUS_MBAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MBAP_HEADER 7 /* up to and with the unit id */
#define MBAP_PDU_MAX 253
#define MBAP_ADU_MAX (MBAP_HEADER + MBAP_PDU_MAX)

#define MBAP_FC_IDENTIFY 43  /* encapsulated interface transport; libmodbus has no name for it */
#define MBAP_MEI_IDENTIFY 14 /* its one type that is served: read device identification */

/* What stands at the start of a client's bytes. */
enum mbap_kind {
    MBAP_MORE,    /* not yet a whole frame; size is not used */
    MBAP_FRAME,   /* a request of `size` bytes */
    MBAP_FOREIGN, /* `size` bytes of another protocol: to be discarded without an answer */
    MBAP_BROKEN   /* an impossible length: where the next frame starts cannot be known any more */
};
struct mbap_span {
    enum mbap_kind kind;
    size_t size; /* 8 … MBAP_ADU_MAX */
};
struct mbap_span mbap_find(const uint8_t *bytes, size_t size);

struct mbap_range {
    uint16_t address, count; /* count 0: nothing */
};

struct mbap_request {
    uint8_t unit, function;
    struct mbap_range read, write;
};

/** Checks the PDU of a frame of `size` bytes that mbap_find found: function, exact length, byte
 * count, quantities. Returns 0 or the exception code to answer with: 1 for a function that is not
 * served at all, else 3. Unit and function are set in any case, the ranges only when the result is
 * 0. */
uint8_t mbap_check(const uint8_t *frame, size_t size, struct mbap_request *request);

/** Whether a function changes registers or coils. */
bool mbap_writes(uint8_t function);

/** Writes the header of the answer to `request` before a PDU of `pdu_size` bytes. */
void mbap_reply_header(const uint8_t *request, size_t pdu_size, uint8_t header[MBAP_HEADER]);

#endif
