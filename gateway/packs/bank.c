// SPDX-License-Identifier: MIT
#include "bank.h"

#include <math.h>

#define SMOOTH_S 300 /* time constant of the comparison with a shunt, and its first result */
/* Tolerance of a pack: BMS report small currents as 0, and their shunts are traces of a board. */
#define PACK_A 1.0
#define PACK_SHARE 0.03
/* Tolerance of a separate shunt. */
#define SHUNT_A 0.2
#define SHUNT_SHARE 0.01

/* The members that count. */
struct fresh {
    const struct bank_member *member[MAX_BANK_PACKS];
    unsigned number[MAX_BANK_PACKS]; /* position in the bank's list, from 1 */
    unsigned count;
};

enum rule {
    SUM,
    AVERAGE,
    LOWEST,
    HIGHEST,
    ALL_ON /* 0 when any is off, 1 when all are on */
};

/* Wear and heat are those of the worst pack; the strictest voltage limit holds for all. */
static const struct {
    enum pack_value id;
    enum rule rule;
} rules[] = {
    {VOLTAGE_V, AVERAGE},
    {CURRENT_A, SUM},
    {POWER_W, SUM},
    {REMAINING_AH, SUM},
    {FULL_AH, SUM},
    {RATED_AH, SUM},
    {CYCLES, HIGHEST},
    {MOS_TEMP_C, HIGHEST},
    {CHARGE_MOS, ALL_ON},
    {DISCHARGE_MOS, ALL_ON},
    {BALANCING, HIGHEST},
    {CHARGE_VOLTAGE_LIMIT_V, LOWEST},
    {DISCHARGE_VOLTAGE_LIMIT_V, HIGHEST},
};

static double reported(const struct fresh *fresh, unsigned i, enum pack_value id)
{
    return fresh->member[i]->pack->value[id];
}

/* Whether a pack reports the value that does not do so now. */
static bool is_awaited(const struct fresh *fresh, enum pack_value id)
{
    bool awaited = false;
    for (unsigned i = 0; i < fresh->count; i++) {
        const struct bank_member *member = fresh->member[i];
        awaited |= isnan(member->pack->value[id]) &&
                   (member->begins || (member->seen && member->seen->value[id]));
    }
    return awaited;
}

/* NaN: none of the packs reports the value, or the rule needs all of them. */
static double combined(const struct fresh *fresh, enum pack_value id, enum rule rule)
{
    double sum = 0, lowest = NAN, highest = NAN;
    unsigned known = 0;
    for (unsigned i = 0; i < fresh->count; i++) {
        const double value = reported(fresh, i, id);
        known += isnan(value) ? 0 : 1;
        sum += isnan(value) ? 0 : value;
        lowest = fmin(lowest, value); /* fmin returns the number if the other one is NaN */
        highest = fmax(highest, value);
    }
    const bool all = known == fresh->count;
    switch (rule) {
    case SUM:
        return all ? sum : NAN;
    case AVERAGE:
        return sum / known;
    case LOWEST:
        return is_awaited(fresh, id) ? NAN : lowest;
    case HIGHEST:
        return is_awaited(fresh, id) ? NAN : highest;
    case ALL_ON:
        return all || lowest <= 0 ? lowest : NAN;
    }
    return NAN;
}

/* NaN stays unknown, and does not count as a rejected value. */
static void set(struct pack *bank, enum pack_value id, double value)
{
    if (!isnan(value))
        pack_set(bank, id, value);
}

/* The weight of a pack: a value of it, else another one, else for capacities the configured one. */
static double weigh(const struct bank_member *member, enum pack_value id, enum pack_value or_id)
{
    const double *value = member->pack->value;
    if (value[id] > 0 || value[or_id] > 0)
        return value[id] > 0 ? value[id] : value[or_id];
    return id == FULL_AH || id == RATED_AH ? member->capacity_ah : NAN;
}

bool bank_weighs(const struct bank_member *member)
{
    return weigh(member, FULL_AH, RATED_AH) > 0;
}

/* If one of the packs that report the value has no weight, all weigh the same. NaN: none does. */
static double weighted_average(const struct fresh *fresh, enum pack_value id, enum pack_value by,
                               enum pack_value or_by)
{
    double sum = 0, weights = 0;
    for (unsigned i = 0; i < fresh->count; i++) {
        const double value = reported(fresh, i, id), weight = weigh(fresh->member[i], by, or_by);
        if (isnan(value))
            continue;
        if (!(weight > 0))
            return combined(fresh, id, AVERAGE);
        sum += value * weight;
        weights += weight;
    }
    return sum / weights;
}

/* A pack whose MOS is off carries no current, even if it still reports a limit. */
static double summed_limit(const struct fresh *fresh, enum pack_value limit, enum pack_value mos)
{
    double sum = 0;
    for (unsigned i = 0; i < fresh->count; i++)
        if (reported(fresh, i, mos) != 0)
            sum += reported(fresh, i, limit);
    return sum;
}

/* Whether the value of that pack is further than all before it. */
static bool extend(double value, bool high, unsigned pack, double *most, unsigned *most_pack)
{
    if (isnan(value) || (high ? value <= *most : value >= *most))
        return false;
    *most = value;
    *most_pack = pack;
    return true;
}

static void combine_cells(const struct fresh *fresh, struct pack *bank, struct map_bank *extras)
{
    const bool all_max = !is_awaited(fresh, CELL_MAX_MV), all_min = !is_awaited(fresh, CELL_MIN_MV);
    double highest = NAN, lowest = NAN;
    for (unsigned i = 0; i < fresh->count; i++) {
        if (all_max && extend(reported(fresh, i, CELL_MAX_MV), true, fresh->number[i], &highest,
                              &extras->cell_max_pack))
            bank->value[CELL_MAX_INDEX] = reported(fresh, i, CELL_MAX_INDEX);
        if (all_min && extend(reported(fresh, i, CELL_MIN_MV), false, fresh->number[i], &lowest,
                              &extras->cell_min_pack))
            bank->value[CELL_MIN_INDEX] = reported(fresh, i, CELL_MIN_INDEX);
    }
    set(bank, CELL_MAX_MV, highest);
    set(bank, CELL_MIN_MV, lowest);
}

static void combine_temperatures(const struct fresh *fresh, struct map_bank *extras)
{
    if (is_awaited(fresh, TEMP_AVG_C)) /* which is known if any sensor is */
        return;
    for (unsigned i = 0; i < fresh->count; i++)
        for (int id = TEMP_C; id < TEMP_C + MAX_TEMPS; id++) {
            const double celsius = reported(fresh, i, (enum pack_value) id);
            const unsigned number = fresh->number[i];
            extend(celsius, true, number, &extras->temp_max_c, &extras->temp_max_pack);
            extend(celsius, false, number, &extras->temp_min_c, &extras->temp_min_pack);
        }
}

/* Raw alarm words are not combined: each protocol has its own. */
static void combine_alarms(const struct fresh *fresh, const struct map_bank *extras,
                           struct pack *bank)
{
    uint32_t warning = 0, protection = 0; /* bits that were not read */
    for (unsigned i = 0; i < fresh->count; i++) {
        const struct pack *pack = fresh->member[i]->pack;
        bank->alarms_known |= pack->alarms_known;
        bank->alarms_warning |= pack->alarms_warning;
        bank->alarms_protection |= pack->alarms_protection;
        bank->alarms_can_warn |= pack->alarms_can_warn;
        bank->alarms_can_protect |= pack->alarms_can_protect;
        warning |= fresh->member[i]->alarms.warning & ~pack->alarms_can_warn;
        protection |= fresh->member[i]->alarms.protection & ~pack->alarms_can_protect;
    }
    /* An alarm of a pack that could not be read does not end because the others have none. */
    warning &= ~bank->alarms_warning;
    protection &= ~bank->alarms_protection;
    bank->alarms_can_warn &= ~warning;
    bank->alarms_can_protect &= ~protection;
    bank->alarms_known &= ~(warning | protection) | bank->alarms_warning | bank->alarms_protection;
    pack_alarm_at(bank, COMMUNICATION_FAULT, ALARM_WARNING, extras->missing > 0);
}

void bank_combine(const struct bank_member *members, unsigned count, struct pack *bank,
                  struct map_bank *extras)
{
    struct fresh fresh = {.count = 0};
    for (unsigned i = 0; i < count; i++)
        if (members[i].fresh) {
            fresh.member[fresh.count] = &members[i];
            fresh.number[fresh.count++] = i + 1;
        }
    pack_clear(bank);
    *extras = (struct map_bank){.present = fresh.count,
                                .missing = count - fresh.count,
                                .needed = extras->needed,
                                .temp_max_c = NAN,
                                .temp_min_c = NAN,
                                .packs_current_a = NAN,
                                .packs_soc_percent = NAN};
    combine_alarms(&fresh, extras, bank);
    if (fresh.count == 0)
        return;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        set(bank, rules[i].id, combined(&fresh, rules[i].id, rules[i].rule));
    /* The charge of all packs, so it needs all of them, as a sum does. */
    if (!isnan(combined(&fresh, SOC_PERCENT, SUM)))
        set(bank, SOC_PERCENT, weighted_average(&fresh, SOC_PERCENT, FULL_AH, RATED_AH));
    /* By the capacity when new. */
    set(bank, SOH_PERCENT, weighted_average(&fresh, SOH_PERCENT, RATED_AH, FULL_AH));
    set(bank, CELL_AVG_MV, weighted_average(&fresh, CELL_AVG_MV, CELL_COUNT, CELL_COUNT));
    set(bank, TEMP_AVG_C, weighted_average(&fresh, TEMP_AVG_C, TEMP_COUNT, TEMP_COUNT));
    set(bank, CHARGE_CURRENT_LIMIT_A, summed_limit(&fresh, CHARGE_CURRENT_LIMIT_A, CHARGE_MOS));
    set(bank, DISCHARGE_CURRENT_LIMIT_A,
        summed_limit(&fresh, DISCHARGE_CURRENT_LIMIT_A, DISCHARGE_MOS));
    combine_cells(&fresh, bank, extras);
    combine_temperatures(&fresh, extras);
    pack_derive(bank);
}

static void replace_value(struct pack *bank, enum pack_value id, double value)
{
    pack_unset(bank, id);
    set(bank, id, value);
}

/* The remaining capacity follows the shunt's state of charge, which the packs' would contradict. */
void shunt_apply(const struct pack *measured, struct pack *bank, struct map_bank *extras)
{
    extras->packs_current_a = bank->value[CURRENT_A];
    extras->packs_soc_percent = bank->value[SOC_PERCENT];
    const double soc = measured ? measured->value[SOC_PERCENT] : (double) NAN;
    const double full_ah = bank->value[FULL_AH] > 0 ? bank->value[FULL_AH] : bank->value[RATED_AH];
    replace_value(bank, CURRENT_A, measured ? measured->value[CURRENT_A] : (double) NAN);
    replace_value(bank, POWER_W, measured ? measured->value[POWER_W] : (double) NAN);
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
