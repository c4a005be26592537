// SPDX-License-Identifier: MIT
/*
 * The wire format of a push: numbers in registers, requests that write registers, and whether a
 * frame is the response to one. Pure.
 */
#pragma once

#include "mbap.h"

#include "config/config.h"

#define PUSH_REGISTERS_MAX 123 /* per request */

/* The result of encoding a value. */
enum push_encoded {
    PUSH_EXACT,
    PUSH_CLIPPED, /* out of range: replaced by the nearest number that fits */
    PUSH_NOTHING  /* unknown, and to be skipped */
};

/** Encodes a value into registers; NaN: stale or unknown. Rounds to nearest. Does not write `words`
 * for PUSH_NOTHING. */
enum push_encoded push_encode(const struct register_row *write, double value, uint16_t words[2]);

struct push_request {
    uint8_t bytes[MBAP_ADU_MAX];
    size_t size;
};

/** Builds a request that writes `count` registers (1 … PUSH_REGISTERS_MAX; function 6: one) from
 * `address` on. */
void push_request_build(struct push_request *request, uint16_t transaction, uint8_t unit,
                        bool single, unsigned address, const uint16_t *words, unsigned count);

enum push_reply {
    PUSH_DONE,
    PUSH_REFUSED,   /* an exception */
    PUSH_MALFORMED, /* of this transaction, but not a valid response to the request */
    PUSH_FOREIGN    /* of another transaction: a late response */
};

/** Classifies a frame of `size` bytes, found by mbap_find, as the response to a request. Sets
 * `exception` for PUSH_REFUSED. */
enum push_reply push_reply_check(const struct push_request *request, const uint8_t *frame,
                                 size_t size, uint8_t *exception);
