// SPDX-License-Identifier: MIT
/*
 * A line that is lent: somebody else's exchange between our own. lend.h has the rules of time, the ledger says when the
 * line may be lent, and what the borrower left unanswered is appended to it.
 */
#ifndef PACKGATE_LINES_LENDER_H
#define PACKGATE_LINES_LENDER_H

#include "asker.h"
#include "lend.h"

struct lender {
    struct wire *wire;
    struct asker *asker;
    struct turns *turns;
    struct lend lend;
    void (*free)(void *data, double now); /* a loan is over: what is next? */
    void *data;
};

void lender_init(struct lender *lender, struct wire *wire, struct asker *asker, struct turns *turns,
                 void (*free)(void *data, double now), void *data);

/** Whether the line is lent. */
bool lender_is_busy(const struct lender *lender);

/** When the next loan may begin, `now` at the earliest; infinity: none is wanted, or packs come first. */
double lender_next_at(struct lender *lender, double now);

/** The line is quiet: the first of those who wait has it. */
void lender_begin(struct lender *lender, double now);

void lender_received(struct lender *lender, const uint8_t *bytes, size_t size, double now);
void lender_due(struct lender *lender, double now);

/** The port was lost. */
void lender_closed(struct lender *lender, double now);

/** The line is down: nobody waits for it. */
void lender_refuse(struct lender *lender);

/** Sends bytes of a loan with an open end that has its turn. False: it has not, or they do not fit. */
bool lender_pass(struct lender *lender, const struct loan *loan, const uint8_t *bytes, size_t size,
                 double now);

void lender_take_back(struct lender *lender, struct loan *loan, double now);

#endif
