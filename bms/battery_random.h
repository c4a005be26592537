// SPDX-License-Identifier: MIT
/*
 * Random packs: what any BMS could report, for tests that send a pack through an emulator and a
 * decoder.
 */
#ifndef PACKGATE_BMS_BATTERY_RANDOM_H
#define PACKGATE_BMS_BATTERY_RANDOM_H

#include "pack.h"

/** A random, plausible pack that agrees with itself: cells add up to the voltage, SOC and
 * capacities belong together, current flows only through switches that are on; any alarm at any
 * level can be active. Every protocol can carry such numbers: whole mV, degrees and percent,
 * tenths of an ampere, hundredths of an ampere-hour. `seed` moves on. */
void battery_random(struct pack *pack, uint64_t *seed, unsigned cells, unsigned temps);

#endif
