// SPDX-License-Identifier: MIT
/*
 * Random packs with any values that a BMS could report, for tests that pass them through an
 * emulator and a decoder.
 */
#pragma once

#include "pack.h"

/** Fills in a random, plausible and consistent pack: cells add up to the voltage, SOC and
 * capacities agree, current flows only through switches that are on; any alarm at any level may be
 * active. Every protocol can carry its numbers: whole mV, degrees and percent, tenths of an
 * ampere, hundredths of an ampere-hour. Advances `seed`. */
void battery_random(struct pack *pack, uint64_t *seed, unsigned cells, unsigned temps);
