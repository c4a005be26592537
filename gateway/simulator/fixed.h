// SPDX-License-Identifier: MIT
/*
 * Values of a simulated pack that are fixed, whatever the battery model computes: a test sets them
 * and compares them with what a client reads.
 */
#pragma once

#include "bms/pack.h"

struct simulator_fixed {
    bool is_fixed[PACK_VALUES];
    double value[PACK_VALUES]; /* NaN: fixed as unknown */
    uint32_t alarms;           /* the fixed alarms, at these levels: */
    uint32_t alarms_warning, alarms_protection;
    bool text_is_fixed[PACK_TEXTS];
    char text[PACK_TEXTS][TEXT_SIZE];
};

/** Replaces the model's values by the fixed ones, and derives what depends on them and is not fixed
 * itself: the pack's voltage from its cells, SOC and remaining capacity from each other, power,
 * extremes, averages. */
void simulator_fixed_apply(const struct simulator_fixed *fixed, struct pack *pack);
