// SPDX-License-Identifier: MIT
/*
 * What a push says and hears on the wire: numbers in registers, the requests that write registers,
 * and whether a frame is the answer to one. Pure.
 */
#ifndef PACKGATE_MODBUS_PUSH_ENCODE_H
#define PACKGATE_MODBUS_PUSH_ENCODE_H

#include "mbap.h"

#include "config/config.h"

#define PUSH_REGISTERS_MAX 123 /* of one request */

/* What became of a value. */
enum push_encoded {
    PUSH_EXACT,
    PUSH_CLIPPED, /* it does not fit: the nearest that does stands there */
    PUSH_NOTHING  /* unknown, and to be skipped */
};

/** Registers of a value, NaN for stale or unknown ones. Rounds to nearest. `words` is left alone
 * for PUSH_NOTHING. */
enum push_encoded push_encode(const struct push_write *write, double value, uint16_t words[2]);

struct push_request {
    uint8_t bytes[MBAP_ADU_MAX];
    size_t size;
};

/** Writes `count` registers (1 … PUSH_REGISTERS_MAX; function 6: one) from `address` on. */
void push_request_build(struct push_request *request, uint16_t transaction, uint8_t unit,
                        bool single, unsigned address, const uint16_t *words, unsigned count);

enum push_reply {
    PUSH_DONE,
    PUSH_REFUSED,   /* an exception */
    PUSH_MALFORMED, /* of this transaction, but no answer to what was asked */
    PUSH_FOREIGN    /* of another transaction: a late answer */
};

/** What a frame of `size` bytes that mbap_find found is to a request. `exception` is set for
 * PUSH_REFUSED. */
enum push_reply push_reply_check(const struct push_request *request, const uint8_t *frame,
                                 size_t size, uint8_t *exception);

#endif
