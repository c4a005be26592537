// SPDX-License-Identifier: MIT
/*
 * The CAN frames that describe a battery to an inverter, one table per dialect. 11-bit identifiers,
 * 500 kbit/s, numbers with the low byte first; the whole set is sent each second. Follows the sheet
 * `inverter-can`.
 */
#pragma once

#include "table.h"

#define CAN_PERIOD_S 1.0 /* between two sets */

/* In each dialect, and always the same. */
#define CAN_BATTERY_NAME 0x35E

/* Sent by inverters; a battery sends its frames even without it. */
#define CAN_INVERTER_ALIVE 0x305
#define CAN_INVERTER_NAME 0x307

/** The dialects; the last one has no name. */
extern const struct table can_tables[];

/** NULL: unknown name. */
const struct table *can_table_find(const char *name);
