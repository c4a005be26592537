// SPDX-License-Identifier: MIT
#include "events.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SOC_HYSTERESIS 5.0
#define CELL_HYSTERESIS 0.8
#define FULL_PERCENT 99.95
#define JUMP_S 5.0

void events_init(struct events *events)
{
    *events = (struct events){.full_since = NAN, .offset = NAN};
    for (unsigned i = 0; i < WATCHES; i++)
        events->watches[i] = (struct watch){.since = {-INFINITY, NAN, NAN},
                                            .was_at = {NAN, NAN, NAN},
                                            .began = NAN,
                                            .ended = NAN,
                                            .told_at = NAN};
}

const char *events_watch_name(unsigned watch)
{
    return watch < PACK_ALARM_COUNT ? pack_alarm_name((enum pack_alarm) watch)
           : watch == WATCH_STALE   ? "stale"
           : watch == WATCH_SOC     ? "soc_below"
           : watch == WATCH_CELLS   ? "cell_delta"
                                    : "full";
}

/* The current level: 0, or at least 1. */
static int level_now(const struct events *events, unsigned watch,
                     const struct notify_config *config, const struct seen *seen)
{
    const struct watch *before = &events->watches[watch];
    const struct pack *values = seen->values;
    const double soc = values->value[SOC_PERCENT], delta = values->value[CELL_DELTA_MV];
    const int held = alarms_other_bms(before->bms, seen->bms) ? 0 : before->level;
    const double soc_limit = config->soc_below + (held ? SOC_HYSTERESIS : 0);
    const double delta_limit = config->cell_delta_mv * (held ? CELL_HYSTERESIS : 1);
    if (watch == WATCH_STALE)
        return seen->silent;
    if (watch == WATCH_SOC)
        return config->soc_below <= 0 ? 0 : isnan(soc) ? held : soc < fmin(soc_limit, 100);
    if (watch == WATCH_CELLS)
        return config->cell_delta_mv <= 0 ? 0 : isnan(delta) ? held : delta > delta_limit;
    const int level = alarms_level(events->alarms, (int) watch);
    return level == ALARM_WARNING && config->protection ? 0 : level;
}

static void note_level(struct watch *watch, int level, double hold_s, double now, double time)
{
    for (int at_least = 1; at_least <= level; at_least++) {
        /* If it was over for less than `hold`, it is still the same event; `hold` may be shorter than an update takes. */
        const bool begins = watch->level < at_least && !(now - watch->was_at[at_least] < hold_s);
        if (begins)
            watch->since[at_least] = now;
        if (begins && at_least == 1 && watch->told == 0)
            watch->began = time;
        watch->was_at[at_least] = now;
    }
    if (level == 0 && watch->level > 0) {
        watch->since[0] = now;
        watch->ended = time;
    }
    watch->level = level;
}

/* Returns 1 if the section wants to report it. */
static unsigned report_watch(const struct notify_config *config, unsigned number,
                             const struct watch *watch, enum phase phase, struct happening *out)
{
    const enum notify_event event = number < PACK_ALARM_COUNT ? NOTIFY_ALARM
                                    : number == WATCH_SOC     ? NOTIFY_SOC_BELOW
                                    : number == WATCH_CELLS   ? NOTIFY_CELL_DELTA
                                    : phase == PHASE_ENDED    ? NOTIFY_BACK
                                                              : NOTIFY_STALE;
    *out = (struct happening){.event = event,
                              .alarm = number < PACK_ALARM_COUNT ? (int) number : -1,
                              .level = watch->last,
                              .phase = phase,
                              .began = watch->began,
                              .lasted_s =
                                  phase == PHASE_ENDED ? watch->ended - watch->began : (double) NAN,
                              .watch = number};
    return config->events >> event & 1;
}

static unsigned update_watch(const struct notify_config *config, unsigned number,
                             struct watch *watch, double now, struct happening *out)
{
    const double hold = config->hold_s;
    const bool again = isnan(watch->told_at) || now - watch->told_at >= config->repeat_s;
    if (watch->level == 0) {
        if (watch->told == 0 || !(now - watch->since[0] >= hold))
            return 0;
        watch->told = 0;
        return report_watch(config, number, watch, PHASE_ENDED, out);
    }
    const int held = watch->level > 1 && now - watch->since[2] >= hold ? 2
                     : now - watch->since[1] >= hold                   ? 1
                                                                       : 0;
    const bool lasts = held <= watch->told;
    if (held == 0 || (!again && (lasts || (watch->told == 0 && held <= watch->last))))
        return 0;
    watch->told = watch->last = lasts ? watch->told : held;
    watch->told_at = now;
    return report_watch(config, number, watch, lasts ? PHASE_LASTS : PHASE_BEGAN, out);
}

/* 100 % for the first time of the day, after it was below. */
static unsigned judge_full(struct events *events, double soc, double hold_s, double now, int day,
                           struct happening *out)
{
    if (soc < FULL_PERCENT) {
        events->below_full = true;
        events->full_since = NAN;
    }
    if (!(soc >= FULL_PERCENT))
        return 0;
    if (isnan(events->full_since))
        events->full_since = now;
    if (!events->below_full || now - events->full_since < hold_s)
        return 0;
    const bool first = events->full_day != day;
    events->below_full = false;
    events->full_day = day;
    *out = (struct happening){.event = NOTIFY_FULL,
                              .alarm = -1,
                              .phase = PHASE_BEGAN,
                              .began = NAN,
                              .lasted_s = NAN,
                              .watch = WATCHES};
    return first;
}

unsigned events_look(struct events *events, const struct notify_config *config,
                     const struct seen *seen, double now, double time, int day,
                     struct happening out[WATCHES + 1])
{
    unsigned count = 0;
    /* The clock was wrong when an event began and was set since: its beginning is moved by as much. */
    const double by = time - now - events->offset;
    /* After silence `hold` restarts with the next values; what was reported stays reported. */
    const bool anew = seen->fresh && !events->fresh && events->seen;
    if (anew && !isnan(events->full_since))
        events->full_since = now;
    events->offset = time - now;
    events->fresh = seen->fresh;
    events->seen |= seen->fresh;
    for (unsigned i = 0; seen->fresh && i < PACK_ALARM_COUNT; i++) {
        const uint32_t over = alarms_other_bms(events->watches[i].bms, seen->bms) ? 1u << i : 0;
        events->alarms.warning &= ~over;
        events->alarms.protection &= ~over;
    }
    if (seen->fresh)
        events->alarms = alarms_after(events->alarms, seen->values, 0);
    for (unsigned i = 0; i < WATCHES; i++) {
        struct watch *watch = &events->watches[i];
        watch->began += fabs(by) > JUMP_S ? by : 0;
        watch->ended += fabs(by) > JUMP_S ? by : 0;
        for (int k = 0; anew && i != WATCH_STALE && k < 3; k++)
            watch->since[k] = now;
        /* Right after a start: neither fresh nor reported as silent. */
        if (i == WATCH_STALE ? !seen->fresh && !seen->silent : !seen->fresh)
            continue;
        const bool held = watch->level > 0 && watch->bms > 0;
        note_level(watch, level_now(events, i, config, seen), config->hold_s, now, time);
        if (watch->level > 0 && (seen->bms > 0 || !held))
            watch->bms = abs(seen->bms);
        count += update_watch(config, i, watch, now, &out[count]);
    }
    if (seen->fresh)
        count += judge_full(events, seen->values->value[SOC_PERCENT], config->hold_s, now, day,
                            &out[count]);
    return count;
}

bool events_note(const struct watch *watch, double now, double time, double repeat_s, char *out,
                 size_t size)
{
    if (isnan(watch->told_at) || (watch->told == 0 && now - watch->told_at >= repeat_s))
        return false;
    snprintf(out, size, "%d %d %.0f %.0f %x", watch->told, watch->last,
             time - (now - watch->told_at), isnan(watch->began) ? 0 : watch->began,
             (unsigned) watch->bms);
    return true;
}

/* If the clock was wrong at either time, the event counts as recent. */
bool events_take_note(struct events *events, unsigned number, const char *text, double now,
                      double time)
{
    struct watch *watch = &events->watches[number];
    int told, last;
    unsigned bms = 0; /* version 0.1.0 did not store it */
    double told_at, began;
    if (sscanf(text, "%d %d %lf %lf %x", &told, &last, &told_at, &began, &bms) < 4 || told < 0 ||
        told > 2 || last < told || last > 2)
        return false;
    watch->told = told;
    watch->last = last;
    watch->told_at = now - fmax(time - told_at, 0);
    watch->began = began > 0 ? began : NAN;
    watch->level = told;
    watch->bms = (int32_t) bms;
    if (number < PACK_ALARM_COUNT) {
        events->alarms.warning |= (uint32_t) (told == ALARM_WARNING) << number;
        events->alarms.protection |= (uint32_t) (told == ALARM_PROTECTION) << number;
    }
    for (int i = 0; i < 3; i++)
        watch->since[i] = now;
    return true;
}
