// SPDX-License-Identifier: MIT
#include "show.h"

#include "bms/count.h"

#include <math.h>
#include <stdio.h>

#define SOC_OFF_PERCENT 1 /* tolerated difference: many BMS round the state of charge */

/* A direction is switched on if current is allowed in it: with its MOS off, none is. */
static void set_direction(struct pack *values, enum pack_value limit, enum pack_value mos,
                          double allowed_a)
{
    pack_unset(values, limit);
    pack_unset(values, mos);
    if (isnan(allowed_a))
        return;
    pack_set(values, limit, allowed_a);
    pack_set(values, mos, allowed_a > 0);
}

/* Some protocols have no state of charge, only capacities: these must yield the same percentage. */
static void complete_capacities(struct pack *values, double capacity_ah)
{
    const double *value = values->value;
    if (isnan(value[FULL_AH]) && !isnan(value[RATED_AH]))
        pack_set(values, FULL_AH, value[RATED_AH]);
    if (isnan(value[FULL_AH]) && capacity_ah > 0)
        pack_set(values, FULL_AH, capacity_ah);
    if (isnan(value[SOC_PERCENT]) || !(value[FULL_AH] > 0))
        return;
    const double by_capacities = 100 * value[REMAINING_AH] / value[FULL_AH];
    if (!(fabs(by_capacities - value[SOC_PERCENT]) <= SOC_OFF_PERCENT))
        pack_set(values, REMAINING_AH, value[SOC_PERCENT] / 100 * value[FULL_AH]);
}

static void show_pack(struct shown *shown)
{
    const double *value = shown->values.value;
    double highest = NAN, lowest = NAN;
    for (int i = TEMP_C; i < TEMP_C + MAX_TEMPS; i++) {
        highest = fmax(highest, value[i]);
        lowest = fmin(lowest, value[i]);
    }
    shown_set(shown, SHOWN_TEMP_MAX_C, highest);
    shown_set(shown, SHOWN_TEMP_MIN_C, lowest);
    shown_set(shown, SHOWN_MOS_TEMP_C, value[MOS_TEMP_C]);
    shown_set(shown, SHOWN_PACKS, 1);
    shown_set(shown, SHOWN_MISSING, 0);
    for (unsigned id = SHOWN_CELL_MAX_PACK; id <= SHOWN_TEMP_MIN_PACK; id++)
        shown_set(shown, id, 1);
}

static void show_bank(struct shown *shown, const struct map_bank *bank)
{
    shown_set(shown, SHOWN_TEMP_MAX_C, bank->temp_max_c);
    shown_set(shown, SHOWN_TEMP_MIN_C, bank->temp_min_c);
    shown_set(shown, SHOWN_PACKS, bank->present);
    shown_set(shown, SHOWN_MISSING, bank->missing);
    const unsigned places[] = {bank->cell_max_pack, bank->cell_min_pack, bank->temp_max_pack,
                               bank->temp_min_pack};
    for (unsigned i = 0; i < COUNT(places); i++)
        shown_set(shown, SHOWN_CELL_MAX_PACK + i, places[i] > 0 ? places[i] : (double) NAN);
}

/* The number of packs whose MOS is off; NaN: unknown for some. */
static double count_blocking(const struct source *source, enum pack_value mos)
{
    double count = 0;
    if (!source->members)
        return 1 - source->values->value[mos];
    for (unsigned i = 0; i < source->member_count; i++)
        count +=
            source->members[i]->values ? 1 - source->members[i]->values->value[mos] : (double) NAN;
    return count;
}

void show_source(struct shown *shown, const struct source *source, double now)
{
    const bool fresh = source_fresh(source, now);
    const struct map_allowed allowed = map_allowed(&source->status, fresh);
    shown_clear(shown);
    shown->values = *source->values;
    shown->stopping = !fresh;
    struct pack *values = &shown->values;
    const bool known = allowed.configured;
    set_direction(values, CHARGE_CURRENT_LIMIT_A, CHARGE_MOS, known ? allowed.charge_current_a : 0);
    set_direction(values, DISCHARGE_CURRENT_LIMIT_A, DISCHARGE_MOS,
                  known ? allowed.discharge_current_a : 0);
    pack_unset(values, CHARGE_VOLTAGE_LIMIT_V);
    if (known && !isnan(allowed.charge_voltage_v))
        pack_set(values, CHARGE_VOLTAGE_LIMIT_V, allowed.charge_voltage_v);
    complete_capacities(values, source->capacity_ah);
    pack_derive(values);
    if (source->status.bank)
        show_bank(shown, source->status.bank);
    else
        show_pack(shown);
    shown_set(shown, SHOWN_BLOCKING_CHARGE, count_blocking(source, CHARGE_MOS));
    shown_set(shown, SHOWN_BLOCKING_DISCHARGE, count_blocking(source, DISCHARGE_MOS));
    shown_set(shown, SHOWN_CHARGED_WH, source->status.charged_wh);
    shown_set(shown, SHOWN_DISCHARGED_WH, source->status.discharged_wh);
    snprintf(shown->name, sizeof shown->name, "%s", source->name);
}

void show_settings(struct shown *shown, const struct present_config *present)
{
    struct pack *values = &shown->values;
    if (!isnan(present->soh_percent) && !pack_known(values, SOH_PERCENT))
        pack_set(values, SOH_PERCENT, present->soh_percent);
    if (!isnan(present->discharge_voltage_v) && !pack_known(values, DISCHARGE_VOLTAGE_LIMIT_V))
        pack_set(values, DISCHARGE_VOLTAGE_LIMIT_V, present->discharge_voltage_v);
}
