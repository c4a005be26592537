// SPDX-License-Identifier: MIT
#include "spike.h"

#include <math.h>
#include <string.h>

/* What was learned of a value's moves is forgotten by half in about 2800 readings. */
#define KEPT_OF_MOVES (1 - 1.0 / 4096)
#define MOVES_MARGIN 1.5
#define LEARNING 100 /* readings, in which all moves that can be learned are believed */
/* Steps larger than hardly any load makes, and smaller than most of what damage makes of a current. */
#define LEAP_A 100
#define LEAP_W 5000
#define USUAL_PART 5   /* moves up to a fifth of the largest step can be learned as usual; */
#define SLOW_PART 0.02 /* any step up to this part of the value is believed */

enum kind {
    EXACT, /* states, counts and what hardly ever changes */
    SLOW,  /* capacities and limits */
    INDEX, /* which of equal cells is the highest may change with every reading */
    SOC,
    TEMPERATURE,
    VOLTAGE, /* this and all that follow swing with the load */
    CURRENT,
    POWER,
    CELL,
};

static const uint8_t kinds[CELL_MV] = {
    [VOLTAGE_V] = VOLTAGE,
    [CURRENT_A] = CURRENT,
    [POWER_W] = POWER,
    [SOC_PERCENT] = SOC,
    [REMAINING_AH] = SLOW,
    [CELL_MAX_MV] = CELL,
    [CELL_MIN_MV] = CELL,
    [CELL_DELTA_MV] = CELL,
    [CELL_AVG_MV] = CELL,
    [CELL_MAX_INDEX] = INDEX,
    [CELL_MIN_INDEX] = INDEX,
    [TEMP_AVG_C] = TEMPERATURE,
    [MOS_TEMP_C] = TEMPERATURE,
    [CHARGE_VOLTAGE_LIMIT_V] = SLOW,
    [CHARGE_CURRENT_LIMIT_A] = SLOW,
    [DISCHARGE_VOLTAGE_LIMIT_V] = SLOW,
    [DISCHARGE_CURRENT_LIMIT_A] = SLOW,
};

static enum kind kind_of(unsigned id)
{
    return id >= TEMP_C ? TEMPERATURE : id >= CELL_MV ? CELL : (enum kind) kinds[id];
}

/* The largest step that is believed at once with any check, in the unit of the value. */
static double largest_step(const struct spike_limits *limits, enum kind kind, double before)
{
    switch (kind) {
    case SOC:
        return limits->soc_percent;
    case VOLTAGE:
        return limits->voltage_percent * before / 100;
    case CELL:
        return limits->cell_mv;
    case TEMPERATURE:
        return limits->temperature_c;
    case CURRENT:
        return LEAP_A;
    case POWER:
        return LEAP_W;
    default:
        return INFINITY;
    }
}

/* The configuration turns the check off: any reading is believed. */
static bool is_turned_off(const struct spike_limits *limits, enum kind kind)
{
    return largest_step(limits, kind, 1) == 0;
}

/* The largest move that can be learned for a kind of value. */
static double largest_move(const struct spike_limits *limits, enum kind kind, double value)
{
    if (kind == INDEX)
        return MAX_CELLS;
    if (kind <= SLOW)
        return kind == SLOW ? SLOW_PART * fabs(value) : 0;
    return largest_step(limits, kind, value) / USUAL_PART;
}

/* How far the value is known to move; at first, as far as can be learned. */
static double usual_move(const struct spike *spike, const struct spike_limits *limits, unsigned id,
                         double value)
{
    return spike->readings < LEARNING ? largest_move(limits, kind_of(id), value) : spike->moves[id];
}

/* Whether a value may move only as far as it did before. A CRC-16 passes one in 65,536 of the worst
 * damaged frames: too many only for values that seldom change, where a repetition costs little. */
static bool is_watched(const struct spike_rules *rules, enum kind kind)
{
    return rules->weak || rules->noisy || kind <= INDEX;
}

static bool same_states(const struct pack *a, const struct pack *b)
{
    return a->alarms_known == b->alarms_known && a->alarms_warning == b->alarms_warning &&
           a->alarms_protection == b->alarms_protection &&
           a->raw_alarm_count == b->raw_alarm_count &&
           memcmp(a->raw_alarms, b->raw_alarms, a->raw_alarm_count * sizeof *a->raw_alarms) == 0 &&
           memcmp(a->text, b->text, sizeof a->text) == 0;
}

/* Whether a value moved further than is believed at once. */
static bool moved(const struct spike *spike, const struct spike_rules *rules,
                  const struct pack *before, const struct pack *reading)
{
    const bool doubts_first = rules->noisy || (rules->weak && rules->first);
    if (!before)
        return doubts_first;
    bool any = !same_states(before, reading);
    for (unsigned id = 0; id < PACK_VALUES && !any; id++) {
        const enum kind kind = kind_of(id);
        const double was = before->value[id], is = reading->value[id], step = fabs(is - was);
        if (was == is || (isnan(was) && isnan(is)) || is_turned_off(rules->limits, kind))
            continue;
        if (isnan(was) || isnan(is))
            any = isnan(is) || doubts_first;
        else
            any = step > largest_step(rules->limits, kind, was) ||
                  (is_watched(rules, kind) && step > usual_move(spike, rules->limits, id, was));
    }
    return any;
}

/* Whether it says the same again. */
static bool agree(const struct spike *spike, const struct spike_rules *rules,
                  const struct pack *before, const struct pack *doubtful,
                  const struct pack *reading)
{
    bool all = same_states(doubtful, reading);
    for (unsigned id = 0; id < PACK_VALUES && all; id++) {
        const enum kind kind = kind_of(id);
        const double was = before ? before->value[id] : NAN, first = doubtful->value[id],
                     is = reading->value[id];
        double apart = usual_move(spike, rules->limits, id, is);
        if (first == is || is_turned_off(rules->limits, kind))
            continue;
        if (kind >= VOLTAGE && !isnan(was))
            apart = fmax(apart, fmax(fabs(first - was), fabs(is - was)) / 4);
        if (!is_watched(rules, kind))
            apart = fmax(apart, largest_step(rules->limits, kind, is));
        all = isnan(first) || isnan(is) ? isnan(first) == isnan(is) : fabs(is - first) <= apart;
    }
    return all;
}

static void learn_move(struct spike *spike, const struct spike_limits *limits, unsigned id,
                       double before, double reading)
{
    float *moves = &spike->moves[id];
    double step = fabs(reading - before);
    *moves = (float) (*moves * KEPT_OF_MOVES);
    if (step == 0)
        return;
    double most = largest_move(limits, kind_of(id), before);
    if (step <= most)
        *moves = (float) fmax(*moves, fmin(step * MOVES_MARGIN, most));
}

static enum spike_verdict believe(struct spike *spike, const struct spike_limits *limits,
                                  const struct pack *before, const struct pack *reading,
                                  enum spike_verdict verdict)
{
    spike->readings += before && spike->readings < LEARNING;
    for (unsigned id = 0; before && id < PACK_VALUES; id++)
        if (!isnan(before->value[id]) && !isnan(reading->value[id]))
            learn_move(spike, limits, id, before->value[id], reading->value[id]);
    spike_drop(spike);
    return verdict;
}

/* The upper one of the two in the middle: two wrong values have no influence. NaN: a value is NaN. */
static double median_of(const double values[SPIKE_READINGS - 1])
{
    const unsigned count = SPIKE_READINGS - 1;
    for (unsigned i = 0; i < count; i++) {
        unsigned below = 0, above = 0;
        for (unsigned k = 0; k < count; k++) {
            below += values[k] < values[i];
            above += values[k] > values[i];
        }
        if (below <= count / 2 && above < count / 2)
            return values[i];
    }
    return NAN;
}

/* Readings that never agreed show how far a value moves. Without this, a pack whose values begin to
 * vary after a long rest would never be believed again. All of them may be damaged, each at another
 * place, so this uses the distance of half of them from their median. */
static void learn_from_doubtful(struct spike *spike, const struct spike_limits *limits)
{
    double readings[SPIKE_READINGS - 1];
    for (unsigned id = 0; id < PACK_VALUES; id++) {
        for (unsigned i = 0; i < SPIKE_READINGS - 1; i++)
            readings[i] = spike->doubtful[i].value[id];
        double middle = median_of(readings);
        for (unsigned i = 0; i < SPIKE_READINGS - 1; i++)
            readings[i] = fabs(readings[i] - middle);
        double apart = median_of(readings);
        if (!isnan(apart))
            learn_move(spike, limits, id, middle, middle + 3 * apart / MOVES_MARGIN);
    }
}

enum spike_verdict spike_judge(struct spike *spike, const struct spike_rules *rules,
                               const struct pack *before, const struct pack *reading)
{
    if (!moved(spike, rules, before, reading) && (before || !spike->doubted))
        return believe(spike, rules->limits, before, reading,
                       spike->doubted ? SPIKE_REFUTED : SPIKE_BELIEVED);
    /* How many readings must agree. Two wrong bytes that cancel each other out pass a sum, and the next reply may be
     * damaged at one of them again. Over all frames of a gateway, two readings are too few, and so are three on a line
     * with much damage: in short frames with many unused bytes, three agreed once in ten million. If first values are
     * needed soon, two are enough. */
    const bool two = !rules->weak || (rules->awaited && !before && !rules->noisy);
    const unsigned wanted = two ? 2 : before && rules->noisy ? 4 : 3;
    unsigned agreeing = 1;
    for (unsigned i = 0; i < spike->doubted; i++)
        agreeing += agree(spike, rules, before, &spike->doubtful[i], reading);
    if (agreeing >= wanted)
        return believe(spike, rules->limits, before, reading,
                       spike->doubted >= agreeing ? SPIKE_REFUTED : SPIKE_BELIEVED);
    if (spike->doubted == SPIKE_READINGS - 1) {
        /* A current can swing with each reading. Damage passes so often in a row only where there is much of it. */
        learn_from_doubtful(spike, rules->limits);
        if (!rules->weak || !rules->noisy)
            return believe(spike, rules->limits, before, reading, SPIKE_BELIEVED);
        spike_drop(spike);
        return SPIKE_UNSETTLED;
    }
    spike->doubtful[spike->doubted++] = *reading;
    return SPIKE_DOUBTED;
}

void spike_drop(struct spike *spike)
{
    spike->doubted = 0;
}
