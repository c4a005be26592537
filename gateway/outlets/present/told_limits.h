// SPDX-License-Identifier: MIT
/*
 * The limits in the answers to a master, for the status. They are decoded from the answer itself, so they are rounded as in the
 * answer. Pure.
 */
#pragma once

#include "modbus/units.h"

#include "bms/pack.h"

#define TOLD_LIMITS_TEXT 64

struct told_limits {
    bool any; /* the answer contained at least one limit */
    /* NaN: not in the answer, or unknown. Switches are 0 or 1, for protocols that report a switch
     * rather than a current. */
    double charge_v, charge_a, discharge_a, charge_switch, discharge_switch;
};

/** Reads the limits in `range` from the current registers of a unit. Limits of [limits] take precedence over those of the BMS. */
struct told_limits told_limits_read(const struct unit *unit, const struct mbap_range *range);

/** Reads the limits from the values that were decoded from an answer in a BMS's own protocol. */
struct told_limits told_limits_of(const struct pack *decoded);

/** Writes "charge 30 A up to 54 V, discharge 80 A", with all digits that such protocols have, or "charging on, discharging off". */
void told_limits_format(const struct told_limits *told, char out[TOLD_LIMITS_TEXT]);
