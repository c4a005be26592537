// SPDX-License-Identifier: MIT
/*
 * Lending the line. What the borrower asks is in the ledger as what we ask is, so that his answers are not taken for ours,
 * and the loan is over as soon as all of it is answered; else when nothing has come for as long as a reply may take.
 * While packs are due they keep half of the time: after a loan their own exchanges come first until they have taken as
 * long as it did.
 */
#ifndef PACKGATE_LINES_LENDER_H
#define PACKGATE_LINES_LENDER_H

#include "asker.h"
#include "loan.h"

struct lender {
    struct asker *asker;
    struct loan *queue;    /* in the order in which they came */
    struct loan *borrower; /* who has the line; NULL: nobody, or he does not want it any more */
    bool lent;
    struct loan loan; /* a copy of what was lent last */
    bool counted;     /* all that he has asked is known, and in the ledger */
    size_t received;  /* bytes, */
    size_t echoed;    /* of which so many, the first, are those that he has sent */
    double begun_at, deadline;
    double passed_at;                     /* the last bytes with an open end; -infinity: none */
    double owed_s;                        /* so long packs that are due come first */
    void (*free)(void *data, double now); /* a loan is over: what is next? */
    void *data;
};

void lender_init(struct lender *lender, struct asker *asker, void (*free)(void *data, double now),
                 void *data);

void lender_add(struct lender *lender, struct loan *loan);

/** When the next loan may begin, `now` at the earliest; infinity: none is wanted, or packs come first. */
double lender_next_at(struct lender *lender, double now);

/** An exchange of ours is over. */
void lender_pay(struct lender *lender, double now);

/** The line is quiet: the first of those who wait has it. */
void lender_begin(struct lender *lender, double now);

void lender_received(struct lender *lender, const uint8_t *bytes, size_t size, double now);

/** wire_wait is over. */
void lender_due(struct lender *lender, double now);

/** The port was lost. */
void lender_closed(struct lender *lender, double now);

/** The line is down: nobody waits for it. */
void lender_refuse(struct lender *lender);

/** Sends bytes of a loan with an open end that has its turn. False: it has not, or they do not fit. */
bool lender_pass(struct lender *lender, const struct loan *loan, const uint8_t *bytes, size_t size,
                 double now);

/** Whoever wanted it does not any more: what is under way goes on without him until the line is quiet. */
void lender_take_back(struct lender *lender, struct loan *loan, double now);

#endif
