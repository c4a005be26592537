// SPDX-License-Identifier: MIT
/* What a master reads of one pack, round by round. */
#include "rounds.h"

#include "lines/cycle.h"

#include <math.h>
#include <stdlib.h>

#define LASTING_S 7200.0 /* for settings and the like, which we would ask for each hour */
#define DOUBTS_MOST 3    /* answers to one of them, until they count all the same */
#define ROUNDS_FIRST 2   /* heard, until it is clear what belongs together */
#define REPEATS_MOST 3   /* of one question, before it is a round of its own */

/* What hardly ever changes needs not be asked often. */
static bool is_lasting(enum pack_value id)
{
    return id == RATED_AH || id == SOH_PERCENT || id == CYCLES || id == CELL_COUNT ||
           id == TEMP_COUNT || (id >= SETTINGS_FIRST && id < CELL_MV);
}

static bool tells_values(const struct pack *pack)
{
    for (unsigned id = 0; id < PACK_VALUES; id++)
        if (!is_lasting((enum pack_value) id) && pack_known(pack, (enum pack_value) id))
            return true;
    return pack->alarms_known != 0;
}

static bool tells_anything(const struct pack *pack)
{
    for (unsigned id = 0; id < PACK_VALUES; id++)
        if (pack_known(pack, (enum pack_value) id))
            return true;
    for (unsigned id = 0; id < PACK_TEXTS; id++)
        if (pack->text[id][0])
            return true;
    return pack->alarms_known != 0;
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
    *kind = (struct rounds_kind){
        .asked = asked, .at = -INFINITY, .good_at = -INFINITY, .doubted_at = NAN};
    return kind;
}

/* Whether values are too old to be told. What the master asks so rarely that it grows stale in between
 * goes sooner: its age would make all the others look old. */
static bool is_old(const struct rounds *rounds, const struct rounds_kind *kind, double now)
{
    const double stale_s = poller_stale_after(rounds->poller);
    double good_s = kind->every_s < stale_s ? stale_s : stale_s / 2;
    if (!tells_values(&kind->part))
        good_s = LASTING_S;
    return now - kind->at > good_s;
}

/* Whether all that the master asks in each of its rounds was answered in this one. */
static bool is_over(const struct rounds *rounds)
{
    bool any = false;
    for (unsigned i = 0; i < rounds->count; i++) {
        const struct rounds_kind *kind = &rounds->kinds[i];
        if (kind->expected && !kind->renewed)
            return false;
        any |= kind->expected;
    }
    return any && rounds->anew == ROUNDS_FIRST;
}

/* A question that comes again before all expected ones have shows that the master's rounds are other
 * ones; one more in two rounds in a row belongs to them. */
static void end_round(struct rounds *rounds, bool begun_anew)
{
    for (unsigned i = 0; i < rounds->count; i++) {
        struct rounds_kind *kind = &rounds->kinds[i];
        kind->expected =
            begun_anew ? kind->renewed : kind->expected || (kind->renewed && kind->before);
        kind->before = kind->renewed;
        kind->renewed = false;
    }
    if (begun_anew && rounds->anew < ROUNDS_FIRST)
        rounds->anew++;
}

static int by_age(const void *a, const void *b)
{
    const struct rounds_kind *left = a, *right = b;
    return (left->at > right->at) - (left->at < right->at);
}

/* A master may take its time: values are good for as long as with a slow line of our own. One long
 * round is no habit. */
static void note_round(struct rounds *rounds, double now)
{
    const double round_s = now - rounds->told_at;
    if (!isnan(rounds->round_s) && !isnan(round_s))
        rounds->poller->pace.round_s = fmin(round_s, rounds->round_s);
    rounds->round_s = round_s;
    rounds->told_at = now;
}

/* Behind a weak check an answer that was in doubt, and that the master has not asked for again, would agree with itself
 * each time that something else of the pack is told: the one before it stands in its place. Several in a row count. */
static void take_back(struct rounds_kind *kind)
{
    if (kind->at != kind->doubted_at || kind->doubts >= DOUBTS_MOST || isinf(kind->good_at))
        return;
    kind->part = kind->good;
    kind->at = kind->good_at;
}

static void note_verdict(struct rounds *rounds, bool believed)
{
    for (unsigned i = 0; i < rounds->count; i++) {
        struct rounds_kind *kind = &rounds->kinds[i];
        if (kind->at == kind->good_at || (!believed && kind->at == kind->doubted_at))
            continue;
        if (believed) {
            kind->good = kind->part;
            kind->good_at = kind->at;
            kind->doubts = 0;
        } else {
            kind->doubted_at = kind->at;
            kind->doubts++;
        }
    }
}

/* What is known of the pack is put together, the newest last. */
static bool tell(struct rounds *rounds, double now)
{
    struct poller *poller = rounds->poller;
    double oldest = INFINITY;
    for (unsigned i = 0;
         i < rounds->count && rounds->poller->config->driver->check == BMS_CHECK_SUM; i++)
        take_back(&rounds->kinds[i]);
    qsort(rounds->kinds, rounds->count, sizeof *rounds->kinds, by_age);
    pack_clear(&poller->incoming);
    for (unsigned i = 0; i < rounds->count; i++) {
        struct rounds_kind *kind = &rounds->kinds[i];
        if (is_old(rounds, kind, now))
            continue;
        pack_merge(&poller->incoming, &kind->part);
        kind->part.implausible = 0;
        if (tells_values(&kind->part))
            oldest = fmin(oldest, kind->at);
    }
    if (isinf(oldest) || !tells_values(&poller->incoming))
        return false;
    note_round(rounds, now);
    bool believed = cycle_heard(poller, now, now - oldest);
    note_verdict(rounds, believed);
    return believed;
}

void rounds_init(struct rounds *rounds, struct poller *poller)
{
    *rounds = (struct rounds){.poller = poller, .told_at = NAN, .round_s = NAN};
}

bool rounds_take(struct rounds *rounds, uint32_t asked, const struct pack *part, double at,
                 double now)
{
    if (!tells_anything(part))
        return false;
    bool told = false;
    const bool again = kind_of(rounds, asked)->renewed && tells_values(part);
    /* What is asked twice in a row was not believed at once, or its reply was lost for its master. */
    rounds->repeats = asked != rounds->last            ? 0
                      : rounds->repeats < REPEATS_MOST ? rounds->repeats + 1
                                                       : REPEATS_MOST;
    rounds->last = asked;
    if (again && (rounds->repeats == 0 || rounds->repeats == REPEATS_MOST)) {
        end_round(rounds, true);
        told = rounds->anew == ROUNDS_FIRST && tell(rounds, now);
    }
    struct rounds_kind *kind = kind_of(rounds, asked);
    kind->part = *part;
    kind->every_s = at - kind->at;
    kind->at = at;
    kind->renewed = true;
    if (!is_over(rounds))
        return told;
    end_round(rounds, false);
    return tell(rounds, now) || told;
}
