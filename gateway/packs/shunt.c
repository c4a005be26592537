// SPDX-License-Identifier: MIT
/* A shunt beside the packs of a bank. */
#include "shunt.h"

#include <math.h>

#define SMOOTH_S 300 /* time constant of the comparison, and its first result */
/* Tolerance of a pack: BMS report small currents as 0, and their shunts are traces of a board. */
#define PACK_A 1.0
#define PACK_SHARE 0.03
/* Tolerance of a separate shunt. */
#define SHUNT_A 0.2
#define SHUNT_SHARE 0.01
#define UNKNOWN ((double) NAN)

void shunt_init(struct shunt *shunt)
{
    *shunt = (struct shunt){.differs_a = UNKNOWN};
}

static void replace_value(struct pack *bank, enum pack_value id, double value)
{
    pack_unset(bank, id);
    if (!isnan(value))
        pack_set(bank, id, value);
}

/* The remaining capacity is computed from the shunt's state of charge: that of the packs would
 * contradict it. */
void shunt_apply(const struct pack *measured, struct pack *bank, struct map_bank *extras)
{
    extras->packs_current_a = bank->value[CURRENT_A];
    extras->packs_soc_percent = bank->value[SOC_PERCENT];
    const double soc = measured ? measured->value[SOC_PERCENT] : UNKNOWN;
    const double full_ah = bank->value[FULL_AH] > 0 ? bank->value[FULL_AH] : bank->value[RATED_AH];
    replace_value(bank, CURRENT_A, measured ? measured->value[CURRENT_A] : UNKNOWN);
    replace_value(bank, POWER_W, measured ? measured->value[POWER_W] : UNKNOWN);
    replace_value(bank, SOC_PERCENT, soc);
    replace_value(bank, REMAINING_AH, full_ah * soc / 100);
    if (measured)
        pack_derive(bank);
    else
        pack_alarm_at(bank, COMMUNICATION_FAULT, ALARM_WARNING, true);
}

static void smooth(double *mean, double value, double weight)
{
    *mean += weight * (value - *mean);
}

void shunt_compare(struct shunt *shunt, const struct pack *measured,
                   const struct bank_member *members, unsigned count, double now)
{
    const double amps = measured->value[CURRENT_A];
    double differs_a = amps, may_a = SHUNT_A + SHUNT_SHARE * fabs(amps);
    for (unsigned i = 0; i < count; i++) {
        const double pack_a = members[i].pack->value[CURRENT_A];
        differs_a -= pack_a;
        may_a += PACK_A + PACK_SHARE * fabs(pack_a);
    }
    if (isnan(differs_a))
        return;
    if (isnan(shunt->differs_a))
        *shunt = (struct shunt){.differs_a = differs_a, .may_a = may_a, .since = now, .at = now};
    if (!(now > shunt->at))
        return;
    /* The first comparisons are averaged, so that the very first one does not dominate. */
    const double weight = fmin((now - shunt->at) / fmin(now - shunt->since, SMOOTH_S), 1);
    smooth(&shunt->differs_a, differs_a, weight);
    smooth(&shunt->may_a, may_a, weight);
    shunt->at = now;
    if (now - shunt->since >= SMOOTH_S)
        shunt->differs = fabs(shunt->differs_a) > shunt->may_a;
}
