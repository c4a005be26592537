// SPDX-License-Identifier: MIT
/*
 * How long the replies of one pack take, and how long to wait for the next one: the round-trip
 * time as TCP measures it (Jacobson), learned by Karn's rule. A wrong estimate costs time only: the
 * ledger says how old a value is. Pure.
 *
 * Only a reply that belongs to a single request measures the time. A reply with several open
 * requests gives an upper bound: the next request waits that long, so that it gets its own reply.
 */
#pragma once

#include <stdbool.h>

/* Zeroed is new. */
struct patience {
    double usual_s;   /* smoothed round-trip time; 0: not known */
    double varies_s;  /* and how far it is from that */
    double at_most_s; /* upper bound of a reply that several requests can have had; 0: none */
    bool in_vain;     /* waiting that long brought nothing, and no reply since was single */
};

/** The request in flight was answered after `took_s`, and the reply can belong to no other. */
void patience_learn(struct patience *patience, double took_s);

/** A reply came after its timeout, or one that several requests can have had: `least_s` after the last of them, `most_s`
 * after the first. `waited_s`: the timeout while no reply time is known. */
void patience_suspect(struct patience *patience, double least_s, double most_s, double waited_s);

/** A request stayed unanswered for `waited_s`; no reply is waited for longer than `most_s`. */
void patience_miss(struct patience *patience, double waited_s, double most_s);

/** How long to wait for a reply, most_s at the most; 0: not known. */
double patience_wait_s(const struct patience *patience, double most_s);
