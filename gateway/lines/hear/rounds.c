// SPDX-License-Identifier: MIT
/* What a master reads of one pack, round by round. */
#include "rounds.h"

#include "lines/cycle.h"

#include <math.h>
#include <stdlib.h>

#define LASTING_S 7200.0 /* for settings and the like, which packgate would poll once an hour */

/* These values hardly ever change. */
static bool is_lasting(enum pack_value id)
{
    return id == RATED_AH || id == SOH_PERCENT || id == CYCLES || id == CELL_COUNT ||
           id == TEMP_COUNT || (id >= SETTINGS_FIRST && id < CELL_MV);
}

/* Whether it holds more than lasting values. */
static bool tells_values(const struct pack *pack)
{
    for (unsigned id = 0; id < PACK_VALUES; id++)
        if (!is_lasting((enum pack_value) id) && pack_known(pack, (enum pack_value) id))
            return true;
    return pack->alarms_known != 0;
}

static bool tells_anything(const struct pack *pack)
{
    struct pack empty;
    pack_clear(&empty);
    return !pack_same(pack, &empty);
}

static struct rounds_kind *kind_of(struct rounds *rounds, uint32_t asked)
{
    struct rounds_kind *oldest = &rounds->kinds[0];
    for (unsigned i = 0; i < rounds->count; i++) {
        if (rounds->kinds[i].asked == asked)
            return &rounds->kinds[i];
        if (rounds->kinds[i].at < oldest->at)
            oldest = &rounds->kinds[i];
    }
    struct rounds_kind *kind =
        rounds->count < ROUNDS_KINDS ? &rounds->kinds[rounds->count++] : oldest;
    *kind = (struct rounds_kind){.asked = asked, .at = -INFINITY, .asked_at = -INFINITY};
    return kind;
}

/* Whether an answer is too old to be published. An answer that becomes stale between two requests
 * of the master is dropped sooner, because its age would make all others look old. */
static bool is_old(const struct rounds *rounds, const struct rounds_kind *kind, double now)
{
    const double stale_s = poller_stale_after(rounds->poller);
    const double good_s = kind->every_s < stale_s ? stale_s : stale_s / 2;
    return now - kind->at > (tells_values(&kind->part) ? good_s : LASTING_S);
}

/* A slow master's values stay good for as long as those of a slow line of our own. One long round is no habit. */
static void note_round(struct poller_pace *pace, double now)
{
    const double round_s = now - pace->last_started;
    if (!isnan(round_s) && pace->last_round_s > 0)
        pace->round_s = fmin(round_s, pace->last_round_s);
    pace->last_round_s = isnan(round_s) ? 0 : round_s;
    pace->last_started = now;
}

static int by_age(const void *a, const void *b)
{
    const struct rounds_kind *left = *(struct rounds_kind *const *) a,
                             *right = *(struct rounds_kind *const *) b;
    return (left->at > right->at) - (left->at < right->at);
}

/* Puts together what is known of the pack, the newest last. */
static bool tell(struct rounds *rounds, double now)
{
    struct poller *poller = rounds->poller;
    struct rounds_kind *kinds[ROUNDS_KINDS] = {NULL};
    double oldest = INFINITY;
    for (unsigned i = 0; i < rounds->count; i++)
        kinds[i] = &rounds->kinds[i];
    qsort(kinds, rounds->count, sizeof *kinds, by_age);
    pack_clear(&poller->incoming);
    for (unsigned i = 0; i < rounds->count; i++) {
        if (is_old(rounds, kinds[i], now))
            continue;
        pack_merge(&poller->incoming, &kinds[i]->part);
        kinds[i]->part.implausible = 0; /* counted once */
        if (tells_values(&kinds[i]->part))
            oldest = fmin(oldest, kinds[i]->at);
    }
    if (isinf(oldest))
        return false;
    note_round(&poller->pace, now);
    cycle_publish_heard(poller, now, now - oldest);
    return true;
}

/* If a request is repeated before all expected ones were seen, the rounds are different from what
 * was assumed. A request that is in two rounds in a row belongs to them. */
static bool end_round(struct rounds *rounds, bool begun_anew, double now)
{
    for (unsigned i = 0; i < rounds->count; i++) {
        struct rounds_kind *kind = &rounds->kinds[i];
        kind->expected =
            begun_anew ? kind->renewed : kind->expected || (kind->renewed && kind->before);
        kind->before = kind->renewed;
        kind->renewed = false;
    }
    return tell(rounds, now);
}

/* Whether all requests of a round were answered in this one. */
static bool is_over(const struct rounds *rounds)
{
    bool any = false;
    for (unsigned i = 0; i < rounds->count; i++) {
        if (rounds->kinds[i].expected && !rounds->kinds[i].renewed)
            return false;
        any |= rounds->kinds[i].expected;
    }
    return any;
}

bool rounds_take(struct rounds *rounds, uint32_t asked, const struct pack *part, double at,
                 double now)
{
    if (!tells_anything(part))
        return false;
    struct rounds_kind *kind = kind_of(rounds, asked);
    const bool told = kind->renewed && tells_values(part) && end_round(rounds, true, now);
    const struct pack *before = is_old(rounds, kind, now) ? NULL : &kind->part;
    if (cycle_judge_heard(rounds->poller, &kind->spike, before, part, now)) {
        kind->part = *part;
        kind->at = at;
    }
    kind->every_s = at - kind->asked_at;
    kind->asked_at = at;
    kind->renewed = true;
    return (is_over(rounds) && end_round(rounds, false, now)) || told;
}
