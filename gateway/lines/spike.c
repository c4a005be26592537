// SPDX-License-Identifier: MIT
/* Spikes are held back. */
#include "spike.h"

#include <math.h>
#include <string.h>

enum kind { SOC, VOLTAGE, CELLS, TEMPERATURES, KINDS };

/* A run of values with one limit. */
static const struct run {
    enum pack_value first, last;
    enum kind kind;
} runs[] = {
    {VOLTAGE_V, VOLTAGE_V, VOLTAGE},
    {SOC_PERCENT, SOC_PERCENT, SOC},
    {CELL_MAX_MV, CELL_MIN_MV, CELLS},
    {CELL_DELTA_MV, CELL_AVG_MV, CELLS},
    {TEMP_AVG_C, MOS_TEMP_C, TEMPERATURES},
    {CELL_MV, CELL_MV + MAX_CELLS - 1, CELLS},
    {TEMP_C, TEMP_C + MAX_TEMPS - 1, TEMPERATURES},
};
#define RUNS (sizeof runs / sizeof *runs)

_Static_assert(CELL_MIN_MV == CELL_MAX_MV + 1 && CELL_AVG_MV == CELL_DELTA_MV + 1 &&
                   MOS_TEMP_C == TEMP_AVG_C + 1,
               "the runs hold nothing else");

/* The cycle that is being filtered. */
struct cycle {
    const struct spike_limits *limits;
    double now, forget_s;
};

void spike_clear(struct spike *spike)
{
    memset(spike, 0, sizeof *spike);
}

bool spike_waits(const struct spike *spike, enum pack_value id)
{
    const struct spike_value *value = &spike->values[id];
    return !value->gap && (value->state == SPIKE_HELD || value->state == SPIKE_WITHHELD);
}

/* In the unit of the value; 0: no limit. */
static double limit_of(const struct spike_limits *limits, enum kind kind)
{
    switch (kind) {
    case SOC:
        return limits->soc_percent;
    case VOLTAGE:
        return limits->voltage_percent;
    case CELLS:
        return limits->cell_mv;
    default:
        return limits->temperature_c;
    }
}

static bool jumps(const struct spike_value *value, enum kind kind, double limit, double reading)
{
    if (kind == VOLTAGE)
        limit *= value->accepted / 100;
    return fabs(reading - value->accepted) > limit;
}

/* Both lie beyond the limit: on the same side it is a step, or a ramp that goes on. */
static bool confirms(const struct spike_value *value, double reading)
{
    return !isnan(value->candidate) &&
           (value->candidate > value->accepted) == (reading > value->accepted);
}

static void judge(struct spike_value *value, enum kind kind, double limit, double reading)
{
    if (value->state == SPIKE_FIRST || !jumps(value, kind, limit, reading) ||
        confirms(value, reading)) {
        value->state = SPIKE_ACCEPTED;
        value->accepted = reading;
        value->candidate = NAN;
        return;
    }
    /* Only what was published in the cycle before can stand in, and only once. */
    value->state = value->state == SPIKE_ACCEPTED && !value->gap ? SPIKE_HELD : SPIKE_WITHHELD;
    value->candidate = reading;
}

/* Puts what is to be published in the place of the reading; whether a jump is held back. */
static bool filter_value(const struct cycle *cycle, struct spike_value *value, enum kind kind,
                         double read_at, double *reading)
{
    if (cycle->now - value->seen_at > cycle->forget_s)
        value->state = SPIKE_FIRST;
    if (isnan(*reading)) {
        value->gap = true;
        if (value->state == SPIKE_HELD)
            value->state = SPIKE_WITHHELD;
        return false;
    }
    bool is_new = value->state == SPIKE_FIRST || read_at != value->read_at;
    if (is_new)
        judge(value, kind, limit_of(cycle->limits, kind), *reading);
    value->read_at = read_at;
    value->seen_at = cycle->now;
    value->gap = false;
    if (value->state == SPIKE_ACCEPTED)
        return false;
    *reading = value->state == SPIKE_HELD ? value->accepted : NAN;
    return is_new;
}

/* Behind the last cell there may be anything; pack_derive drops it. */
static unsigned last_of(const struct run *run, const struct pack *pack)
{
    bool counted = run->first == CELL_MV && pack_known(pack, CELL_COUNT);
    return counted ? run->first + (unsigned) pack->value[CELL_COUNT] - 1 : run->last;
}

static unsigned filter_run(const struct cycle *cycle, struct spike *spike, const struct run *run,
                           const double *read_at, struct pack *pack)
{
    unsigned jumped = 0;
    for (unsigned id = run->first; id <= last_of(run, pack); id++)
        jumped += filter_value(cycle, &spike->values[id], run->kind,
                               read_at ? read_at[id] : cycle->now, &pack->value[id]);
    return jumped;
}

static bool any_waits(const struct spike *spike, unsigned first, unsigned count)
{
    for (unsigned id = first; id < first + count; id++)
        if (spike_waits(spike, (enum pack_value) id))
            return true;
    return false;
}

static bool any_known(const struct pack *pack, unsigned first, unsigned count)
{
    for (unsigned id = first; id < first + count; id++)
        if (pack_known(pack, (enum pack_value) id))
            return true;
    return false;
}

/* Extremes of a BMS that tells no cells: a cell's number is only worth something beside its own
 * voltage. */
static void settle_extremes(const struct spike *spike, struct pack *pack)
{
    if (spike_waits(spike, CELL_MAX_MV))
        pack_unset(pack, CELL_MAX_INDEX);
    if (spike_waits(spike, CELL_MIN_MV))
        pack_unset(pack, CELL_MIN_INDEX);
    if (pack_known(pack, CELL_MAX_MV) && pack_known(pack, CELL_MIN_MV))
        pack_unset(pack, CELL_DELTA_MV);
}

static void settle_cells(const struct spike *spike, struct pack *pack)
{
    static const enum pack_value derived[] = {CELL_MAX_MV,    CELL_MIN_MV,   CELL_MAX_INDEX,
                                              CELL_MIN_INDEX, CELL_DELTA_MV, CELL_AVG_MV};
    if (!any_waits(spike, CELL_MV, MAX_CELLS) && !any_waits(spike, CELL_MAX_MV, 2) &&
        !any_waits(spike, CELL_DELTA_MV, 2))
        return;
    if (!any_known(pack, CELL_MV, MAX_CELLS)) {
        settle_extremes(spike, pack);
        return;
    }
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
        pack_unset(pack, derived[i]);
}

static void settle_temperatures(const struct spike *spike, struct pack *pack)
{
    bool waits = any_waits(spike, TEMP_C, MAX_TEMPS) || spike_waits(spike, TEMP_AVG_C);
    if (waits && any_known(pack, TEMP_C, MAX_TEMPS))
        pack_unset(pack, TEMP_AVG_C);
}

unsigned spike_filter(struct spike *spike, const struct spike_limits *limits, const double *read_at,
                      double now, double forget_s, struct pack *pack)
{
    const struct cycle cycle = {limits, now, forget_s};
    unsigned jumped[KINDS] = {0}, count = 0;
    for (size_t i = 0; i < RUNS; i++)
        if (limit_of(limits, runs[i].kind) > 0)
            jumped[runs[i].kind] += filter_run(&cycle, spike, &runs[i], read_at, pack);
    for (int kind = 0; kind < KINDS; kind++)
        count += jumped[kind] > 0;
    settle_cells(spike, pack);
    settle_temperatures(spike, pack);
    if (spike_waits(spike, VOLTAGE_V))
        pack_unset(pack, POWER_W);
    return count;
}
