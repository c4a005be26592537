// SPDX-License-Identifier: MIT
/*
 * Lends the line to other programs. The ledger also holds the borrower's requests, so that
 * their answers are never mistaken for answers to polls. A loan ends when all its requests are
 * answered, or when nothing was received for a reply timeout. While packs are due, they get half of
 * the time: after a loan, polls come first until they have taken as long as the loan.
 */
#pragma once

#include "asker.h"
#include "loan.h"

struct lender {
    struct asker *asker;
    TAILQ_HEAD(, loan) queue; /* in the order in which they came */
    bool lent;
    struct loan *borrower; /* gets the received bytes; NULL: not lent, or cancelled */
    struct loan loan;      /* a copy of the last one */
    bool counted;          /* the ledger has all its requests */
    size_t received;       /* bytes */
    size_t echoed;         /* how many of the first ones are an echo */
    double begun_at, deadline;
    double passed_at; /* last bytes sent with an open end; -infinity: none */
    double owed_s; /* for this time, polls of due packs come first; line.c subtracts their time */
};

void lender_init(struct lender *lender, struct asker *asker);

/** When the next loan may begin, `now` at the earliest; infinity: none waits, or packs come first.
 * Ends loans that have waited too long, and makes steps due that settle open requests. */
double lender_next_at(struct lender *lender, double now);

/** The line is quiet: lends it to the first in the queue. */
void lender_begin(struct lender *lender, double now);

void lender_received(struct lender *lender, const uint8_t *bytes, size_t size, double now);

/** wire_wait is over. */
void lender_due(struct lender *lender, double now);

/** The port was lost. */
void lender_closed(struct lender *lender, double now);

/** The line is down: ends all loans in the queue. */
void lender_refuse(struct lender *lender);

/** Sends bytes of a loan with an open end that has its turn. False: it has not, or they do not fit. */
bool lender_pass(struct lender *lender, const struct loan *loan, const uint8_t *bytes, size_t size,
                 double now);

/** Cancels a loan in the queue, or the one that has its turn, without `done`. If it has begun, the line stays lent until it is quiet. */
void lender_take_back(struct lender *lender, struct loan *loan, double now);
