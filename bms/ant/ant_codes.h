// SPDX-License-Identifier: MIT
/*
 * Shared by both protocols of ANT boards: the codes that say why a switch is off, the value of a
 * missing sensor, the sign of the current. Section 3 of the sheet `ant`.
 */
#pragma once

#include "bms/driver.h"

#include <math.h>

#define ANT_ABSENT_C (-40) /* °C, reported for a sensor that is not fitted */

/* Codes of a switch; all others mean that it is off for another reason. */
enum { ANT_ON = 1, ANT_OFF_BY_HAND = 15 };

/** Sets the temperature of a sensor, unless it is not fitted. */
static inline void ant_set_temp(struct pack *pack, enum pack_value id, int celsius)
{
    if (celsius != ANT_ABSENT_C)
        pack_set(pack, id, celsius);
}

/** Sets current and power, of which positive ones discharge. Some boards leave the power at 0. */
static inline void ant_set_current(const struct bms *bms, struct pack *pack, int tenths_a,
                                   int watts)
{
    bms_set(bms, pack, CURRENT_A, -(tenths_a / 10.0));
    if (watts != 0 || tenths_a == 0)
        bms_set(bms, pack, POWER_W, -(double) watts);
}

/** For simulated packs: -40 for a missing sensor. */
static inline int ant_told_temp(const struct pack *told, enum pack_value id)
{
    return pack_known(told, id) ? (int) round(told->value[id]) : ANT_ABSENT_C;
}
