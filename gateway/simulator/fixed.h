// SPDX-License-Identifier: MIT
/*
 * Values of a simulated pack that are held fixed, whatever the battery model says: a test sets them
 * and reads them back at the far end.
 */
#ifndef PACKGATE_SIMULATOR_FIXED_H
#define PACKGATE_SIMULATOR_FIXED_H

#include "bms/pack.h"

struct simulator_fixed {
    bool is_fixed[PACK_VALUES];
    double value[PACK_VALUES]; /* NaN: held unknown */
    uint32_t alarms;           /* those that are held, at these levels: */
    uint32_t alarms_warning, alarms_protection;
    bool text_is_fixed[PACK_TEXTS];
    char text[PACK_TEXTS][TEXT_SIZE];
};

/** Lays the fixed values over what the model wrote, and makes follow what depends on them and is
 * not fixed itself: the pack's voltage from its cells, SOC and remaining capacity from one another,
 * power, extremes, averages. */
void simulator_fixed_apply(const struct simulator_fixed *fixed, struct pack *pack);

#endif
