// SPDX-License-Identifier: MIT
/*
 * A shunt that measures a bank as a whole. It counts small currents that a BMS reports as 0, so its current and state of
 * charge are those of the bank; the sum of the packs stands beside them. Pure.
 */
#ifndef PACKGATE_PACKS_SHUNT_H
#define PACKGATE_PACKS_SHUNT_H

#include "bank.h"

/* Its current against the sum of the packs, both over some minutes: they are not read at the same moment. */
struct shunt {
    double differs_a,
        may_a; /* by how much, and by how much with errors that are usual; NaN: not compared yet */
    double since, at; /* of the first and of the last comparison */
    bool differs;     /* by more than both can be wrong */
};

void shunt_init(struct shunt *shunt);

/** Puts the shunt's current, power and state of charge into a bank that bank_combine has filled, and those of its packs into
 * `extras`. `measured`: NULL, the shunt has no fresh values: the bank's are not known then. */
void shunt_apply(const struct pack *measured, struct pack *bank, struct map_bank *extras);

/** With each update of a bank whose packs are all there: sets `differs`. */
void shunt_compare(struct shunt *shunt, const struct pack *measured,
                   const struct bank_member *members, unsigned count, double now);

#endif
