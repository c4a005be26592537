// SPDX-License-Identifier: MIT
/*
 * Requests of ours that were left unanswered, and their answers, should they come when the line is lent: whoever borrowed it has
 * asked something else, and must not get them. Pure.
 *
 * A line is lent when such an answer is hardly to be expected any more. One that comes all the same is known by the protocol: a
 * whole frame that answers our request and not his is kept back. What answers both goes to him.
 */
#ifndef PACKGATE_LINES_SIEVE_H
#define PACKGATE_LINES_SIEVE_H

#include "lend.h"

#define SIEVE_MOST 8 /* requests; of more, the last ones */
#define SIEVE_S 30.0 /* for so long an answer is thought possible */

struct sieve {
    struct {
        const struct poller *poller;
        struct bms_request request;
        double at;
    } open[SIEVE_MOST];
    unsigned count;
    bool holds; /* what came so far in this loan may be the beginning of such an answer: */
    uint8_t bytes[2 * BMS_FRAME_MAX];
    size_t size;
};

/** A request of ours was left unanswered. */
void sieve_note(struct sieve *sieve, const struct poller *poller, const struct bms_request *request,
                double now);

/** What was asked so far will not be answered any more. */
void sieve_clear(struct sieve *sieve);

/** The line is lent. */
void sieve_begin(struct sieve *sieve, const struct lend *lend, double now);

/** Something came for the loan, at most BMS_FRAME_MAX bytes. Returns how much is his now, found at *his until the next call. */
size_t sieve_take(struct sieve *sieve, const struct loan *loan, const uint8_t *bytes, size_t size,
                  const uint8_t **his);

/** Nothing more comes: what was held back is his after all. */
size_t sieve_end(struct sieve *sieve, const uint8_t **his);

#endif
