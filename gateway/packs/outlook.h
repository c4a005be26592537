// SPDX-License-Identifier: MIT
/* When a pack or a bank will be full or empty at the average current of the last minutes. */
#pragma once

#include "registers/map.h"

struct outlook {
    double mean_a; /* smoothed current; NaN: unknown */
    double at;     /* of the last poll cycle */
};

void outlook_init(struct outlook *outlook);

/** Call it with each poll cycle. */
void outlook_add(struct outlook *outlook, const struct pack *pack, double now);

/** Seconds until `pack` is full or empty; `capacity_ah` as configured, for packs that do not report
 * theirs, or 0. NaN: the current flows the other way or is close to 0, or a value is unknown. */
double outlook_full_s(const struct outlook *outlook, const struct pack *pack, double capacity_ah);
double outlook_empty_s(const struct outlook *outlook, const struct pack *pack, double capacity_ah);
