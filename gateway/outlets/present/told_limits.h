// SPDX-License-Identifier: MIT
/*
 * The limits that a master was told, for people who look at the status: read back from the registers of an answer, whatever their types
 * and scales. Pure.
 */
#ifndef PACKGATE_OUTLETS_PRESENT_TOLD_LIMITS_H
#define PACKGATE_OUTLETS_PRESENT_TOLD_LIMITS_H

#include "modbus/units.h"

#include "bms/pack.h"

#define TOLD_LIMITS_TEXT 64

struct told_limits {
    bool any;                               /* the answer had one of them */
    double charge_v, charge_a, discharge_a; /* NaN: it was not in the answer, or unknown */
};

/** Those among `range` of a unit, as its registers are now. Limits from [limits] go before those of the BMS. */
struct told_limits told_limits_read(const struct unit *unit, const struct mbap_range *range);

/** Those of a battery's own protocol. */
struct told_limits told_limits_of(const struct pack *shown);

/** "charge 30 A up to 54.0 V, discharge 80 A"; empty if all are unknown. */
void told_limits_format(const struct told_limits *told, char out[TOLD_LIMITS_TEXT]);

#endif
