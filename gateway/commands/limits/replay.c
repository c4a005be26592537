// SPDX-License-Identifier: MIT
#include "replay.h"

#include <math.h>

#define LASTS 1.5 /* times the usual time between two rows, after which values are stale */

static void look_ahead(struct replay_pack *pack)
{
    if (!pack->next(pack->data, &pack->ahead))
        pack->ahead.at = INFINITY;
    if (isnan(pack->every_s))
        pack->usual_s = fmin(pack->usual_s, pack->ahead.at - pack->row.at);
}

/* The time of the next row of any pack; infinity: there is none. */
static double next_at(const struct replay *replay)
{
    double at = INFINITY;
    for (unsigned i = 0; i < replay->count; i++)
        at = fmin(at, replay->packs[i].ahead.at);
    return at;
}

static double least_usual_s(const struct replay *replay)
{
    double least = INFINITY;
    for (unsigned i = 0; i < replay->count; i++)
        least = fmin(least, replay->packs[i].usual_s);
    return least;
}

void replay_start(struct replay *replay)
{
    for (unsigned i = 0; i < replay->count; i++) {
        struct replay_pack *pack = &replay->packs[i];
        pack->usual_s = isnan(pack->every_s) ? (double) INFINITY : pack->every_s;
        pack->row.at = NAN;
        look_ahead(pack);
    }
    const double at = next_at(replay);
    limits_init(&replay->state, replay->limits, at);
    for (unsigned i = 0; i < replay->count; i++)
        if (replay->packs[i].own)
            limits_init(&replay->packs[i].state, replay->packs[i].own, at);
}

/* Updates the limits: of each pack by its own section, then of all. False: no pack is fresh. */
static bool update(struct replay *replay, double now, struct map_allowed *allowed)
{
    struct limits_pack parts[MAX_BANK_PACKS];
    bool any = false;
    for (unsigned i = 0; i < replay->count; i++) {
        struct replay_pack *pack = &replay->packs[i];
        parts[i] = (struct limits_pack){
            .values = &pack->row.pack,
            .fresh = now - pack->row.at <=
                     LASTS * (isinf(pack->usual_s) ? least_usual_s(replay) : pack->usual_s),
            .stale_after_s = INFINITY};
        any |= parts[i].fresh;
        if (!pack->own)
            continue;
        pack->allowed = limits_update(pack->own, &parts[i], 1, 1, &pack->state, now);
        parts[i].own = &pack->allowed;
    }
    *allowed =
        limits_update(replay->limits, parts, replay->count, replay->needed, &replay->state, now);
    return any;
}

bool replay_next(struct replay *replay, const char **time, struct map_allowed *allowed)
{
    const double at = next_at(replay);
    if (isinf(at))
        return false;
    for (unsigned i = 0; i < replay->count; i++) {
        struct replay_pack *pack = &replay->packs[i];
        if (pack->ahead.at > at)
            continue;
        pack->row = pack->ahead;
        *time = pack->row.time;
        look_ahead(pack);
    }
    double until = next_at(replay), step;
    if (isinf(until))
        until = at + (isinf(least_usual_s(replay)) ? 1 : least_usual_s(replay));
    for (double now = at; now < until; now += step) {
        const bool any = update(replay, now, allowed);
        /* During a gap in which nothing is allowed, nothing changes. */
        step = any || allowed->discharge_current_a > 0 ? fmin(1, until - now) : until - now;
        replay->held_s[allowed->charge_limited_by][LIMITS_CHARGE] += step;
        replay->held_s[allowed->discharge_limited_by][LIMITS_DISCHARGE] += step;
        replay->total_s += step;
    }
    return true;
}
