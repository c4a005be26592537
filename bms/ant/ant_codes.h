// SPDX-License-Identifier: MIT
/*
 * What both protocols of ANT boards share: the codes that say why a switch is off, and sensors that
 * are not fitted. Section 3 of the sheet `ant`.
 */
#ifndef PACKGATE_BMS_ANT_ANT_CODES_H
#define PACKGATE_BMS_ANT_ANT_CODES_H

#include "bms/driver.h"

#define ANT_ABSENT_C (-40) /* a sensor that is not fitted */

/* Codes of a switch; every other one is off for another reason. */
enum { ANT_OFF = 0, ANT_ON = 1, ANT_OFF_BY_HAND = 15 };

/** Sets sensor n (from 1), unless it is not fitted. */
void ant_set_temp(struct pack *pack, unsigned n, int celsius);

/** The same for the switches' sensor. */
void ant_set_mos_temp(struct pack *pack, int celsius);

/** Current and power from what the board counts as positive when it discharges. Some boards leave
 * the power at 0. */
void ant_set_current(const struct bms *bms, struct pack *pack, int tenths_a, int watts);

/** The highest or lowest cell as the board has it, which leaves open inputs out; only where its
 * number is one of `cells`. */
void ant_set_extreme(struct pack *pack, bool highest, unsigned mv, unsigned number, unsigned cells);

/** For simulated packs: -40 for a sensor that is not there. */
int ant_told_temp(const struct pack *told, enum pack_value id);

/** For simulated packs: a value in `per_unit`, as a 32 bit word. */
uint32_t ant_told(const struct pack *told, enum pack_value id, double per_unit);

#endif
