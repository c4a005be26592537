// SPDX-License-Identifier: MIT
/* Polls one pack. */
#include "poller.h"

#include <math.h>
#include <stdlib.h>

#define GIVE_UP_MISSES 3     /* cycles in a row that a step may hold back */
#define ASK_AGAIN_S 60       /* a step that was given up */
#define TRY_AGAIN_S 3        /* a step that was never answered, the first time */
#define REFUSED_AGAIN_S 3600 /* a step that the BMS refused */
#define ROUNDS_GOOD 2.5      /* rounds of a slow line that values are good for */
#define ROUNDS_MOST_S 60     /* and no longer than that */
#define ANSWERING_MOST 2     /* silent cycles, as long as something of it is intact */
#define SLOWEST_S 20         /* interval that silence leads to */
#define SLEEPER_S 2          /* after a request that may have woken the pack up */
#define COMPLETE_S 30        /* for so long the first whole set of values is waited for */
#define NOISY_S 60           /* since damage was seen */
#define HURRIES_MOST 4       /* cycles in a row that are dropped for something that was switched */
#define TOGETHER_S 2.0       /* values so far apart are still of one time */
#define SLOWLY_S 5.0         /* and so far, where an answer of before was waited for in vain */
#define REFUSAL 1            /* in place of a hash */
#define FOREIGN_S 120        /* an answer that stood still on its way can come so late */
#define SURPLUS_S 3    /* and what was asked twice for its sake may bring two answers for so long */
#define FOREIGN_MOST 8 /* of them at once */
#define EARLY 0.5      /* of the shortest answer, and it is none to this request, */
#define LATE 3         /* of the longest, */
#define LATE_S 0.25    /* and so much: the host may be busy */
#define SLOWER 1.05    /* by so much the shortest answer grows with each other one */
#define REST_MOST_S 30 /* for a pack of which late replies are awaited */

/* What was asked will not be answered any more. */
static void close_step(struct poller_step *step)
{
    step->open_since = NAN;
    step->late = step->sure = false;
}

static void close_all(struct poller *poller)
{
    for (unsigned i = 0; poller->steps && i < poller->config->driver->steps; i++)
        close_step(&poller->steps[i]);
    poller->clear_at = NAN;
}

struct poller *poller_new(const struct pack_config *config)
{
    struct poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return NULL;
    poller->config = config;
    bms_init(&poller->bms, config->driver);
    poller->bms.options = config->options;
    poller->published_at = poller->last_answer = poller->first_at = NAN;
    pack_clear(&poller->values);
    poller->noisy_until = poller->order_open_until = poller->surplus_until = -INFINITY;
    /* A pack that is still searched has a plan without steps, and a talker none at all. */
    unsigned steps = config->driver->steps > 0 ? config->driver->steps : 1;
    poller->steps = calloc(steps, sizeof *poller->steps);
    if (!poller->steps) {
        free(poller);
        return NULL;
    }
    close_all(poller);
    poller_reset(poller, 0);
    return poller;
}

void poller_free(struct poller *poller)
{
    if (poller)
        free(poller->steps);
    free(poller);
}

static void forget_step(struct poller_step *step)
{
    pack_clear(&step->part);
    step->at = NAN;
}

/* `whole`: the values are still good, and are not to be followed by a part of the new ones. */
static void forget_device(struct poller *poller, bool whole)
{
    const struct pack_config *config = poller->config;
    bms_forget(&poller->bms);
    poller->before = poller->bms;
    pack_clear(&poller->incoming);
    spike_drop(&poller->spike);
    forget_step(&poller->steps[0]);
    for (unsigned i = 0; i < config->driver->steps; i++) {
        forget_step(&poller->steps[i]);
        poller->steps[i].due = 0;
        poller->steps[i].misses = 0;
        poller->steps[i].refusals = 0;
        poller->steps[i].answers &= whole;
    }
    poller->forgotten = true;
}

void poller_reset(struct poller *poller, double now)
{
    forget_device(poller, !poller_stale(poller, now));
    poller->last_started = NAN;
    poller->round_s = poller->last_round_s = 0;
    poller->in_cycle = false;
    poller->tries = 0;
    poller->due = now;
}

void poller_stood_still(struct poller *poller)
{
    poller->paused = poller->stopped = true;
    poller->last_started = NAN;
}

void poller_reopened(struct poller *poller, double now)
{
    if (poller->disorder_s > 0)
        return; /* who repeats it does so behind the port */
    if (!isnan(poller->clear_at))
        poller->due = fmin(poller->due, now);
    close_all(poller);
}

void poller_settle(struct poller *poller, double asked_at)
{
    for (unsigned i = 0; poller->steps && i < poller->config->driver->steps; i++)
        if (poller->steps[i].asked_at <= asked_at)
            poller->steps[i].open_since = NAN;
}

bool poller_doubts(const struct poller *poller)
{
    return !poller->in_cycle && !isnan(poller->clear_at);
}

/* On a line that says things twice or out of order: a request has its own answer, and since then as much time has
 * passed as that ever takes. What was asked up to then will not be answered any more. */
static void close_rested(struct poller *poller, double now)
{
    double until = -INFINITY;
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        const struct poller_step *step = &poller->steps[i];
        if (step->sure && now >= step->asked_at + poller->disorder_s)
            until = fmax(until, step->asked_at);
    }
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        if (poller->steps[i].asked_at <= until)
            close_step(&poller->steps[i]);
}

static void begin_cycle(struct poller *poller, double now)
{
    poller->in_cycle = true;
    poller->incomplete = false;
    poller->cycle_started = now;
    poller->vital_missed = false;
    poller->step = 0;
    poller->tries = 0;
    poller->built = false;
    spike_drop(&poller->spike);
    poller->pass = PASS_KNOWN;
    poller->told = poller->garbled = poller->retimed = poller->skipped = poller->probed = false;
    poller->trials_over = poller->paused = poller->stopped = false;
    poller->repeats_before = poller->counters.repeats;
    if (now >= poller->clear_at)
        close_all(poller);
    else if (poller->disorder_s > 0)
        close_rested(poller, now);
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        poller->steps[i].late = false;
}

double poller_interval(const struct poller *poller)
{
    double interval = poller->config->poll_s, slowest = fmax(SLOWEST_S, interval);
    for (unsigned i = 0; i < poller->silent_cycles && interval < slowest; i++)
        interval *= 2;
    return fmin(interval, slowest);
}

/* A sleeping BMS misses the request that wakes it up: each other time the next one follows soon. */
static double next_in_s(const struct poller *poller)
{
    double interval = poller_interval(poller), soon = fmax(SLEEPER_S, poller->config->poll_s);
    return poller->silent_cycles % 2 == 1 ? fmin(interval, soon) : interval;
}

static void publish(struct poller *poller, double at)
{
    if (poller->config->driver->finish)
        poller->config->driver->finish(&poller->bms, &poller->values);
    pack_derive(&poller->values);
    poller->counters.implausible += poller->values.implausible;
    poller->published_at = at;
}

/* How long a part may be used: until its next reading is well overdue. Over a slow line the first cycles can take longer than that, before
 * its pace is known: what they have brought is used nevertheless, and published as old as it is. */
static bool usable(const struct poller *poller, unsigned index, double now)
{
    const double at = poller->steps[index].at,
                 most_s = poller->config->driver->plan[index].every_s + poller_stale_after(poller);
    return now - at <= (at >= poller->cycle_started ? fmax(most_s, ROUNDS_MOST_S) : most_s);
}

/* A reply is still in doubt that nothing else on the line settles. One that comes late comes later
 * than its request by at most as much as this one did, if this was a late one: by then all of them
 * are through. On a line that says things twice or out of order, that takes as long as it ever did. */
static void note_doubt(struct poller *poller, double now)
{
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        const struct poller_step *step = &poller->steps[i];
        if (step->sure)
            poller->due = fmax(poller->due, step->asked_at + poller->disorder_s);
        bool late = step->late || (step->heard && step->open_since < step->asked_at);
        if (!late || isnan(step->open_since))
            continue;
        double through = fmax(now + fmin(now - step->open_since, REST_MOST_S),
                              step->asked_at + poller->disorder_s);
        poller->clear_at = fmax(isnan(poller->clear_at) ? through : poller->clear_at, through);
    }
    if (!isnan(poller->clear_at))
        poller->due = fmax(poller->due, poller->clear_at);
}

/* When the parts of this cycle were asked for, from the first vital one on: what comes before it
 * only wakes the pack up. */
static void find_times(const struct poller *poller, double *first, double *last)
{
    const struct bms_driver *driver = poller->config->driver;
    bool vital = false;
    *first = INFINITY;
    *last = -INFINITY;
    for (unsigned i = 0; i < driver->steps; i++) {
        const struct poller_step *step = &poller->steps[i];
        vital |= driver->plan[i].vital;
        if (!vital || driver->plan[i].every_s > 0 || isnan(step->at))
            continue;
        *first = fmin(*first, step->at);
        *last = fmax(*last, step->at);
    }
}

/* What has been read is put together and published, if it is of one time. */
static bool tell(struct poller *poller, double now)
{
    double first, last;
    find_times(poller, &first, &last);
    bool of_one_time = poller->disorder_s > 0 ? first >= poller->cycle_started - TOGETHER_S
                                              : last - first <= now - poller->cycle_started;
    /* The answer to a request of an earlier cycle, beside others that took their time. */
    if (first < last && first < poller->cycle_started)
        of_one_time &= now - first <= SLOWLY_S;
    bool whole = !poller->incomplete && of_one_time;
    if (poller->vital_missed || isinf(first) || !whole)
        return false;
    pack_clear(&poller->values);
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        if (usable(poller, i, now))
            pack_merge(&poller->values, &poller->steps[i].part);
        /* A value that was refused is counted when it comes, not again with each cycle that it
         * stays away. */
        poller->steps[i].part.implausible = 0;
    }
    publish(poller, first);
    poller->counters.polls += !poller->told;
    poller->told = true;
    if (isnan(poller->first_at))
        poller->first_at = now;
    return true;
}

/* The pace of the line. After a miss, or a rest, the time since the cycle before tells nothing of it, and neither does a
 * single pause, whatever it was for: what two rounds in a row took counts. */
static void learn_round(struct poller *poller, double now)
{
    bool rests = (!isnan(poller->clear_at) && poller->disorder_s == 0) || poller->stopped;
    if (poller->told && !isnan(poller->last_started)) {
        double round_s = poller->cycle_started - poller->last_started;
        poller->round_s = poller->last_round_s > 0 ? fmin(round_s, poller->last_round_s) : round_s;
        poller->last_round_s = round_s;
    }
    poller->last_started = poller->told && !rests ? poller->cycle_started : NAN;
    /* Where a request was asked again, or its answer took much longer than ever of late, something stood still. */
    if (poller->told && !poller->paused && poller->counters.repeats == poller->repeats_before)
        poller->took_s = now - poller->cycle_started;
}

static void end_cycle(struct poller *poller, double now)
{
    poller->in_cycle = poller->woken = false;
    poller->hurries = 0;
    poller->due = fmax(poller->cycle_started + next_in_s(poller), now);
    note_doubt(poller, now);
    learn_round(poller, now);
    poller->complete |= poller->told && now - poller->first_at > COMPLETE_S;
}

static void next_step(struct poller *poller)
{
    poller->step++;
    poller->tries = 0;
    poller->garbled = poller->retimed = false;
    spike_drop(&poller->spike);
}

/* A step that is worth one request when all else is read: it was never answered, or is given up.
 * What the driver asks before the first vital step leads to that, and is asked in its place. */
static bool is_trial(const struct poller *poller, unsigned index)
{
    const struct bms_step *plan = poller->config->driver->plan;
    bool behind_vital = false;
    for (unsigned i = 0; i < index; i++)
        behind_vital |= plan[i].vital;
    const struct poller_step *step = &poller->steps[index];
    bool good = step->answers && step->misses == 0;
    return behind_vital && !plan[index].vital && isnan(step->at) && !good;
}

/* A cycle with a late answer is walked through once more, unless nothing has settled, or will by
 * being asked again, that no earlier request can answer. So what is published is of one time. */
static bool is_in_doubt(const struct poller *poller)
{
    bool late = false, settled = false;
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        const struct poller_step *step = &poller->steps[i];
        late |= step->late;
        settled |= isnan(step->open_since) && (step->late || step->at >= poller->cycle_started);
    }
    return late && settled && !poller->vital_missed && !poller->incomplete;
}

/* While a pack is silent, the vital steps tell best whether it is there. If it is, the cycle begins
 * anew with what its driver wants to know first. */
static bool is_wanted(struct poller *poller, double now)
{
    const struct poller_step *step = &poller->steps[poller->step];
    bool trial = is_trial(poller, poller->step);
    if (now < step->due || trial != (poller->pass == PASS_TRIALS))
        return false;
    if (trial && poller->step < poller->trials_from)
        return false;
    if (poller->silent_cycles > 0 && poller->config->driver->plan[poller->step].every_s > 0) {
        poller->skipped = true;
        return false;
    }
    return poller->pass != PASS_AGAIN || poller->config->driver->plan[poller->step].every_s == 0;
}

/* All of one pass is asked. The values are published before anything is tried that may stay
 * unanswered; what that brings is published as well. */
static bool begin_pass(struct poller *poller, double now, bool *published)
{
    if (poller->skipped && !poller->vital_missed) {
        poller->skipped = false;
    } else if (poller->pass == PASS_KNOWN && is_in_doubt(poller)) {
        poller->pass = PASS_AGAIN;
    } else if (poller->pass != PASS_TRIALS) {
        *published |= tell(poller, now);
        poller->tried = false;
        poller->pass = PASS_TRIALS;
        if (!poller->told)
            return false;
    } else {
        if (poller->tried)
            *published |= tell(poller, now);
        poller->complete |= !poller->trials_over;
        poller->trials_from = poller->trials_over ? poller->trials_from : 0;
        return false;
    }
    poller->step = 0;
    poller->tries = 0;
    return true;
}

/* Builds the next request of the cycle, unless it is there already. False: there is none. */
static bool find_request(struct poller *poller, double now, bool *published)
{
    const struct bms_driver *driver = poller->config->driver;
    for (; !poller->built; next_step(poller)) {
        if (poller->step >= driver->steps && !begin_pass(poller, now, published))
            return false;
        if (!is_wanted(poller, now))
            continue;
        if (poller->pass == PASS_TRIALS && poller->busy)
            return false;
        poller->before = poller->bms;
        poller->built = driver->build(&poller->bms, poller->step, &poller->request);
        if (poller->built)
            break;
        forget_step(&poller->steps[poller->step]);
    }
    return poller->built;
}

bool poller_over(struct poller *poller, double now, bool *published)
{
    *published = false;
    if (!poller->in_cycle || find_request(poller, now, published))
        return false;
    end_cycle(poller, now);
    return true;
}

void poller_note_foreign(struct poller *poller, const uint8_t *bytes, size_t size, double asked_at)
{
    const uint32_t asked = recall_hash(bytes, size);
    for (unsigned i = 0; poller->steps && i < poller->config->driver->steps; i++) {
        struct poller_step *step = &poller->steps[i];
        if (step->asked == asked && !(step->open_since <= asked_at))
            step->open_since = asked_at;
    }
    poller->foreign += poller->foreign < FOREIGN_MOST;
    poller->foreign_until = asked_at + FOREIGN_S;
    poller->order_open_until = fmax(poller->order_open_until, asked_at + FOREIGN_S);
}

bool poller_awaits_foreign(const struct poller *poller, double now)
{
    return (poller->foreign > 0 && now < poller->foreign_until) || now < poller->surplus_until;
}

/* What has come may be the answer to somebody else, and nobody can tell. If it was, one more is on its way than will be waited
 * for, now that the same is asked once more. */
static bool is_foreign(struct poller *poller, double now)
{
    if (now >= poller->foreign_until)
        poller->foreign = 0;
    if (poller->foreign == 0)
        return false;
    poller->foreign--;
    poller->surplus_until = now + SURPLUS_S;
    return true;
}

/* Some steps ask in the same words, and get the same answers. */
static void note_request(struct poller *poller, double now)
{
    struct poller_step *step = &poller->steps[poller->step];
    step->request = poller->request;
    step->asked = recall_hash(poller->request.bytes, poller->request.size);
    step->asked_at = now;
    recall_ask(&poller->recall, step->asked, now);
    if (isnan(step->open_since)) {
        step->open_since = now;
        step->heard = false;
    }
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        if (poller->steps[i].asked == step->asked && poller->steps[i].open_since < step->open_since)
            step->open_since = poller->steps[i].open_since;
    lateness_ask(&poller->lateness, step->open_since == now && poller->disorder_s == 0);
}

bool poller_request(struct poller *poller, double now, struct bms_request *request, bool *published)
{
    if (!poller->in_cycle)
        begin_cycle(poller, now);
    if (poller_over(poller, now, published)) {
        *published = poller->told;
        return false;
    }
    *request = poller->request;
    poller->built = false;
    pack_clear(&poller->incoming);
    note_request(poller, now);
    poller->counters.repeats += poller->tries > 0;
    poller->tries++;
    poller->garbled |= poller->silent_cycles == 0 && now < poller->noisy_until;
    return true;
}

static void miss_step(struct poller *poller, double now);

/* A reply that is in doubt has taught the driver nothing either: it builds the same request anew,
 * knowing what it knew; but in which way it was answered is worth being tried first. */
static void ask_again(struct poller *poller, double now)
{
    const uint8_t way = poller->bms.way;
    poller->bms = poller->before;
    poller->bms.way = way;
    poller->last_answer = now;
    poller->tries = 0;
}

/* The reply in poller->incoming, compared with what the same request brought before. */
static enum spike_verdict judge(struct poller *poller, bool first, const struct pack *before,
                                double now)
{
    const struct pack_config *config = poller->config;
    bool rare = config->driver->plan && config->driver->plan[poller->step].every_s > 0;
    const struct spike_rules rules = {
        .limits = &config->spikes,
        .weak = config->driver->check == BMS_CHECK_SUM,
        .noisy = now < poller->noisy_until,
        .first = first,
        .awaited = !rare || isnan(poller->steps[poller->step].at) || poller_stale(poller, now),
    };
    enum spike_verdict verdict = spike_judge(&poller->spike, &rules, before, &poller->incoming);
    poller->counters.spikes += verdict == SPIKE_REFUTED;
    return verdict;
}

/* Whether the reply of a step is believed; else it is asked for again, or given up. What is asked
 * only when there is need of it has no reading to compare with, and none that will follow. The first
 * values of a pack are asked twice as well, unless others on its line wait for theirs. */
static bool is_believed(struct poller *poller, double now)
{
    bool first = poller->config->driver->plan[poller->step].every_s > 0 ||
                 !poller_stale(poller, now) || !poller->config->options.shared;
    const struct pack *before =
        usable(poller, poller->step, now) ? &poller->steps[poller->step].part : NULL;
    enum spike_verdict verdict = judge(poller, first, before, now);
    if (verdict == SPIKE_DOUBTED || verdict == SPIKE_UNSETTLED)
        ask_again(poller, now);
    if (verdict == SPIKE_UNSETTLED)
        miss_step(poller, now);
    return verdict == SPIKE_BELIEVED || verdict == SPIKE_REFUTED;
}

/* Whether the reply is as likely one to an earlier request that got none, or has said the same, as to the last one. A
 * line that was never seen to say things twice or out of order is believed as long as replies come when they usually do. */
static bool is_out_of_turn(const struct poller *poller)
{
    const struct poller_step *step = &poller->steps[poller->step];
    double took_s = poller->replied_at - step->asked_at;
    if (poller->reply == 0 || poller->disorder_s > 0 || step->quick_s == 0)
        return false;
    bool usual = took_s >= EARLY * step->quick_s && took_s <= LATE * poller->answer_s + LATE_S;
    return !usual && recall_suspects(&poller->recall, step->asked, step->asked_at, poller->reply);
}

/* On a line that says things twice or out of order: the first request that stayed unanswered, of so long ago that it may
 * be the one that is answered now. */
static double first_unanswered(const struct poller *poller, double now)
{
    const struct poller_step *step = &poller->steps[poller->step];
    double since = now - 2 * poller->disorder_s;
    return recall_first(&poller->recall, step->asked, since, step->asked_at, 0);
}

/* The first request that the reply can be the answer to. On a line that says things twice it was left in peace for so
 * long that nothing comes twice, unless all stood still in the meantime. */
static double first_request(const struct poller *poller, double now)
{
    const struct poller_step *step = &poller->steps[poller->step];
    if (poller->disorder_s > 0) {
        double unanswered = first_unanswered(poller, now);
        bool stood_still = unanswered < step->asked_at;
        double since = stood_still ? poller->sure_at - poller->disorder_s : INFINITY;
        return fmin(step->open_since, fmin(unanswered, since));
    }
    if (!is_out_of_turn(poller))
        return step->open_since;
    return fmin(step->open_since, recall_first(&poller->recall, step->asked, -INFINITY,
                                               step->asked_at, poller->reply));
}

/* Some answer to the step in flight is there. True: it can be that to its last request only, and behind it there is
 * none to an earlier one. */
static bool note_answer(struct poller *poller, double at)
{
    struct poller_step *step = &poller->steps[poller->step];
    if (at < step->asked_at || poller->disorder_s > 0)
        return false;
    poller_settle(poller, step->asked_at);
    return true;
}

/* The first answer tells how long it was on its way at most, and one with a single request before it how long it was. */
static void note_lateness(struct poller *poller, struct poller_step *step, double at)
{
    double took_s = at - step->asked_at, at_most_s = at - step->open_since;
    bool first = !step->heard || step->open_since == step->asked_at;
    if (first && poller->disorder_s == 0 && took_s >= 0)
        lateness_answer(&poller->lateness, took_s, at_most_s);
    step->heard = true;
}

/* What a line that says things twice was left in peace for may have stood still on its way, and then comes with the first
 * answer, or in its place: that is thrown away, and the same is asked once more. */
static bool is_probe(struct poller *poller, double at)
{
    struct poller_step *step = &poller->steps[poller->step];
    bool probe = poller->disorder_s > 0 && !poller->probed;
    poller->probed = true;
    if (probe && at == step->asked_at)
        close_step(step);
    return probe;
}

/* A step that said something new each time and now says what it said before, word for word: the first time it is asked
 * once more, as such a reply may have come twice. Where it stays with that, it is a habit of this pack's. */
static bool is_odd(struct poller *poller)
{
    struct poller_step *step = &poller->steps[poller->step];
    uint32_t before = step->odd;
    step->odd = 0;
    if (poller->reply == 0 || poller->disorder_s > 0 || step->repeats)
        return false;
    step->repeats = before == poller->reply;
    if (before != 0 || !recall_returns(&poller->recall, step->asked, step->asked_at, poller->reply))
        return false;
    step->odd = poller->reply;
    return true;
}

/* A reply may have lain about for long: the process was stopped, the host slept, the line stood
 * still. It is as old as the first of the requests that it may answer. */
bool poller_answered(struct poller *poller, double now)
{
    struct poller_step *step = &poller->steps[poller->step];
    const struct bms_step *plan = &poller->config->driver->plan[poller->step];
    if (is_foreign(poller, now)) {
        ask_again(poller, now);
        return false;
    }
    note_lateness(poller, step, poller->replied_at);
    poller->paused |= poller->answer_s > 0 &&
                      poller->replied_at - step->asked_at > LATE * poller->answer_s + LATE_S;
    if (is_out_of_turn(poller) && !poller->retimed) {
        recall_answer(&poller->recall, step->asked, step->asked_at, poller->reply);
        bool settled = note_answer(poller, step->open_since);
        ask_again(poller, now);
        poller->retimed = true;
        return settled;
    }
    double at = first_request(poller, now);
    bool probe = is_probe(poller, at), odd = is_odd(poller);
    recall_answer(&poller->recall, step->asked, step->asked_at, poller->reply);
    if (probe || odd) {
        ask_again(poller, now);
        return false;
    }
    bool settled = note_answer(poller, at);
    if (!is_believed(poller, now))
        return settled;
    poller->forgotten = false;
    step->refusals = 0;
    double took_s = poller->replied_at - step->asked_at;
    step->quick_s = step->quick_s > 0 ? fmin(took_s, step->quick_s * SLOWER) : took_s;
    step->part = poller->incoming;
    step->at = at;
    step->sure = poller->disorder_s > 0 && at >= poller->cycle_started;
    if (step->sure)
        poller->sure_at = at;
    step->late = at < step->asked_at && plan->every_s == 0; /* what changes slowly may be older */
    poller->last_answer = now;
    step->misses = 0;
    step->answers = true;
    poller->tried |= poller->pass == PASS_TRIALS;
    step->due = plan->every_s ? step->at + plan->every_s : 0;
    if (plan->vital)
        poller->silent_cycles = 0;
    next_step(poller);
    return settled;
}

double poller_suspects(const struct poller *poller, double now, double quiet_s)
{
    const struct poller_step *step = &poller->steps[poller->step];
    if (step->open_since < step->asked_at ||
        !recall_suspects(&poller->recall, step->asked, step->asked_at, poller->reply))
        return NAN;
    return fmax(now + quiet_s, step->asked_at + step->quick_s);
}

double poller_late(const struct poller *poller, double now, uint32_t reply)
{
    const struct poller_step *step = &poller->steps[poller->step];
    if (reply == poller->reply)
        return NAN;
    double since =
        recall_asked_for(&poller->recall, step->asked, step->asked_at, now, poller->reply);
    return now - since;
}

void poller_contradicted(struct poller *poller)
{
    poller->incomplete = true;
}

/* Whether any step has asked in these words and may still be answered. */
static bool is_awaited(const struct poller *poller, uint32_t asked)
{
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        if (poller->steps[i].asked == asked && !isnan(poller->steps[i].open_since))
            return true;
    return false;
}

/* Whether the frames are a reply to that step, which is found in `reply` then. */
static bool is_reply(const struct poller *poller, const struct poller_step *step,
                     const struct reply *frames, struct reply *reply)
{
    struct bms bms = poller->bms;
    struct pack pack;
    *reply = *frames;
    if (step->request.size == 0)
        return false;
    pack_clear(&pack);
    return reply_decode(reply, &bms, &step->request, true, &pack) == REPLY_DONE;
}

double poller_recognize(const struct poller *poller, double now, const struct reply *frames)
{
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        const struct poller_step *step = &poller->steps[i];
        struct reply reply;
        bool awaited = poller->disorder_s == 0 && is_awaited(poller, step->asked);
        if (awaited || !is_reply(poller, step, frames, &reply))
            continue;
        double since = recall_asked_for(&poller->recall, step->asked, INFINITY, now, reply.hash);
        if (!isnan(since))
            return now - since;
    }
    return NAN;
}

/* All that is asked comes too late to be waited for, as far as is known. */
static bool is_too_late(const struct poller *poller, double now)
{
    const struct lateness *lateness = &poller->lateness;
    return !poller->in_cycle && poller_stale(poller, now) &&
           (lateness->count == 0 || lateness->doubtful > 4);
}

/* The step whose request is the first one that the frames can be a reply to; NULL: none. */
static struct poller_step *find_asker(const struct poller *poller, const struct reply *frames)
{
    struct poller_step *first = NULL;
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        struct poller_step *step = &poller->steps[i];
        struct reply reply;
        if (isnan(step->open_since) || !is_reply(poller, step, frames, &reply))
            continue;
        if (!first || step->open_since < first->open_since)
            first = step;
    }
    return first;
}

bool poller_overhears(struct poller *poller, double now, const struct reply *frames)
{
    struct poller_step *step = poller->disorder_s == 0 ? find_asker(poller, frames) : NULL;
    if (!step || step->heard)
        return false;
    step->due = fmin(step->due, now + TRY_AGAIN_S); /* it is answered, if late */
    step->misses = step->misses > 1 && isnan(step->at) ? 1 : step->misses;
    note_lateness(poller, step, now);
    if (is_too_late(poller, now)) {
        poller->clear_at = now + fmin(now - step->open_since, REST_MOST_S);
        poller->due = poller->clear_at;
    }
    return true;
}

void poller_distrust(struct poller *poller, double now, double disorder_s)
{
    poller->lateness = (struct lateness){0};
    /* Where something came late, something else may come later still. */
    double older_s = 2 * disorder_s;
    poller->disorder_s = disorder_s;
    poller->sure_at = now - older_s;
    poller->published_at -= older_s;
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        struct poller_step *step = &poller->steps[i];
        step->at -= older_s;
        step->sure = false;
        if (step->asked_at >= now - older_s)
            step->open_since = fmin(step->open_since, now - older_s);
    }
    if (!poller->in_cycle)
        note_doubt(poller, now);
}

/* Without its vital step a cycle is worth nothing; the line is better used by the neighbours.
 * After a long silence it may be another pack that answers: once, all is forgotten; what the
 * driver then tries out to find its way is kept. */
static void abandon_cycle(struct poller *poller, double now)
{
    poller->vital_missed = true;
    poller->silent_cycles++;
    /* It refuses, or its answers are in doubt: it is there. */
    if (poller->last_answer >= poller->cycle_started && poller->silent_cycles > ANSWERING_MOST)
        poller->silent_cycles = ANSWERING_MOST;
    if (!poller->forgotten && now - poller->last_answer > poller_stale_after(poller))
        forget_device(poller, false);
    poller->step = poller->config->driver->steps;
}

void poller_refused(struct poller *poller, double now)
{
    struct poller_step *step = &poller->steps[poller->step];
    if (is_foreign(poller, now)) {
        ask_again(poller, now);
        return;
    }
    note_lateness(poller, step, poller->replied_at);
    recall_answer(&poller->recall, step->asked, step->asked_at, REFUSAL);
    note_answer(poller, step->open_since);
    unsigned believed = poller->config->driver->check == BMS_CHECK_SUM ? 3 : 2;
    if (step->answers && ++step->refusals < believed) {
        ask_again(poller, now);
        return;
    }
    poller->counters.refused++;
    poller->last_answer = now;
    step->answers = false;
    step->refusals = 0;
    forget_step(step);
    if (poller->config->driver->plan[poller->step].vital) {
        abandon_cycle(poller, now);
        return;
    }
    step->due = now + REFUSED_AGAIN_S;
    next_step(poller);
}

static unsigned configured_tries(const struct poller *poller)
{
    if (poller->config->line->tries > 0)
        return poller->config->line->tries;
    return poller->config->driver->line.tries > 0 ? poller->config->driver->line.tries : 3;
}

static bool was_never_heard(const struct poller *poller)
{
    return isnan(poller->last_answer);
}

bool poller_is_unsure(const struct poller *poller)
{
    if (poller->config->driver->plan[poller->step].vital)
        return poller->silent_cycles > 0 || was_never_heard(poller);
    return poller->silent_cycles > 0 || is_trial(poller, poller->step);
}

/* Nobody knows yet in which of several ways it is asked, and it is alone on its line: it may as well be asked in all of them. */
static bool looks_for_its_way(const struct poller *poller)
{
    const struct bms *bms = &poller->bms;
    return bms->driver->ways > 1 && bms->way == 0 && bms->options.variant == 0 &&
           !bms->options.shared && configured_tries(poller) > 1;
}

/* What was never answered may not be known to this board, and a silent pack has neighbours that
 * wait: one request each time is enough. The very first may just have woken it up. Where something
 * came, there is somebody who answers. */
static unsigned allowed_tries(const struct poller *poller)
{
    unsigned tries = configured_tries(poller);
    if (!poller_is_unsure(poller) || poller->garbled)
        return tries;
    if (looks_for_its_way(poller))
        return poller->config->driver->ways;
    bool asleep = was_never_heard(poller) && poller->silent_cycles == 0;
    bool twice = poller->woken || (asleep && !poller->bms.options.shared);
    return twice && tries > 2 ? 2 : 1;
}

/* The waits for a request that stays unanswered are not worth much: less and less often. Where something came, it is
 * answered, and the next reply may be whole. */
static double ask_again_s(const struct poller *poller, const struct poller_step *step)
{
    if (poller->garbled)
        return TRY_AGAIN_S;
    bool given_up = step->answers && step->misses >= GIVE_UP_MISSES;
    double seconds = given_up ? ASK_AGAIN_S : TRY_AGAIN_S;
    unsigned from = given_up ? GIVE_UP_MISSES : 1;
    for (unsigned i = from; i < step->misses && seconds < REFUSED_AGAIN_S; i++)
        seconds = fmin(seconds * 2, REFUSED_AGAIN_S);
    return seconds;
}

/* A board that does not know several requests leaves one after the other unanswered, and its values must not wait for all
 * of them: what there is no time for in this cycle comes in the next one, where this one ended. */
static void end_trials(struct poller *poller, double now)
{
    double took_s = now - poller->steps[poller->step].asked_at;
    if (poller->pass != PASS_TRIALS ||
        now + took_s <= poller->cycle_started + poller->config->poll_s)
        return;
    poller->trials_from = poller->step + 1;
    poller->trials_over = true;
    poller->step = poller->config->driver->steps - 1;
}

static void miss_step(struct poller *poller, double now)
{
    struct poller_step *step = &poller->steps[poller->step];
    const struct bms_step *plan = &poller->config->driver->plan[poller->step];
    /* That a board does not know a request, or was asleep, is no fault of the line. */
    bool first = plan->vital && was_never_heard(poller) && poller->silent_cycles == 0;
    poller->counters.timeouts += !first && (plan->vital || !isnan(step->at));
    if (plan->vital) {
        abandon_cycle(poller, now);
        return;
    }
    step->misses++;
    if (isnan(step->at) || step->misses >= GIVE_UP_MISSES) {
        step->due = now + ask_again_s(poller, step);
        forget_step(step);
    } else if (plan->every_s == 0) {
        poller->incomplete = true;
    }
    end_trials(poller, now);
    next_step(poller);
}

void poller_unanswered(struct poller *poller, double now)
{
    lateness_miss(&poller->lateness);
    if (poller->tries >= allowed_tries(poller))
        miss_step(poller, now);
    else if (poller->garbled && poller->config->driver->plan[poller->step].vital)
        poller->bms = poller->before; /* the question was right: it is asked in the same way */
}

void poller_disturbed(struct poller *poller, double now)
{
    poller->noisy_until = now + NOISY_S;
    poller->garbled = true;
}

bool poller_heard(struct poller *poller, double now, double age_s)
{
    struct poller_step *step = &poller->steps[0];
    bool known = now - step->at <= poller_stale_after(poller);
    /* A search hears it for a moment only. */
    bool first = !isnan(poller->published_at);
    enum spike_verdict verdict = judge(poller, first, known ? &step->part : NULL, now);
    poller->hurries = 0;
    bool believed = verdict == SPIKE_BELIEVED || verdict == SPIKE_REFUTED;
    poller->last_answer = now;
    poller->silent_cycles = 0;
    poller->forgotten = false;
    if (believed) {
        poller->values = step->part = poller->incoming;
        step->at = now;
        publish(poller, now - age_s);
        poller->counters.polls++;
        poller->complete = true;
        poller->before = poller->bms;
    } else {
        poller->bms = poller->before;
    }
    pack_clear(&poller->incoming);
    return believed;
}

void poller_unheard(struct poller *poller)
{
    poller->counters.timeouts++;
    poller->silent_cycles++;
    poller->hurries = 0;
    if (!poller->forgotten)
        forget_device(poller, false);
    pack_clear(&poller->incoming);
}

/* What is due now is known by what it brought last. What never brought anything may be what brings it. */
void poller_look(struct poller *poller, enum pack_value id, double now)
{
    bool known = false;
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        known |= pack_known(&poller->steps[i].part, id);
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        if (!known || pack_known(&poller->steps[i].part, id))
            poller->steps[i].due = 0;
    poller->in_cycle = false;
    poller->tries = 0;
    poller->due = now;
}

void poller_hurry(struct poller *poller, double now)
{
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        poller->steps[i].due = 0;
    poller->in_cycle = false;
    poller->hurries++;
    poller->tries = 0;
    poller->due = now;
}

void poller_tell_apart(struct poller *poller, double now)
{
    const struct bms_driver *driver = poller->config->driver;
    uint32_t asked = 0;
    bool one_kind = true;
    for (unsigned i = 0; i < driver->steps; i++) {
        const struct poller_step *step = &poller->steps[i];
        if (driver->plan[i].every_s > 0 || !step->answers)
            continue;
        one_kind &= asked == 0 || step->asked == asked;
        asked = step->asked;
    }
    for (unsigned i = 0; one_kind && i < driver->steps; i++)
        if (poller->steps[i].answers)
            poller->steps[i].due = 0;
    poller->due = fmin(poller->due, now);
}

bool poller_is_due_first(const struct poller *poller)
{
    return poller->hurries >= HURRIES_MOST;
}

double poller_read_since(const struct poller *poller, enum pack_value id, double since)
{
    double reading = NAN;
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        if (poller->steps[i].at >= since && pack_known(&poller->steps[i].part, id))
            reading = poller->steps[i].part.value[id];
    return reading;
}

void poller_wake(struct poller *poller, double now)
{
    if (poller->silent_cycles == 0)
        return;
    if (poller->forgotten)
        bms_forget(&poller->bms); /* it is asked in the way that it answered before */
    poller->silent_cycles = 2;
    poller->woken = true;
    poller->due = fmin(poller->due, now);
}

double poller_stale_after(const struct poller *poller)
{
    double configured = poller->config->stale_after_s;
    if (poller->config->stale_fixed)
        return configured;
    double round_s = fmax(poller->round_s, poller->expected_s);
    return fmax(configured, fmin(ROUNDS_GOOD * round_s, ROUNDS_MOST_S));
}

bool poller_stale(const struct poller *poller, double now)
{
    return isnan(poller->published_at) || now - poller->published_at > poller_stale_after(poller);
}
