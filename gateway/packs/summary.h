// SPDX-License-Identifier: MIT
/*
 * The noteworthy state of a pack or a bank: fresh or stale, direction of its current, switches,
 * alarms, identity. Each change is logged in one line and reported to the observers.
 */
#pragma once

#include "alarms.h"
#include "source.h"

/* What was last logged. All zeros: nothing yet. */
struct summary {
    bool told;
    bool fresh;
    enum pack_flow flow;
    double charge_mos, discharge_mos;
    struct alarms alarms;
    uint64_t identity;
};

/** Compares a source with what was last logged and logs what has changed, except the identity: a
 * new protection as an error, a new warning and stale values as warnings. `kind` is "pack" or
 * "bank". Returns enum source_change. */
unsigned summary_update(struct summary *summary, const char *kind, const struct source *source,
                        double now);
