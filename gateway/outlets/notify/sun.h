// SPDX-License-Identifier: MIT
/*
 * When the sun rises and sets, by the equations of NOAA's solar calculator (after Meeus, Astronomical
 * Algorithms): the upper edge of the sun at a flat horizon, with the usual refraction of 34 minutes of
 * arc. Good to a minute between the polar circles. Pure.
 */
#pragma once

enum sun_side { SUN_RISES = -1, SUN_SETS = 1 };

/** Unix seconds at which it rises or sets on the day whose noon at that place is nearest to `noon`
 * (Unix seconds). Degrees, north and east positive. NaN: it does not on that day. */
double sun_crosses(enum sun_side side, double noon, double latitude, double longitude);
