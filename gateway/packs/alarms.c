// SPDX-License-Identifier: MIT
#include "alarms.h"

#include <math.h>
#include <stdlib.h>

bool alarms_other_bms(int32_t before, int32_t bms)
{
    return before > 0 && bms > 0 && before != bms;
}

struct alarms alarms_after(struct alarms before, const struct pack *values, int32_t bms)
{
    if (alarms_other_bms(before.bms, bms))
        before = (struct alarms){0};
    const bool held = before.bms > 0 && (before.warning || before.protection);
    return (struct alarms){
        .warning = (before.warning & ~values->alarms_can_warn) | values->alarms_warning,
        .protection = (before.protection & ~values->alarms_can_protect) | values->alarms_protection,
        .bms = held ? before.bms : abs(bms),
    };
}

int alarms_level(struct alarms alarms, int alarm)
{
    return alarms.protection >> alarm & 1 ? ALARM_PROTECTION
           : alarms.warning >> alarm & 1  ? ALARM_WARNING
                                          : 0;
}

uint32_t alarms_changed(struct alarms before, struct alarms after)
{
    const uint32_t warned = before.warning & ~before.protection;
    const uint32_t warns = after.warning & ~after.protection;
    return (before.protection ^ after.protection) | (warned ^ warns);
}

bool alarms_has_cell(enum pack_alarm alarm)
{
    return alarm == CELL_OVER_VOLTAGE || alarm == CELL_UNDER_VOLTAGE || alarm == CELL_IMBALANCE;
}

int alarms_cell(enum pack_alarm alarm, const struct pack *values)
{
    const double *value = values->value;
    const bool high_is_further =
        value[CELL_MAX_MV] - value[CELL_AVG_MV] > value[CELL_AVG_MV] - value[CELL_MIN_MV];
    const bool high = alarm == CELL_OVER_VOLTAGE || (alarm == CELL_IMBALANCE && high_is_further);
    const double index = value[high ? CELL_MAX_INDEX : CELL_MIN_INDEX];
    return alarms_has_cell(alarm) && !isnan(index) ? (int) index : 0;
}

int alarms_sensor(enum pack_alarm alarm, const struct pack *values)
{
    const double *temp = &values->value[TEMP_C];
    const bool hot = alarm == CHARGE_OVER_TEMPERATURE || alarm == DISCHARGE_OVER_TEMPERATURE;
    const bool cold = alarm == CHARGE_UNDER_TEMPERATURE || alarm == DISCHARGE_UNDER_TEMPERATURE;
    int found = -1;
    for (int i = 0; (hot || cold) && i < MAX_TEMPS; i++)
        if (!isnan(temp[i]) && (found < 0 || (hot ? temp[i] > temp[found] : temp[i] < temp[found])))
            found = i;
    return found + 1;
}
