// SPDX-License-Identifier: MIT
/*
 * A bank: packs wired in parallel, presented as one. Pure; bank_source.c publishes it.
 *
 * A sum is known only if every pack that counts reports the value: part of a current looks like
 * the whole, and a state of charge without that of one pack would jump. Other averages, and extremes,
 * are those of the packs that report the value. An extreme is unknown, however, while a pack does
 * not report it that has done so before, or that still answers its first requests: the worst value
 * may be its own. The old values of stale packs are ignored.
 *
 * A shunt may measure the bank as a whole. It counts small currents that a BMS reports as 0, so the
 * bank reports its current and state of charge, and the sums of the packs separately.
 */
#pragma once

#include "alarms.h"
#include "seen.h"

#include "config/config.h"
#include "registers/map.h"

/* One pack of a bank. */
struct bank_member {
    const struct pack *pack;
    double capacity_ah; /* as configured, for a pack that does not report it; 0: not configured */
    bool fresh;
    struct alarms alarms;    /* as last read */
    bool begins;             /* its first requests are not all answered: any value may follow */
    const struct seen *seen; /* NULL: nothing */
};

/** Whether the pack's weight in averages of the state of charge is known. */
bool bank_weighs(const struct bank_member *member);

/** Combines the fresh members into `bank`, which is cleared first, and fills `extras` except for
 * `needed`. A missing member raises the warning COMMUNICATION_FAULT. */
void bank_combine(const struct bank_member *members, unsigned count, struct pack *bank,
                  struct map_bank *extras);

/* Compares the current of a shunt with the sum of the packs, both averaged over some minutes,
 * because they are not read at the same moment. */
struct shunt {
    double differs_a, may_a; /* difference, and tolerated difference; at first differs_a is NaN */
    double since, at;        /* time of the first and of the last comparison */
    bool differs;            /* by more than the tolerance */
};

/** Stores the shunt's current, power and state of charge in a bank that bank_combine has filled, and
 * those of its packs in `extras`. `measured` NULL: not fresh, so the bank's become unknown. */
void shunt_apply(const struct pack *measured, struct pack *bank, struct map_bank *extras);

/** Call it with each update of a bank whose packs are all present: sets `differs`. */
void shunt_compare(struct shunt *shunt, const struct pack *measured,
                   const struct bank_member *members, unsigned count, double now);
