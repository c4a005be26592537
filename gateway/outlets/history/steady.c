// SPDX-License-Identifier: MIT
/* Decides whether the time of day can be trusted. */
#include "steady.h"

#include <math.h>

void steady_begin(struct steady *steady, double wall, double now, double newest)
{
    steady->offset = wall - now;
    steady->until =
        newest > 0 && wall - newest > STEADY_AWAY_S ? now + STEADY_AFTER_S : (double) -INFINITY;
}

bool steady_clock(struct steady *steady, double wall, double now)
{
    if (fabs(wall - now - steady->offset) > STEADY_JUMP_S)
        steady->until = now + STEADY_AFTER_S;
    steady->offset = wall - now;
    return now >= steady->until;
}
