// SPDX-License-Identifier: MIT
/*
 * The last thing that went wrong with each pack and bank, in words: found by watching its state and
 * its counters. And how old its values are at this moment, not when it was told of last.
 */
#ifndef PACKGATE_CONTROL_TROUBLE_H
#define PACKGATE_CONTROL_TROUBLE_H

#include "packs/packs.h"

struct troubles;

/** Observes from now on; `packs` must outlive it. NULL: out of memory. */
struct troubles *troubles_new(struct packs *packs, double now);
void troubles_free(struct troubles *troubles);

/** What it was and when, by clock_now; NULL: nothing so far. */
const char *troubles_of(const struct troubles *troubles, const struct source *source, double *at);

/** Age of the values now; NaN: there are none. */
double troubles_age(const struct troubles *troubles, const struct source *source, double now);

#endif
