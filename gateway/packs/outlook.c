// SPDX-License-Identifier: MIT
#include "outlook.h"

#include <math.h>

#define SMOOTH_S 300  /* time constant: a short load must not change the outlook */
#define LONGEST_H 100 /* a longer time means that the current is too close to 0 */
#define UNKNOWN ((double) NAN)

void outlook_init(struct outlook *outlook)
{
    *outlook = (struct outlook){.mean_a = UNKNOWN};
}

void outlook_add(struct outlook *outlook, const struct pack *pack, double now)
{
    const double amps = pack->value[CURRENT_A];
    const double weight = 1 - exp(-fmax(now - outlook->at, 0) / SMOOTH_S);
    if (isnan(outlook->mean_a) || isnan(amps))
        outlook->mean_a = amps;
    else
        outlook->mean_a += weight * (amps - outlook->mean_a);
    outlook->at = now;
}

static double full_ah(const struct pack *pack, double capacity_ah)
{
    const double *value = pack->value;
    const double full = value[FULL_AH] > 0    ? value[FULL_AH]
                        : value[RATED_AH] > 0 ? value[RATED_AH]
                                              : capacity_ah;
    return full > 0 ? full : UNKNOWN;
}

static double remaining_ah(const struct pack *pack, double capacity_ah)
{
    const double remaining = pack->value[REMAINING_AH];
    return isnan(remaining) ? full_ah(pack, capacity_ah) * pack->value[SOC_PERCENT] / 100
                            : remaining;
}

static double seconds(double ah, double amps)
{
    const double hours = fmax(ah, 0) / amps;
    return amps > 0 && hours <= LONGEST_H && !isnan(ah) ? hours * 3600 : UNKNOWN;
}

double outlook_full_s(const struct outlook *outlook, const struct pack *pack, double capacity_ah)
{
    return seconds(full_ah(pack, capacity_ah) - remaining_ah(pack, capacity_ah), outlook->mean_a);
}

double outlook_empty_s(const struct outlook *outlook, const struct pack *pack, double capacity_ah)
{
    return seconds(remaining_ah(pack, capacity_ah), -outlook->mean_a);
}
