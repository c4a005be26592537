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

/* What depends on the fixed values and is not fixed itself. */
static void follow(const struct simulator_fixed *fixed, struct pack *pack)
{
    const bool *is_fixed = fixed->is_fixed;
    const double full_ah = pack->value[FULL_AH], current_a = pack->value[CURRENT_A];
    double sum_mv = 0;
    bool any_cell = false;
    for (int id = CELL_MV; id < CELL_MV + MAX_CELLS; id++) {
        any_cell |= is_fixed[id];
        sum_mv += pack_known(pack, (enum pack_value) id) ? pack->value[id] : 0;
    }
    if (any_cell && !is_fixed[VOLTAGE_V])
        pack_set(pack, VOLTAGE_V, sum_mv / 1000);
    if (full_ah > 0 && is_fixed[SOC_PERCENT] && !is_fixed[REMAINING_AH])
        pack_set(pack, REMAINING_AH, pack->value[SOC_PERCENT] * full_ah / 100);
    else if (full_ah > 0 && !is_fixed[SOC_PERCENT] && (is_fixed[REMAINING_AH] || is_fixed[FULL_AH]))
        pack_set(pack, SOC_PERCENT, 100 * pack->value[REMAINING_AH] / full_ah);
    if (pack_known(pack, CURRENT_A))
        pack_set(pack, FLOW,
                 current_a > 0   ? FLOW_CHARGING
                 : current_a < 0 ? FLOW_DISCHARGING
                                 : FLOW_IDLE);
}

void simulator_fixed_apply(const struct simulator_fixed *fixed, struct pack *pack)
{
    static const enum pack_value derived[] = {POWER_W,       CELL_MAX_MV, CELL_MIN_MV, CELL_AVG_MV,
                                              CELL_DELTA_MV, TEMP_AVG_C,  BALANCING};
    put_fixed(fixed, pack);
    follow(fixed, pack);
    for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++)
        pack_unset(pack, derived[i]);
    pack_derive(pack);
    put_fixed(fixed, pack);
    pack->alarms_warning = (pack->alarms_warning & ~fixed->alarms) | fixed->alarms_warning;
    pack->alarms_protection = (pack->alarms_protection & ~fixed->alarms) | fixed->alarms_protection;
    for (int i = 0; i < PACK_TEXTS; i++)
        if (fixed->text_is_fixed[i])
            memcpy(pack->text[i], fixed->text[i], TEXT_SIZE);
}
