// SPDX-License-Identifier: MIT
/* Converts a pack or a bank to the values that inverters receive (bms/inverter/shown.h). Pure. */
#pragma once

#include "source.h"

#include "bms/inverter/shown.h"

/** Converts a source with [limits], as of `now`. Without fresh values nothing is allowed, and
 * shown->stopping is set. Values that can be computed from known ones are filled in. */
void show_source(struct shown *shown, const struct source *source, double now);
