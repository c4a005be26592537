// SPDX-License-Identifier: MIT
/*
 * The limits in the answers to a master, for the status: the values of a pack that were decoded from the answer itself, so they are
 * rounded as in the answer. Pure.
 */
#pragma once

#include "modbus/units.h"

#include "bms/pack.h"

#define TOLD_LIMITS_TEXT 64

/** Reads the limits in `range` from the current registers of a unit. Limits of [limits] take precedence over those of the BMS.
 * False: there is none. */
bool told_limits_read(const struct unit *unit, const struct mbap_range *range, struct pack *told);

/** The values that were decoded from an answer in a BMS's own protocol, or NULL if no limit is among them. */
const struct pack *told_limits_of(const struct pack *decoded);

/** Writes "charge 30 A up to 54 V, discharge 80 A", with all digits that such protocols have, or, for protocols that report a
 * switch rather than a current, "charging on, discharging off". "unknown": none of them is known. */
void told_limits_format(const struct pack *told, char out[TOLD_LIMITS_TEXT]);
