// SPDX-License-Identifier: MIT
/*
 * The limits that a master was told, for people who look at the status: read back from the answer itself, rounded as it has them. Pure.
 */
#ifndef PACKGATE_OUTLETS_PRESENT_TOLD_LIMITS_H
#define PACKGATE_OUTLETS_PRESENT_TOLD_LIMITS_H

#include "modbus/units.h"

#include "bms/pack.h"

#define TOLD_LIMITS_TEXT 64

struct told_limits {
    bool any; /* the answer had one of them */
    /* NaN: it was not in the answer, or unknown. The switches are 0 or 1, in place of currents that a
     * protocol does not have. */
    double charge_v, charge_a, discharge_a, charge_switch, discharge_switch;
};

/** Those among `range` of a unit, as its registers are now. Limits from [limits] go before those of the BMS. */
struct told_limits told_limits_read(const struct unit *unit, const struct mbap_range *range);

/** Those among the values that were decoded from an answer in a battery's own protocol. */
struct told_limits told_limits_of(const struct pack *decoded);

/** "charge 30 A up to 54 V, discharge 80 A", with all digits that a protocol of batteries can have; "charging on, discharging off". */
void told_limits_format(const struct told_limits *told, char out[TOLD_LIMITS_TEXT]);

#endif
