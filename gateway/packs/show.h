// SPDX-License-Identifier: MIT
/* Converts a pack or a bank to the values that inverters receive (bms/inverter/shown.h). Pure. */
#pragma once

#include "source.h"

#include "bms/inverter/shown.h"
#include "config/config.h"

/** Converts a source with [limits], as of `now`. Without fresh values nothing is allowed, and
 * shown->stopping is set. Values that can be computed from known ones are filled in. */
void show_source(struct shown *shown, const struct source *source, double now);

/** Fills in what the BMS does not report, but the section sets: health, discharge voltage. */
void show_settings(struct shown *shown, const struct present_config *present);
