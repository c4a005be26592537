// SPDX-License-Identifier: MIT
/*
 * Shared by both protocols of ANT boards: the codes that say why a switch is off, and the value of
 * a missing sensor. Section 3 of the sheet `ant`.
 */
#pragma once

#include "bms/driver.h"

#define ANT_ABSENT_C (-40) /* °C, reported for a sensor that is not fitted */

/* Codes of a switch; all others mean that it is off for another reason. */
enum { ANT_OFF = 0, ANT_ON = 1, ANT_OFF_BY_HAND = 15 };

/** Sets sensor n (from 1), unless it is not fitted. */
void ant_set_temp(struct pack *pack, unsigned n, int celsius);

/** The same for the switches' sensor. */
void ant_set_mos_temp(struct pack *pack, int celsius);

/** Sets current and power; the board's current is positive when it discharges. Some boards leave
 * the power at 0. */
void ant_set_current(const struct bms *bms, struct pack *pack, int tenths_a, int watts);

/** For simulated packs: -40 for a missing sensor. */
int ant_told_temp(const struct pack *told, enum pack_value id);
