// SPDX-License-Identifier: MIT
/* The values that both protocols of ANT boards share. */
#include "ant_codes.h"

#include <math.h>

void ant_set_temp(struct pack *pack, unsigned n, int celsius)
{
    if (celsius != ANT_ABSENT_C)
        pack_set_temp(pack, n, celsius);
}

void ant_set_mos_temp(struct pack *pack, int celsius)
{
    if (celsius != ANT_ABSENT_C)
        pack_set(pack, MOS_TEMP_C, celsius);
}

void ant_set_current(const struct bms *bms, struct pack *pack, int tenths_a, int watts)
{
    bool turned = bms->options.current == BMS_CURRENT_INVERTED;
    bms_set_current(bms, pack, -(tenths_a / 10.0));
    if (watts != 0 || tenths_a == 0)
        pack_set(pack, POWER_W, turned ? (double) watts : -(double) watts);
}

int ant_told_temp(const struct pack *told, enum pack_value id)
{
    if (!pack_known(told, id))
        return ANT_ABSENT_C;
    return (int) round(told->value[id]);
}
