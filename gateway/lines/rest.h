// SPDX-License-Identifier: MIT
/*
 * When a pack rests: rules 4 and 5 of the ledger, in time. After a lost answer, each later answer
 * looks as old as the request before its own. The answer to another step ends that. If it does not,
 * the pack rests: it gets no requests until none of its open requests can be answered any more.
 * Then a connection that may hold back answers is reopened.
 */
#pragma once

#include "ledger.h"
#include "turns.h"
#include "wire.h"

struct rest {
    struct wire *wire;
    struct turns *turns;
    struct ledger ledger;
};

/** Before something is sent: drops requests that cannot be answered any more from the ledger. */
void rest_expire(struct rest *rest, double now);

/** After a cycle of the pack: makes another step due, or begins a rest, if requests are still open. */
void rest_after_cycle(struct rest *rest, struct poller *poller, double now);

/** Whether a request for another step than the one in flight is open. */
bool rest_is_behind(const struct rest *rest, const struct poller *poller);

void rest_begin(struct rest *rest, struct poller *poller);

/** Ends the rest. False: the port is reopened first. */
bool rest_end(struct rest *rest, struct poller *poller, double now);

/** After an answer: ends the rest if nothing is open any more. */
void rest_end_early(struct rest *rest, struct poller *poller, double now);

/** A loan waits until nothing is open: makes another step due if that helps; other packs rest.
 * Returns when nothing will be open any more; -infinity: nothing is open now. */
double rest_before_loan(struct rest *rest, double now);

/** Ends all rests at that time. False: the port is reopened first. */
bool rest_end_before_loan(struct rest *rest, double now);

/** All packs rest: a borrower has sent an unknown number of requests, the last one at `sent_at`. */
void rest_all(struct rest *rest, double sent_at);
