// SPDX-License-Identifier: MIT
/*
 * A bank: packs wired in parallel, presented as one. Pure; bank_source.c publishes it.
 *
 * A sum is known only if every pack that counts reports the value: part of a current looks like
 * the whole. Averages and extremes are those of the packs that report the value. The old values of
 * stale packs are ignored.
 */
#pragma once

#include "alarms.h"

#include "config/config.h"
#include "registers/map.h"

/* One pack of a bank. */
struct bank_member {
    const struct pack *pack;
    double capacity_ah; /* as configured, for a pack that does not report it; 0: not configured */
    bool fresh;
    struct alarms alarms; /* as last read */
};

/** Whether the pack's weight in averages of the state of charge is known. */
bool bank_weighs(const struct bank_member *member);

/** Combines the fresh members into `bank`, which is cleared first, and fills `extras` except for
 * `needed`. A missing member raises the warning COMMUNICATION_FAULT. */
void bank_combine(const struct bank_member *members, unsigned count, struct pack *bank,
                  struct map_bank *extras);
