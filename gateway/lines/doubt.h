// SPDX-License-Identifier: MIT
/*
 * How open requests come to their end when they stay unanswered: rules 4 and 5 of the ledger, in time. A lost answer makes
 * all that follow look older than they are. Asking something else settles that; where it does not, the pack is left in
 * peace until none of its requests can be answered any more, and a connection that may hold answers back is opened anew.
 */
#ifndef PACKGATE_LINES_DOUBT_H
#define PACKGATE_LINES_DOUBT_H

#include "ledger.h"
#include "turns.h"
#include "wire.h"

struct doubt {
    struct wire *wire;
    struct turns *turns;
    struct ledger ledger;
};

/** Something is about to be sent: what cannot be answered any more leaves the ledger. */
void doubt_expire(struct doubt *doubt, double now);

/** A cycle of the pack is over. */
void doubt_judge(struct doubt *doubt, struct poller *poller, double now);

/** Whether a request for another step than the one in flight is open. */
bool doubt_is_behind(const struct doubt *doubt, const struct poller *poller);

/** Leaves the pack in peace. */
void doubt_rest(struct doubt *doubt, struct poller *poller);

/** That is over. False: a new connection is opened first. */
bool doubt_end_rest(struct doubt *doubt, struct poller *poller, double now);

/** Something was answered: if nothing is open any more, the pack need not rest. */
void doubt_settled(struct doubt *doubt, struct poller *poller, double now);

/** A loan waits until nothing is open: what can be settled by asking is asked, the rest is left in peace. Returns when
 * nothing is open any more; -infinity: nothing is. */
double doubt_clear_at(struct doubt *doubt, double now);

/** That time has come. False: a new connection is opened first. */
bool doubt_clear(struct doubt *doubt, double now);

/** A borrower has sent requests that nobody has counted, the last one then: all packs rest. */
void doubt_rest_all(struct doubt *doubt, double sent_at);

#endif
