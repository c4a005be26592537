// SPDX-License-Identifier: MIT
/* Fixed values, which replace those of the battery model. */
#include "fixed.h"

#include <string.h>

static void put_fixed(const struct simulator_fixed *fixed, struct pack *pack)
{
    for (int id = 0; id < PACK_VALUES; id++)
        if (fixed->is_fixed[id])
            pack->value[id] = fixed->value[id];
}

static bool any_cell_fixed(const struct simulator_fixed *fixed)
{
    for (int i = 0; i < MAX_CELLS; i++)
        if (fixed->is_fixed[CELL_MV + i])
            return true;
    return false;
}

static void follow_cells(const struct simulator_fixed *fixed, struct pack *pack)
{
    if (fixed->is_fixed[VOLTAGE_V] || !any_cell_fixed(fixed))
        return;
    double sum_mv = 0;
    for (int i = 0; i < MAX_CELLS; i++)
        if (pack_known(pack, (enum pack_value)(CELL_MV + i)))
            sum_mv += pack->value[CELL_MV + i];
    pack_set(pack, VOLTAGE_V, sum_mv / 1000);
}

static void follow_charge(const struct simulator_fixed *fixed, struct pack *pack)
{
    const double full_ah = pack->value[FULL_AH];
    const bool *is_fixed = fixed->is_fixed;
    if (!(full_ah > 0))
        return;
    if (is_fixed[SOC_PERCENT] && !is_fixed[REMAINING_AH])
        pack_set(pack, REMAINING_AH, pack->value[SOC_PERCENT] * full_ah / 100);
    else if (!is_fixed[SOC_PERCENT] && (is_fixed[REMAINING_AH] || is_fixed[FULL_AH]))
        pack_set(pack, SOC_PERCENT, 100 * pack->value[REMAINING_AH] / full_ah);
}

static void follow_current(struct pack *pack)
{
    if (!pack_known(pack, CURRENT_A))
        return;
    double current_a = pack->value[CURRENT_A];
    pack_set(pack, FLOW,
             current_a > 0   ? FLOW_CHARGING
             : current_a < 0 ? FLOW_DISCHARGING
                             : FLOW_IDLE);
}

static void follow_derived(const struct simulator_fixed *fixed, struct pack *pack)
{
    static const enum pack_value derived[] = {POWER_W,       CELL_MAX_MV, CELL_MIN_MV, CELL_AVG_MV,
                                              CELL_DELTA_MV, TEMP_AVG_C,  BALANCING};
    for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++)
        pack_unset(pack, derived[i]);
    pack_derive(pack);
    put_fixed(fixed, pack);
}

void simulator_fixed_apply(const struct simulator_fixed *fixed, struct pack *pack)
{
    put_fixed(fixed, pack);
    follow_cells(fixed, pack);
    follow_charge(fixed, pack);
    follow_current(pack);
    follow_derived(fixed, pack);
    pack->alarms_warning = (pack->alarms_warning & ~fixed->alarms) | fixed->alarms_warning;
    pack->alarms_protection = (pack->alarms_protection & ~fixed->alarms) | fixed->alarms_protection;
    for (int i = 0; i < PACK_TEXTS; i++)
        if (fixed->text_is_fixed[i])
            memcpy(pack->text[i], fixed->text[i], TEXT_SIZE);
}
