// SPDX-License-Identifier: MIT
/*
 * How long the replies of one pack take, and how long to wait for the next one: the round-trip time as TCP measures it
 * (Jacobson), learned by Karn's rule. A wrong estimate costs time only: the ledger says how old a value is. Pure.
 *
 * Only a reply that belongs to a single request tells how long it took. One that came with several open says how long
 * it took at most: the next request waits that long, so that it gets its own reply.
 */
#ifndef PACKGATE_LINES_PATIENCE_H
#define PACKGATE_LINES_PATIENCE_H

#include <stdbool.h>

/* Zeroed is new. */
struct patience {
    double usual_s;  /* smoothed round-trip time; 0: not known */
    double varies_s; /* and how far it is from that */
    double
        at_most_s; /* upper bound of the last reply, which several requests can have had; 0: none */
    bool in_vain;  /* waiting that long brought nothing, and no reply was single since */
};

/** The request in flight was answered after so long, and no other one can have had the reply. */
void patience_learn(struct patience *patience, double took_s);

/** A reply came that was not waited for any more, or that several requests can have had: so long after the last and the
 * first of them. `waited_s`: how long a reply is waited for of which nothing is known. */
void patience_suspect(struct patience *patience, double least_s, double most_s, double waited_s);

/** A request stayed unanswered for so long. */
void patience_miss(struct patience *patience, double waited_s);

/** How long to wait for a reply, most_s at the most; 0: not known. */
double patience_wait_s(const struct patience *patience, double most_s);

#endif
