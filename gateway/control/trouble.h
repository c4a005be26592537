// SPDX-License-Identifier: MIT
/*
 * Records the last trouble of each pack and bank, in words, by observing its state and its
 * counters. Also computes the age of its values at this moment, rather than at the last report.
 */
#pragma once

#include "packs/packs.h"

struct troubles;

/** Observes from now on; `packs` must outlive it. NULL: out of memory. */
struct troubles *troubles_new(struct packs *packs, double now);
void troubles_free(struct troubles *troubles);

/** The last trouble and when it happened (clock_now); NULL: none so far. */
const char *troubles_of(const struct troubles *troubles, const struct source *source, double *at);

/** Age of the values now, in seconds; NaN: there are none. */
double troubles_age(const struct troubles *troubles, const struct source *source, double now);
