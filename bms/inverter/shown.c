// SPDX-License-Identifier: MIT
/* A battery as presented to an inverter. */
#include "shown.h"

#include <math.h>
#include <string.h>

void shown_clear(struct shown *shown)
{
    memset(shown, 0, sizeof *shown);
    pack_clear(&shown->values);
    for (unsigned i = 0; i < SHOWN_NUMBERS - PACK_VALUES; i++)
        shown->number[i] = NAN;
    shown_stop(shown, 0);
}

void shown_stop(struct shown *shown, double discharge_a)
{
    struct pack *values = &shown->values;
    shown->stopping = true;
    pack_set(values, CHARGE_CURRENT_LIMIT_A, 0);
    pack_set(values, CHARGE_MOS, 0);
    pack_set(values, DISCHARGE_CURRENT_LIMIT_A, discharge_a);
    pack_set(values, DISCHARGE_MOS, discharge_a > 0);
}
