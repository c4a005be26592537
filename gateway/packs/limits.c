// SPDX-License-Identifier: MIT
#include "limits.h"

#include <math.h>

#define FULL_UNTIL_S 5  /* age from which the limits decrease */
#define RISE_BAND 0.015 /* of the maximum: smaller differences do not raise the limit */
#define RISE_AFTER_S 30 /* delay before a limit rises */
#define RISE_A_PER_S 5
#define SHARES_FROM 0.1  /* of the maximum: with less current, shares are noise of the shunts */
#define OFF_CARRIES 0.02 /* of the maximum of a pack: a shunt may report this without a current */
#define CELL_V_PER_S 1e-3
#define BALANCED_V 0.010   /* largest spread of full cells, and their distance below full */
#define UNBALANCED_V 0.080 /* spread that ends float */
#define FLOAT_AFTER_S (15 * 60)
#define LOWER_PER_S 0.2    /* of the excess of a cell over full + BALANCED_V */
#define RELEASE_AFTER_S 60 /* after the last cell above full */

/* The limit of a pack in one direction. */
struct part {
    double amps;
    enum limit_reason reason;
    unsigned pack; /* the limiting pack of a bank, from 1; 0: no single one */
};

/* What an update computes from. */
struct input {
    const struct limits_config *config;
    const struct limits_pack *packs;
    unsigned count;
    struct limits_state *state;
    double now;
};

#define ALARM_BIT(alarm) (1u << (alarm))
#define ONLY_CHARGE                                                                                \
    (ALARM_BIT(CELL_OVER_VOLTAGE) | ALARM_BIT(PACK_OVER_VOLTAGE) |                                 \
     ALARM_BIT(CHARGE_OVER_CURRENT) | ALARM_BIT(CHARGE_OVER_TEMPERATURE) |                         \
     ALARM_BIT(CHARGE_UNDER_TEMPERATURE) | ALARM_BIT(SOC_HIGH) | ALARM_BIT(CHARGE_MOS_FAULT))
#define ONLY_DISCHARGE                                                                             \
    (ALARM_BIT(CELL_UNDER_VOLTAGE) | ALARM_BIT(PACK_UNDER_VOLTAGE) |                               \
     ALARM_BIT(DISCHARGE_OVER_CURRENT) | ALARM_BIT(DISCHARGE_OVER_TEMPERATURE) |                   \
     ALARM_BIT(DISCHARGE_UNDER_TEMPERATURE) | ALARM_BIT(SOC_LOW) | ALARM_BIT(DISCHARGE_MOS_FAULT))

/* An empty pack must be chargeable and a full one dischargeable; other protections stop both. */
static const struct {
    enum pack_value limit, mos;
    uint32_t other_alarms; /* alarms that stop only the other direction */
} directions[] = {
    [LIMITS_CHARGE] = {CHARGE_CURRENT_LIMIT_A, CHARGE_MOS, ONLY_DISCHARGE},
    [LIMITS_DISCHARGE] = {DISCHARGE_CURRENT_LIMIT_A, DISCHARGE_MOS, ONLY_CHARGE},
};

void limits_init(struct limits_state *state, const struct limits_config *config, double now)
{
    *state = (struct limits_state){.at = now,
                                   .fresh_at = -INFINITY,
                                   .cell_v = config->cell_float_v,
                                   .full_since = NAN,
                                   .excess_at = -INFINITY};
    for (int i = 0; i < LIMITS_DIRECTIONS; i++)
        state->ramps[i].waits_since = NAN;
}

/* The share at a value; NaN for NaN. */
static double limits_share(const struct curve *curve, double value)
{
    const struct curve_point *point = curve->points, *last = point + curve->count - 1;
    if (isnan(value))
        return NAN;
    if (value <= point->at)
        return point->share;
    for (; point < last; point++)
        if (value < point[1].at)
            return point->share + (point[1].share - point->share) * (value - point->at) /
                                      (point[1].at - point->at);
    return last->share;
}

/* Lowers the limit to `amps`; NaN is unknown and allows nothing. False: it is not lower. */
static bool lower(struct part *part, double amps, enum limit_reason reason)
{
    if (amps >= part->amps)
        return false;
    *part = isnan(amps) ? (struct part){0, LIMITED_BY_UNKNOWN, 0}
                        : (struct part){fmax(amps, 0), reason, 0};
    return true;
}

/* An optional value: NaN if the pack has reported it before, `otherwise` if it never has. */
static double optional(const struct pack *pack, enum pack_value id, double otherwise,
                       const struct limits_member *member)
{
    return pack_known(pack, id) || member->seen.value[id] ? pack->value[id] : otherwise;
}

struct span {
    double lowest, highest;
};

static const struct span unknown_span = {NAN, NAN};

/* The extremes of the BMS, and of all cells if it reports cells; unknown if one is missing. */
static struct span cells_v(const struct pack *pack, unsigned cells)
{
    struct span span = {pack->value[CELL_MIN_MV], pack->value[CELL_MAX_MV]};
    unsigned known = 0;
    if (pack->value[CELL_COUNT] != cells || isnan(span.lowest) || isnan(span.highest))
        return unknown_span;
    for (int i = 0; i < MAX_CELLS; i++) {
        known += pack_known(pack, (enum pack_value)(CELL_MV + i));
        span.lowest = fmin(span.lowest, pack->value[CELL_MV + i]);
        span.highest = fmax(span.highest, pack->value[CELL_MV + i]);
    }
    if (known != 0 && known != cells)
        return unknown_span;
    return (struct span){span.lowest / 1000, span.highest / 1000};
}

static double temperature_share(const struct limits_config *config, const struct pack *pack,
                                const struct limits_member *member)
{
    unsigned known = 0;
    double share = 1;
    for (int id = TEMP_C; id < TEMP_C + MAX_TEMPS; id++) {
        const bool is_known = pack_known(pack, (enum pack_value) id);
        known += is_known;
        if (!is_known && member->seen.value[id])
            return NAN;
        /* fmin(NaN, number) is the number */
        share = fmin(share, limits_share(&config->temperature, pack->value[id]));
    }
    return known < config->sensors ? NAN : share;
}

/* 0 while a protection is active, NaN while one cannot be read that could be read before. */
static double alarm_share(const struct pack *pack, const struct limits_member *member,
                          uint32_t other_alarms)
{
    if (member->alarms.protection & ~other_alarms)
        return 0;
    return member->seen.protections & ~pack->alarms_can_protect & ~other_alarms ? NAN : 1;
}

static struct part limit_pack(const struct input *input, unsigned number,
                              enum limits_direction direction, double most)
{
    const struct limits_config *config = input->config;
    const struct pack *pack = input->packs[number].values;
    const struct limits_member *member = &input->state->members[number];
    const bool charges = direction == LIMITS_CHARGE;
    const struct span cells = cells_v(pack, config->cells);
    const struct curve *soc = charges ? &config->soc_high : &config->soc_low;
    struct part part = {most, LIMITED_BY_CONFIGURATION, 0};
    lower(&part, optional(pack, directions[direction].limit, most, member), LIMITED_BY_BMS);
    if (charges)
        lower(&part, most * limits_share(&config->cell_high, cells.highest), LIMITED_BY_CELL_HIGH);
    else
        lower(&part, most * limits_share(&config->cell_low, cells.lowest), LIMITED_BY_CELL_LOW);
    lower(&part, most * temperature_share(config, pack, member), LIMITED_BY_TEMPERATURE);
    if (config->mos_temperature.count > 0)
        lower(&part, most * limits_share(&config->mos_temperature, pack->value[MOS_TEMP_C]),
              LIMITED_BY_MOS);
    if (soc->count > 0)
        lower(&part, most * limits_share(soc, pack->value[SOC_PERCENT]), LIMITED_BY_SOC);
    const double soc_percent = pack->value[SOC_PERCENT], ceiling = config->soc_ceiling_percent;
    if (charges && !input->state->fills && ceiling > 0 && !(soc_percent < ceiling))
        lower(&part, isnan(soc_percent) ? NAN : 0, LIMITED_BY_SOC);
    const double mos = optional(pack, directions[direction].mos, 1, member);
    if (!(mos > 0))
        lower(&part, isnan(mos) ? NAN : 0, LIMITED_BY_MOS);
    lower(&part, most * alarm_share(pack, member, directions[direction].other_alarms),
          LIMITED_BY_ALARM);
    return part;
}

/* 1 at first, then decreasing to 0 at the age at which the values are stale. */
static double freshness(const struct limits_pack *pack)
{
    if (!(pack->age_s < pack->stale_after_s))
        return 0;
    if (pack->age_s <= FULL_UNTIL_S)
        return 1;
    return (pack->stale_after_s - pack->age_s) / (pack->stale_after_s - FULL_UNTIL_S);
}

/* With on_stale = discharge the discharge limit does not decrease while the values age. */
static double freshness_for(const struct input *input, enum limits_direction direction,
                            unsigned number)
{
    return direction == LIMITS_DISCHARGE && input->config->on_stale == STALE_DISCHARGE
               ? 1
               : freshness(&input->packs[number]);
}

static bool is_usable(const struct limits_pack *pack)
{
    return pack->fresh && pack->age_s >= 0 && freshness(pack) > 0;
}

/* The freshness of the `needed` freshest packs: that of the oldest of them. */
static double freshness_of_needed(const struct input *input, enum limits_direction direction,
                                  unsigned needed)
{
    const struct limits_pack *packs = input->packs;
    double most = 0;
    for (unsigned i = 0; i < input->count; i++) {
        unsigned as_fresh = 0;
        for (unsigned n = 0; n < input->count; n++)
            as_fresh += is_usable(&packs[n]) && freshness(&packs[n]) >= freshness(&packs[i]);
        if (is_usable(&packs[i]) && as_fresh >= needed)
            most = fmax(most, freshness_for(input, direction, i));
    }
    return most;
}

static double directed(const struct pack *pack, enum limits_direction direction)
{
    const double amps = pack->value[CURRENT_A];
    return isnan(amps) ? NAN : fmax(direction == LIMITS_CHARGE ? amps : -amps, 0);
}

/* Updates the shares of the connected packs: measured while enough current flows, kept while less
 * does, and equal until they were measured for these packs. False: a current is unknown. */
static bool measure_shares(const struct input *input, double most, enum limits_direction direction)
{
    const struct limits_pack *packs = input->packs;
    struct limits_state *state = input->state;
    uint32_t connected = 0;
    double total = 0;
    /* A pack whose MOS is off carries no current. It counts as disconnected only if the BMS reports
     * the MOS as off and no current flows beyond what its shunt may report without one. */
    for (unsigned i = 0; i < input->count; i++) {
        const double amps = directed(packs[i].values, direction);
        const bool off = packs[i].values->value[directions[direction].mos] == 0;
        if (is_usable(&packs[i]) && !(off && amps <= OFF_CARRIES * most / input->count)) {
            connected |= 1u << i;
            total += amps;
        }
    }
    if (isnan(total))
        return false;
    const bool flows = total >= SHARES_FROM * most;
    for (unsigned i = 0; i < input->count; i++) {
        double *share = &state->members[i].share[direction];
        if (!(connected >> i & 1))
            continue;
        if (flows)
            *share = directed(packs[i].values, direction) / total;
        else if (connected != state->shared[direction])
            *share = 1.0 / __builtin_popcount(connected);
    }
    state->shared[direction] = connected;
    return true;
}

/* The pack's own [limits] section applies in a bank, too. It already includes the freshness. */
static void lower_to_own(struct part *part, const struct map_allowed *own,
                         enum limits_direction direction)
{
    if (own && direction == LIMITS_CHARGE)
        lower(part, own->charge_current_a, own->charge_limited_by);
    else if (own)
        lower(part, own->discharge_current_a, own->discharge_limited_by);
}

/* The highest current of the bank at which no pack exceeds its limit. */
static void limit_by_weakest(const struct input *input, const struct part *parts,
                             enum limits_direction direction, struct part *bank)
{
    const struct limits_state *state = input->state;
    for (unsigned i = 0; i < input->count; i++) {
        if (!(state->shared[direction] >> i & 1))
            continue;
        const double share = state->members[i].share[direction];
        const enum limit_reason reason =
            parts[i].reason == LIMITED_BY_CONFIGURATION ? LIMITED_BY_IMBALANCE : parts[i].reason;
        const double most = !(parts[i].amps > 0) ? 0 : share > 0 ? parts[i].amps / share : INFINITY;
        if (lower(bank, most, reason))
            bank->pack = i + 1;
    }
}

static struct part limit(const struct input *input, unsigned needed,
                         enum limits_direction direction, double most)
{
    const unsigned count = input->count;
    struct part parts[MAX_BANK_PACKS], least = {INFINITY, LIMITED_BY_PACK_MISSING, 0};
    double sum = 0;
    unsigned missing = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct limits_pack *pack = &input->packs[i];
        if (!is_usable(pack)) {
            missing++;
            continue;
        }
        parts[i] = limit_pack(input, i, direction, most / count);
        struct part now = parts[i];
        lower(&now, now.amps * freshness_for(input, direction, i), LIMITED_BY_STALE);
        lower_to_own(&now, pack->own, direction);
        lower_to_own(&parts[i], pack->own, direction);
        sum += now.amps;
        if (now.amps < least.amps)
            least = (struct part){now.amps, now.reason, i + 1};
    }
    struct part bank = {most, LIMITED_BY_CONFIGURATION, 0};
    lower(&bank, most * freshness_of_needed(input, direction, needed), LIMITED_BY_STALE);
    /* If the other packs allow nothing, the missing one is not the reason. */
    const bool misses = missing > 0 && sum > 0;
    if (lower(&bank, sum, misses ? LIMITED_BY_PACK_MISSING : least.reason) && !misses)
        bank.pack = least.pack;
    if (count > 1 && !measure_shares(input, most, direction))
        lower(&bank, NAN, LIMITED_BY_UNKNOWN);
    else if (count > 1)
        limit_by_weakest(input, parts, direction, &bank);
    return bank;
}

/* With on_stale = discharge and too few fresh packs: as before, but no more than these allow. */
static struct part limit_stale(const struct input *input, unsigned usable, double most)
{
    struct part part = {INFINITY, LIMITED_BY_STALE, 0};
    if (usable > 0)
        part = limit(input, 1, LIMITS_DISCHARGE, most);
    lower(&part, input->state->ramps[LIMITS_DISCHARGE].allowed_a, LIMITED_BY_STALE);
    return part;
}

static enum limit_reason follow_target(struct limits_ramp *ramp, struct part target, double most,
                                       double since, double now)
{
    const double band = RISE_BAND * most;
    /* After such a gap it is unknown whether more was allowed all the time. */
    if (now - since > FULL_UNTIL_S)
        ramp->waits_since = NAN;
    if (target.amps <= ramp->allowed_a) {
        *ramp = (struct limits_ramp){target.amps, NAN};
        return target.reason;
    }
    if (isnan(ramp->waits_since)) {
        if (target.amps - ramp->allowed_a <= band)
            return target.reason;
        ramp->waits_since = now;
    }
    const double rises_s = now - fmax(since, ramp->waits_since + RISE_AFTER_S);
    if (rises_s > 0)
        ramp->allowed_a += RISE_A_PER_S * rises_s;
    if (ramp->allowed_a < target.amps)
        return LIMITED_BY_RAMP;
    *ramp = (struct limits_ramp){target.amps, NAN};
    return target.reason;
}

/* Charges to full until the cells have been full and balanced for long enough, then to float. */
static void choose_float(const struct input *input, struct span cells, double spread, double soc)
{
    const struct limits_config *config = input->config;
    struct limits_state *state = input->state;
    const bool full = cells.highest >= config->cell_full_v - BALANCED_V && spread <= BALANCED_V;
    if (!full)
        state->full_since = NAN;
    else if (isnan(state->full_since))
        state->full_since = input->now;
    state->full = input->now - state->full_since >= FLOAT_AFTER_S;
    if (state->full)
        state->floating = true;
    if (spread > UNBALANCED_V || soc < config->soc_again_percent)
        state->floating = false;
}

/* A cell above full lowers the voltage at once by its excess, and more while it stays there. */
static double lowered(const struct input *input, double highest, double step)
{
    const struct limits_config *config = input->config;
    struct limits_state *state = input->state;
    const double excess = highest - config->cell_full_v;
    if (excess > 0)
        state->excess_at = input->now;
    if (excess > BALANCED_V)
        state->lowered_v += LOWER_PER_S * (excess - BALANCED_V) * step;
    else if (input->now - state->excess_at >= RELEASE_AFTER_S)
        state->lowered_v -= CELL_V_PER_S * step;
    /* Lowering below float would only delay the recovery after the cell is normal again. */
    const double most = config->cells * (config->cell_full_v - config->cell_float_v);
    state->lowered_v = fmin(fmax(state->lowered_v, 0), most);
    return fmax(excess, 0) + state->lowered_v;
}

/* Cells whose values are unknown do not count as full. */
static double reset_full(struct limits_state *state)
{
    state->full_since = NAN;
    state->full = false;
    return NAN;
}

static double limit_voltage(const struct input *input)
{
    const struct limits_config *config = input->config;
    struct limits_state *state = input->state;
    struct span all = {INFINITY, -INFINITY};
    double spread = 0, soc = INFINITY, most = INFINITY;
    const double step = fmin(input->now - state->at, FULL_UNTIL_S);
    bool known = false;
    for (unsigned i = 0; i < input->count; i++) {
        if (!is_usable(&input->packs[i]))
            continue;
        const struct pack *pack = input->packs[i].values;
        const struct span cells = cells_v(pack, config->cells);
        /* The limit of a BMS may still follow. Currents need no such care, they begin at 0. */
        const double limit_v =
            optional(pack, CHARGE_VOLTAGE_LIMIT_V, input->packs[i].begins ? NAN : INFINITY,
                     &state->members[i]);
        /* The pack's own [limits] section applies in a bank, too. */
        const struct map_allowed *own = input->packs[i].own;
        const double own_v = own ? own->charge_voltage_v : INFINITY;
        known = !isnan(cells.highest) && !isnan(limit_v) && !isnan(own_v);
        if (!known)
            break;
        all = (struct span){fmin(all.lowest, cells.lowest), fmax(all.highest, cells.highest)};
        spread = fmax(spread, cells.highest - cells.lowest);
        soc = fmin(soc, pack->value[SOC_PERCENT]); /* fmin(NaN, number) is the number */
        most = fmin(most, fmin(limit_v, own_v));
    }
    if (!known)
        return reset_full(state);
    choose_float(input, all, spread, soc);
    const double aim = state->floating ? config->cell_float_v : config->cell_full_v;
    state->cell_v = state->cell_v < aim ? fmin(state->cell_v + CELL_V_PER_S * step, aim)
                                        : fmax(state->cell_v - CELL_V_PER_S * step, aim);
    const double volts = config->cells * state->cell_v - lowered(input, all.highest, step);
    return fmin(fmax(volts, config->cells * config->cell_float_v), most);
}

struct map_allowed limits_update(const struct limits_config *config,
                                 const struct limits_pack *packs, unsigned count, unsigned needed,
                                 struct limits_state *state, double now)
{
    const double most[] = {config->charge_current_a, config->discharge_current_a};
    enum limit_reason reasons[LIMITS_DIRECTIONS];
    unsigned limiting[LIMITS_DIRECTIONS], usable = 0;
    bool discharges = config->on_stale == STALE_DISCHARGE;
    double oldest_s = NAN;
    now = fmax(now, state->at);
    for (unsigned i = 0; i < count; i++) {
        struct limits_member *member = &state->members[i];
        /* The own section of a pack applies in a bank: if it stops, the bank does. */
        discharges &= !packs[i].own || packs[i].own->discharges_stale;
        if (!is_usable(&packs[i]))
            continue;
        usable++;
        oldest_s = fmax(oldest_s, packs[i].age_s);
        member->alarms = alarms_after(member->alarms, packs[i].values, 0);
        seen_add(&member->seen, packs[i].values, packs[i].device);
    }
    if (usable >= needed)
        state->fresh_at = now;
    const struct input input = {config, packs, count, state, now};
    for (int i = 0; i < LIMITS_DIRECTIONS; i++) {
        const bool goes_on = i == LIMITS_DISCHARGE && discharges && usable < needed &&
                             now - state->fresh_at <= LIMITS_STOP_S;
        const struct part target = goes_on
                                       ? limit_stale(&input, usable, most[i])
                                       : limit(&input, needed, (enum limits_direction) i, most[i]);
        reasons[i] = follow_target(&state->ramps[i], target, most[i], state->at, now);
        limiting[i] = reasons[i] == LIMITED_BY_RAMP ? 0 : target.pack;
    }
    const double volts = usable < needed ? reset_full(state) : limit_voltage(&input);
    state->at = now;
    return (struct map_allowed){
        .configured = true,
        .charge_voltage_v = volts,
        .charge_current_a = state->ramps[LIMITS_CHARGE].allowed_a,
        .discharge_current_a = state->ramps[LIMITS_DISCHARGE].allowed_a,
        .discharges_stale = discharges,
        .charge_limited_by = reasons[LIMITS_CHARGE],
        .discharge_limited_by = reasons[LIMITS_DISCHARGE],
        .charge_limited_pack = limiting[LIMITS_CHARGE],
        .discharge_limited_pack = limiting[LIMITS_DISCHARGE],
        .age_s = oldest_s,
    };
}

/* In the process of an outlet a bank can have members whose values the outlet does not receive. */
static void find_cell(struct limited *limited, const struct pack *values)
{
    const bool high = limited->by == LIMITED_BY_CELL_HIGH;
    if (!values || (!high && limited->by != LIMITED_BY_CELL_LOW))
        return;
    const double index = values->value[high ? CELL_MAX_INDEX : CELL_MIN_INDEX];
    limited->cell = index > 0 ? (unsigned) index : 0;
    limited->cell_v = values->value[high ? CELL_MAX_MV : CELL_MIN_MV] / 1000;
}

struct limited limited_of(const struct source *source, const struct map_allowed *allowed,
                          enum limits_direction direction)
{
    const bool charges = direction == LIMITS_CHARGE;
    const unsigned pack = charges ? allowed->charge_limited_pack : allowed->discharge_limited_pack;
    struct limited limited = {
        .amps = charges ? allowed->charge_current_a : allowed->discharge_current_a,
        .by = charges ? allowed->charge_limited_by : allowed->discharge_limited_by,
        .cell_v = NAN,
    };
    if (!source->members)
        find_cell(&limited, source->values);
    else if (pack > 0 && pack <= source->member_count) {
        limited.pack = source->members[pack - 1]->name;
        find_cell(&limited, source->members[pack - 1]->values);
    }
    return limited;
}
