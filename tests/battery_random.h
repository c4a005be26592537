// SPDX-License-Identifier: MIT
/*
 * Random packs with any values that a BMS could report, for tests that pass them through an emulator and a decoder. Values
 * are drawn one after the other, so that a seed gives the same pack with every compiler.
 */
#pragma once

#include "bms/pack.h"
#include "bms/prng.h"

#include <stdio.h>

static inline void random_cells(struct pack *pack, uint64_t *seed, unsigned cells)
{
    int middle_mv = prng_range(seed, 2600, 3600), sum_mv = 0;
    for (unsigned i = 0; i < cells; i++) {
        int mv = middle_mv + prng_range(seed, -60, 60);
        pack_set_cell(pack, i + 1, mv);
        sum_mv += mv;
    }
    pack_set(pack, CELL_COUNT, cells);
    pack_set(pack, VOLTAGE_V, sum_mv / 1000.0);
    uint64_t mask = prng_next(seed) & prng_next(seed) & ((UINT64_C(1) << cells) - 1);
    pack_set(pack, BALANCE_MASK, (double) mask);
    pack_set(pack, CHARGE_VOLTAGE_LIMIT_V, 36 * cells / 10.0);
    pack_set(pack, DISCHARGE_VOLTAGE_LIMIT_V, 27 * cells / 10.0);
}

/* * Fills in a random, plausible and consistent pack: cells add up to the voltage, SOC and
 * capacities agree, current flows only through switches that are on; any alarm at any level may be
 * active. Every protocol can carry its numbers: whole mV, degrees and percent, tenths of an
 * ampere, hundredths of an ampere-hour. Advances `seed`. */
static inline void battery_random(struct pack *pack, uint64_t *seed, unsigned cells, unsigned temps)
{
    pack_clear(pack);
    random_cells(pack, seed, cells);
    bool charge = prng_range(seed, 0, 3) > 0, discharge = prng_range(seed, 0, 3) > 0;
    int tenths = prng_range(seed, discharge ? -3000 : 0, charge ? 3000 : 0);
    pack_set(pack, CURRENT_A, tenths / 10.0);
    pack_set(pack, FLOW, pack_flow(pack));
    pack_set(pack, CHARGE_MOS, charge);
    pack_set(pack, DISCHARGE_MOS, discharge);
    pack_set(pack, CHARGE_CURRENT_LIMIT_A, prng_range(seed, 0, 300));
    pack_set(pack, DISCHARGE_CURRENT_LIMIT_A, prng_range(seed, 0, 300));
    int rated_ah = prng_range(seed, 20, 600);
    int soh = prng_range(seed, 50, 100);
    int soc = prng_range(seed, 0, 100);
    int full_ah = rated_ah * soh / 100;
    pack_set(pack, RATED_AH, rated_ah);
    pack_set(pack, FULL_AH, full_ah);
    pack_set(pack, REMAINING_AH, full_ah * soc / 100.0);
    pack_set(pack, SOC_PERCENT, soc);
    pack_set(pack, SOH_PERCENT, soh);
    pack_set(pack, CYCLES, prng_range(seed, 0, 5000));
    /* No limit is 0, which some protocols read as none; temperatures for "too hot" are above 0. */
    for (int id = SETTINGS_FIRST; id < SETTINGS_END; id++) {
        const double max = pack_value_info((enum pack_value) id)->max;
        const bool cold = id == SET_CHARGE_COLD_C || id == SET_CHARGE_COLD_RELEASE_C ||
                          id == SET_DISCHARGE_COLD_C || id == SET_DISCHARGE_COLD_RELEASE_C;
        const int most = max > 99 ? 99 : (int) max;
        pack_set(pack, (enum pack_value) id, prng_range(seed, cold ? -30 : most > 1, most));
    }
    pack_set(pack, TEMP_COUNT, temps);
    for (unsigned i = 0; i < temps; i++)
        pack_set_temp(pack, i + 1, prng_range(seed, -30, 80));
    pack_set(pack, MOS_TEMP_C, prng_range(seed, -30, 100));
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        pack_alarm(pack, (enum pack_alarm) i, prng_range(seed, 0, 3) == 0 ? ALARM_WARNING : 0);
        pack_alarm(pack, (enum pack_alarm) i, prng_range(seed, 0, 3) == 0 ? ALARM_PROTECTION : 0);
    }
    snprintf(pack->text[SERIAL], TEXT_SIZE, "SN%08u", (unsigned) prng_range(seed, 0, 99999999));
    snprintf(pack->text[MODEL], TEXT_SIZE, "M%dS-%03d", (int) cells, prng_range(seed, 0, 999));
    snprintf(pack->text[FIRMWARE], TEXT_SIZE, "%.2f", prng_range(seed, 100, 999) / 100.0);
    pack_derive(pack);
}
