// SPDX-License-Identifier: MIT
/* Makes of a pack or a bank what inverters are to see (bms/inverter/shown.h). Pure. */
#ifndef PACKGATE_PACKS_SHOW_H
#define PACKGATE_PACKS_SHOW_H

#include "source.h"

#include "bms/inverter/shown.h"

/** A source with [limits], as it is at `now`. Without fresh values nothing is allowed, and shown->stopping is set. What
 * follows by arithmetic from known values is filled in. */
void show_source(struct shown *shown, const struct source *source, double now);

#endif
