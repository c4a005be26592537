// SPDX-License-Identifier: MIT
/*
 * Frames on a CAN bus that tell an inverter of a battery, one table for each dialect. 11-bit identifiers, 500 kbit/s, numbers
 * with the low byte first; the whole set is sent each second. Follows the sheet `inverter-can`.
 */
#ifndef PACKGATE_BMS_CAN_H
#define PACKGATE_BMS_CAN_H

#include "table.h"

#define CAN_PERIOD_S 1.0 /* between two sets */

/* What inverters send; without them a battery goes on sending. */
#define CAN_INVERTER_ALIVE 0x305
#define CAN_INVERTER_NAME 0x307

/** The dialects; the last one has no name. */
extern const struct table can_tables[];

/** NULL: there is none of that name. */
const struct table *can_table_find(const char *name);

#endif
