// SPDX-License-Identifier: MIT
/*
 * What is worth telling of a pack or a bank: its state, the direction of its current, switches,
 * alarms, identity. A change is said in one line of the log and told to the observers. Values that
 * merely move do not count.
 */
#ifndef PACKGATE_PACKS_SUMMARY_H
#define PACKGATE_PACKS_SUMMARY_H

#include "alarms.h"
#include "source.h"

/* What was last told; zeroed: nothing yet. */
struct summary {
    bool told;
    bool fresh;
    enum pack_flow flow;
    double charge_mos, discharge_mos;
    struct alarms alarms;
    uint64_t identity;
};

/** Compares a source with what was last told of it, and says in the log what has changed, but for
 * the identity: a new protection as an error, a new warning and values that became too old as
 * warnings. `kind` is "pack" or "bank". Returns enum source_change. */
unsigned summary_update(struct summary *summary, const char *kind, const struct source *source,
                        double now);

#endif
