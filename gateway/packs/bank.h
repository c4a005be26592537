// SPDX-License-Identifier: MIT
/*
 * A bank: packs wired in parallel, as one. Pure; bank_source.c serves it.
 *
 * A sum is only known when every pack that is counted in reports the value: a part of a current
 * looks like a whole one. Averages and extremes are those of the packs that do. What stale packs
 * reported last is not looked at.
 */
#ifndef PACKGATE_PACKS_BANK_H
#define PACKGATE_PACKS_BANK_H

#include "alarms.h"

#include "config/config.h"
#include "registers/map.h"

/* One pack of a bank. */
struct bank_member {
    const struct pack *pack;
    double capacity_ah; /* as configured, for a pack that does not report it; 0: not given */
    bool fresh;
    struct alarms alarms; /* as read last */
};

/** Whether it is known what the pack counts in averages of the state of charge. */
bool bank_weighs(const struct bank_member *member);

/** Combines the fresh members into `bank`, which is cleared first, and fills `extras` except for
 * `needed`. A missing member raises the warning COMMUNICATION_FAULT. */
void bank_combine(const struct bank_member *members, unsigned count, struct pack *bank,
                  struct map_bank *extras);

#endif
