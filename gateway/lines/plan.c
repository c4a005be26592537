// SPDX-License-Identifier: MIT
#include "plan.h"

#include <math.h>
#include <string.h>

#define GIVE_UP_MISSES 3     /* cycles in a row that a step may hold back, or orders drop */
#define REFUSED_AGAIN_S 3600 /* a step that the BMS refused */

static const struct bms_step *plan_of(const struct poller *poller, unsigned step)
{
    return &poller->config->driver->plan[step];
}

static void next_step(struct poller *poller)
{
    poller->cycle.step++;
    poller->cycle.tries = 0;
    poller->presence.garbled = false;
    spike_drop(&poller->spike);
}

/* Values must not become stale while a pack is asked for all that it may not know: trials that would take longer than
 * half of that time follow in the next cycles. The other half is for the steps that come first there. */
static void end_step(struct poller *poller, double now)
{
    struct poller_cycle *cycle = &poller->cycle;
    const double over_at = poller->published_at + poller_stale_after(poller) / 2;
    if (cycle->trials && now + (now - cycle->asked_at) > over_at) {
        cycle->over = true;
        cycle->step = poller->config->driver->steps - 1;
    }
    next_step(poller);
}

/* A step that was never answered, or is given up, is worth one request. */
static bool may_be_unknown(const struct poller *poller, unsigned index)
{
    const struct poller_step *step = &poller->steps[index];
    bool good = step->answers && step->misses == 0;
    return !plan_of(poller, index)->vital && isnan(step->at) && !good;
}

/* A step that may be unknown is tried after all others; but one before the first vital step prepares for that, and
 * keeps its place. While a pack is silent, the vital steps show best whether it is present. If it answers, the cycle
 * restarts with the first steps of its driver. */
static bool is_wanted(struct poller *poller, double now)
{
    struct poller_cycle *cycle = &poller->cycle;
    const unsigned index = cycle->step;
    const bool trial =
        index > poller_first_vital(poller->config->driver) && may_be_unknown(poller, index);
    if (now < poller->steps[index].due || trial != cycle->trials)
        return false;
    const bool skipped = poller->presence.silent_cycles > 0 && plan_of(poller, index)->every_s > 0;
    cycle->skipped |= skipped;
    return !skipped;
}

/* Whether a step was left unanswered only once, maybe because the answer was late. */
static bool is_in_doubt(const struct poller *poller)
{
    bool doubt = false;
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        doubt |= !poller->steps[i].answers && poller->steps[i].misses == 1;
    return doubt;
}

/* The cycle has run all steps of its pass: those known to be answered, then those that may stay
 * unanswered. Values are published before the second pass, and again after it if it brought any. */
static bool begin_pass(struct poller *poller, double now, bool *published)
{
    struct poller_cycle *cycle = &poller->cycle;
    const bool again = cycle->skipped && !cycle->vital_missed;
    if (!again && (!cycle->trials || cycle->told))
        *published |= poller_publish(poller, now);
    if (!again && (cycle->trials || !cycle->published)) {
        poller->complete |= cycle->trials && !cycle->over && !is_in_doubt(poller);
        return false;
    }
    cycle->trials |= !again;
    cycle->skipped = false;
    cycle->step = cycle->tries = 0;
    return true;
}

/* Builds the next request of the cycle, unless it is built already. False: there is none. */
static bool find_request(struct poller *poller, double now, bool *published)
{
    const struct bms_driver *driver = poller->config->driver;
    struct poller_cycle *cycle = &poller->cycle;
    for (; cycle->request.size == 0; next_step(poller)) {
        if (cycle->step >= driver->steps && !begin_pass(poller, now, published))
            return false;
        if (!is_wanted(poller, now))
            continue;
        /* An answer in doubt is repeated before that: the next cycle knows nothing of it. */
        if (cycle->trials && poller->pace.awaited && poller->spike.doubted == 0)
            return false;
        poller->before = poller->bms;
        if (driver->build(&poller->bms, cycle->step, &cycle->request))
            return true;
        cycle->request.size = 0;
        poller_forget_step(&poller->steps[cycle->step]);
        poller->steps[cycle->step].misses = 0;
    }
    return true;
}

bool plan_end_if_done(struct poller *poller, double now, bool *published)
{
    *published = false;
    if (!poller->cycle.under_way || find_request(poller, now, published))
        return false;
    poller_end_cycle(poller, now);
    return true;
}

bool plan_request(struct poller *poller, double now, struct bms_request *request, bool *published)
{
    struct poller_cycle *cycle = &poller->cycle;
    if (!cycle->under_way) {
        *cycle = (struct poller_cycle){.under_way = true, .started = now};
        poller->presence.garbled = false;
        spike_drop(&poller->spike);
    }
    if (plan_end_if_done(poller, now, published)) {
        *published = cycle->published;
        return false;
    }
    *request = cycle->request;
    cycle->request.size = 0;
    poller->counters.repeats += cycle->tries > 0;
    cycle->disturbed |= cycle->tries > 0;
    cycle->tries++;
    cycle->tried |= cycle->trials;
    cycle->asked_at = now;
    poller->presence.garbled |=
        poller->presence.silent_cycles == 0 && now < poller->presence.noisy_until;
    if (isnan(poller->presence.vain_since))
        poller->presence.vain_since = now;
    return true;
}

/* The driver forgets what an unusable reply has taught it and builds the same request anew. It only keeps the way in
 * which it was answered, which is worth trying first. */
void plan_ask_again(struct poller *poller, double now)
{
    const uint8_t way = poller->bms.way;
    poller->bms = poller->before;
    poller->bms.way = way;
    poller->presence.last_answer = now;
    poller->presence.vain_since = NAN;
    poller->cycle.tries = 0;
}

/* A battery does not change its serial number, model and number of cells. */
static bool is_other_device(const struct pack *before, const struct pack *after)
{
    const double was = before->value[CELL_COUNT], is = after->value[CELL_COUNT];
    bool other = was != is && !isnan(was) && !isnan(is);
    for (unsigned text = 0; text < PACK_TEXTS; text++)
        other |= (text == SERIAL || text == MODEL) && before->text[text][0] &&
                 after->text[text][0] && strcmp(before->text[text], after->text[text]) != 0;
    return other;
}

static void store(struct poller *poller, const struct answer *answer)
{
    struct poller_step *step = &poller->steps[answer->oldest.step];
    const unsigned every_s = plan_of(poller, answer->oldest.step)->every_s;
    /* The slow values that were kept are those of another device. */
    const bool other = is_other_device(&step->part, &poller->incoming);
    poller->devices += other;
    poller->complete &= !other;
    for (unsigned i = 0; other && i < poller->config->driver->steps; i++) {
        if (plan_of(poller, i)->every_s == 0)
            continue;
        poller_forget_step(&poller->steps[i]);
        poller->steps[i].due = 0;
    }
    poller->presence.forgotten = false;
    step->part = poller->incoming;
    step->at = answer->oldest.sent_at;
    step->newest_at = answer->newest_at;
    step->misses = step->refusals = 0;
    step->answers = true;
    step->due = every_s ? answer->oldest.sent_at + every_s : 0;
    poller->cycle.told |= poller->cycle.trials;
}

static void miss_step(struct poller *poller, double now)
{
    struct poller_step *step = &poller->steps[poller->cycle.step];
    const struct bms_step *plan = plan_of(poller, poller->cycle.step);
    /* The line is not at fault if a board does not know a request, or was asleep. */
    poller->counters.timeouts += plan->vital ? !poller_is_new(poller) : !isnan(step->at);
    if (plan->vital) {
        poller_abandon_cycle(poller, now);
        return;
    }
    step->misses++;
    if (isnan(step->at) || step->misses >= GIVE_UP_MISSES) {
        /* Less and less often. After a damaged reply the pack does answer, and the next one may be whole. */
        double again_s = GIVE_UP_MISSES * poller->config->poll_s;
        for (unsigned i = 1; i < step->misses && !poller->presence.garbled; i++)
            again_s = fmin(again_s * 2, fmax(again_s, REFUSED_AGAIN_S));
        step->due = now + again_s;
        poller_forget_step(step);
    } else if (plan->every_s == 0) {
        poller->cycle.incomplete = true;
    }
    end_step(poller, now);
}

static void refuse(struct poller *poller, unsigned step, double now)
{
    struct poller_step *refused = &poller->steps[step];
    unsigned believed = poller->config->driver->check == BMS_CHECK_SUM ? 3 : 2;
    if (refused->answers && ++refused->refusals < believed) {
        plan_ask_again(poller, now);
        return;
    }
    poller->counters.refused++;
    poller->presence.last_answer = now;
    refused->answers = false;
    refused->misses = refused->refusals = 0;
    poller_forget_step(refused);
    if (plan_of(poller, step)->vital) {
        poller_abandon_cycle(poller, now);
        return;
    }
    refused->due = now + REFUSED_AGAIN_S;
    end_step(poller, now);
}

bool plan_answered(struct poller *poller, const struct answer *answer, bool in_flight, double now)
{
    struct poller_cycle *cycle = &poller->cycle;
    struct poller_presence *presence = &poller->presence;
    const unsigned step = answer->oldest.step;
    const bool of_step = in_flight && step == cycle->step;
    if (answer->result == BMS_REFUSED) {
        if (of_step)
            refuse(poller, step, now);
        return of_step;
    }
    presence->last_answer = now;
    presence->vain_since = NAN;
    if (plan_of(poller, step)->vital && presence->silent_cycles > 0) {
        presence->silent_cycles = 0;
        if (!cycle->under_way)
            poller->pace.due = fmin(poller->pace.due, now);
    }
    if (!of_step) {
        /* The reply to a request that timed out is taken if it is newer than what is known, and not in doubt. */
        struct spike spike = poller->spike;
        spike_drop(&spike);
        if (poller_judge(poller, &spike, step, now) == SPIKE_BELIEVED &&
            !(answer->oldest.sent_at <= poller->steps[step].at))
            store(poller, answer);
        return false;
    }
    const enum spike_verdict verdict = poller_judge(poller, &poller->spike, step, now);
    if (verdict == SPIKE_DOUBTED || verdict == SPIKE_UNSETTLED) {
        plan_ask_again(poller, now);
        if (verdict == SPIKE_UNSETTLED)
            miss_step(poller, now);
        return true;
    }
    poller->counters.spikes += verdict == SPIKE_REFUTED;
    store(poller, answer);
    end_step(poller, now);
    return true;
}

bool plan_is_unsure(const struct poller *poller)
{
    if (plan_of(poller, poller->cycle.step)->vital)
        return poller_is_silent(poller);
    return poller->presence.silent_cycles > 0 || may_be_unknown(poller, poller->cycle.step);
}

/* A board may not know a request that was never answered, and while a pack is silent its neighbours
 * wait: one try each time is enough. The very first one may only have woken the pack. If any byte
 * was received, the pack is present and gets all tries. */
static unsigned allowed_tries(const struct poller *poller)
{
    const struct bms *bms = &poller->bms;
    const unsigned set = poller->config->line->tries, own = bms->driver->line.tries;
    const unsigned tries = set > 0 ? set : own > 0 ? own : 3;
    if (!plan_is_unsure(poller) || poller->presence.garbled)
        return tries;
    /* It is not known which form of requests the pack answers, and it is alone on its line: all are tried. */
    if (bms->driver->ways > 1 && bms->way == 0 && bms->options.variant == 0 &&
        !bms->options.shared && tries > 1)
        return bms->driver->ways;
    const bool twice = poller->presence.woken || (poller_is_new(poller) && !bms->options.shared);
    return twice && tries > 2 ? 2 : 1;
}

void plan_unanswered(struct poller *poller, double now)
{
    const bool last = poller->cycle.tries >= allowed_tries(poller);
    patience_miss(&poller->pace.patience, now - poller->cycle.asked_at, ANSWER_MOST_S);
    if (last)
        miss_step(poller, now);
    else if (poller->presence.garbled && plan_of(poller, poller->cycle.step)->vital)
        poller->bms = poller->before; /* the request was right: keep its form */
}

void plan_disturbed(struct poller *poller, double now)
{
    poller->presence.noisy_until = now + LATELY_S;
    poller->presence.vain_since = NAN;
    poller->presence.garbled = true;
}

/* An echo, and what others say, are whole frames and no damage. */
bool plan_count_damage(struct poller *poller, const struct reply_counters *before,
                       const struct reply_counters *after, double now)
{
    const uint32_t damaged = after->damaged - before->damaged + after->invalid - before->invalid;
    poller->counters.damaged += damaged;
    if (damaged > 0)
        plan_disturbed(poller, now);
    return damaged > 0 || after->skipped_bytes != before->skipped_bytes;
}

/* Which steps bring the value shows in what they brought last. If none has brought it so far, any may. */
void plan_reread(struct poller *poller, const enum pack_value *id, double now)
{
    const unsigned steps = poller->config->driver->steps;
    bool known = false;
    for (unsigned i = 0; id && i < steps; i++)
        known |= pack_known(&poller->steps[i].part, *id);
    for (unsigned i = 0; i < steps; i++)
        if (!known || pack_known(&poller->steps[i].part, *id))
            poller->steps[i].due = 0;
    poller->cycle.under_way = false;
    poller->cycle.tries = 0;
    poller->pace.due = now;
    poller->pace.dropped++;
}

bool plan_is_due_first(const struct poller *poller)
{
    return poller->pace.dropped >= GIVE_UP_MISSES;
}

bool plan_make_other_due(struct poller *poller, unsigned open, double now)
{
    struct poller_step *rare = NULL;
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        struct poller_step *step = &poller->steps[i];
        if (i == open || !step->answers)
            continue;
        if (plan_of(poller, i)->every_s == 0 && step->at >= poller->published_at)
            return true;
        rare = rare ? rare : step;
    }
    if (!rare || rare->due <= now) /* it was made due before without success */
        return !poller->complete;
    rare->due = now;
    return true;
}

void plan_wake(struct poller *poller, double now)
{
    if (poller->presence.silent_cycles == 0)
        return;
    if (poller->presence.forgotten)
        bms_forget(&poller->bms); /* uses the form of requests that it answered before */
    poller->presence.silent_cycles = 2;
    poller->presence.woken = true;
    poller->pace.due = fmin(poller->pace.due, now);
}
