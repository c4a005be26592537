// SPDX-License-Identifier: MIT
/*
 * A shunt that measures a bank as a whole. It counts small currents that a BMS reports as 0, so the
 * bank reports its current and state of charge, and the sums of the packs separately. Pure.
 */
#pragma once

#include "bank.h"

/* Compares its current with the sum of the packs, both averaged over some minutes, because they are
 * not read at the same moment. */
struct shunt {
    double differs_a, may_a; /* difference, and tolerated difference; NaN: not compared yet */
    double since, at;        /* time of the first and of the last comparison */
    bool differs;            /* by more than the tolerance */
};

void shunt_init(struct shunt *shunt);

/** Stores the shunt's current, power and state of charge in a bank that bank_combine has filled,
 * and those of its packs in `extras`. `measured` NULL: the shunt has no fresh values, and the
 * bank's become unknown. */
void shunt_apply(const struct pack *measured, struct pack *bank, struct map_bank *extras);

/** Call it with each update of a bank whose packs are all present: sets `differs`. */
void shunt_compare(struct shunt *shunt, const struct pack *measured,
                   const struct bank_member *members, unsigned count, double now);
