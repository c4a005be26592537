// SPDX-License-Identifier: MIT
#include "poller.h"

#include "base/alloc.h"

#include <math.h>

#define ROUNDS_GOOD 2.5 /* rounds of a slow line that values are good for */
#define SLOWEST_S 20    /* interval that silence leads to */

struct poller *poller_new(const struct pack_config *config)
{
    struct poller *poller = alloc_zeroed(1, sizeof *poller);
    poller->config = config;
    bms_init(&poller->bms, config->driver);
    poller->bms.options = config->options;
    poller->published_at = poller->pace.first_at = NAN;
    poller->presence =
        (struct poller_presence){.last_answer = NAN, .vain_since = NAN, .noisy_until = -INFINITY};
    pack_clear(&poller->values);
    /* A pack that is still searched has a plan without steps, and a talker none at all. */
    unsigned steps = config->driver->steps > 0 ? config->driver->steps : 1;
    poller->steps = alloc_zeroed(steps, sizeof *poller->steps);
    for (unsigned i = 0; i < steps; i++)
        poller_forget_step(&poller->steps[i]);
    poller_reset(poller, 0);
    return poller;
}

void poller_free(struct poller *poller)
{
    if (poller)
        free(poller->steps);
    free(poller);
}

void poller_forget_step(struct poller_step *step)
{
    pack_clear(&step->part);
    step->at = NAN;
}

/* It fell silent. `whole`: steps that it answered before count as answered. */
static void forget_device(struct poller *poller, bool whole)
{
    const struct bms_driver *driver = poller->config->driver;
    bms_forget(&poller->bms);
    poller->before = poller->bms;
    pack_clear(&poller->incoming);
    spike_drop(&poller->spike);
    if (bms_talks(driver))
        poller_forget_step(&poller->steps[0]);
    for (unsigned i = 0; i < driver->steps; i++) {
        struct poller_step *step = &poller->steps[i];
        bool keeps = driver->plan[i].every_s > 0 && !isnan(step->at);
        if (!keeps)
            poller_forget_step(step);
        step->due = 0;
        step->misses = step->refusals = 0;
        step->answers &= whole || keeps;
    }
    poller->presence.forgotten = true;
}

void poller_reset(struct poller *poller, double now)
{
    forget_device(poller, !poller_stale(poller, now));
    poller->pace.last_started = NAN;
    poller->pace.round_s = poller->pace.last_round_s = 0;
    poller->cycle.under_way = false;
    poller->cycle.tries = 0;
    poller->pace.due = now;
}

double poller_stale_after(const struct poller *poller)
{
    double configured = poller->config->stale_after_s;
    if (poller->config->stale_fixed)
        return configured;
    double round_s = fmax(poller->pace.round_s, poller->pace.expected_s);
    return fmax(configured, fmin(ROUNDS_GOOD * round_s, LATELY_S));
}

bool poller_stale(const struct poller *poller, double now)
{
    return isnan(poller->published_at) || now - poller->published_at > poller_stale_after(poller);
}

unsigned poller_first_vital(const struct bms_driver *driver)
{
    unsigned step = 0;
    while (step < driver->steps && !driver->plan[step].vital)
        step++;
    return step;
}

bool poller_is_new(const struct poller *poller)
{
    return isnan(poller->presence.last_answer) && poller->presence.silent_cycles == 0;
}

void poller_learn_round(struct poller_pace *pace, double round_s)
{
    pace->round_s = pace->last_round_s > 0 ? fmin(round_s, pace->last_round_s) : round_s;
    pace->last_round_s = round_s;
}

bool poller_is_silent(const struct poller *poller)
{
    return poller->presence.silent_cycles > 0 || isnan(poller->presence.last_answer);
}

double poller_interval(const struct poller *poller)
{
    double interval = poller->config->poll_s, slowest = fmax(SLOWEST_S, interval);
    for (unsigned i = 0; i < poller->presence.silent_cycles && interval < slowest; i++)
        interval *= 2;
    return fmin(interval, slowest);
}

double poller_read_since(const struct poller *poller, enum pack_value id, double since)
{
    double reading = NAN;
    for (unsigned i = 0; i < poller->config->driver->steps; i++)
        if (poller->steps[i].at >= since && pack_known(&poller->steps[i].part, id))
            reading = poller->steps[i].part.value[id];
    return reading;
}

/* Until the next reading is well overdue. What a slow first cycle brought is used at its true age, however old. */
static bool is_usable(const struct poller *poller, unsigned index, double now)
{
    const double at = poller->steps[index].at,
                 most_s = poller->config->driver->plan[index].every_s + poller_stale_after(poller);
    return at >= poller->cycle.started || now - at <= most_s;
}

static void set_values(struct poller *poller, double at)
{
    if (poller->config->driver->finish)
        poller->config->driver->finish(&poller->bms, &poller->values);
    pack_derive(&poller->values);
    poller->counters.implausible += poller->values.implausible;
    poller->published_at = at;
}

/* Whether a part belongs to each cycle. */
static bool is_part(const struct poller *poller, unsigned index)
{
    return poller->config->driver->plan[index].every_s == 0 && !isnan(poller->steps[index].at);
}

/* The request time of the oldest part; infinity: none. *apart_s: the longest time between two. */
static double find_times(const struct poller *poller, double *apart_s)
{
    const unsigned steps = poller->config->driver->steps,
                   vital = poller_first_vital(poller->config->driver);
    double first = INFINITY;
    *apart_s = 0;
    for (unsigned i = vital; i < steps; i++) {
        if (!is_part(poller, i))
            continue;
        first = fmin(first, poller->steps[i].at);
        for (unsigned k = vital; k < steps; k++)
            if (k != i && is_part(poller, k))
                *apart_s = fmax(*apart_s, poller->steps[k].newest_at - poller->steps[i].at);
    }
    return first;
}

bool poller_publish(struct poller *poller, double now)
{
    struct poller_cycle *cycle = &poller->cycle;
    double apart_s;
    const double first = find_times(poller, &apart_s);
    bool of_one_time = apart_s <= fmax(now - cycle->started, poller->config->poll_s);
    if (cycle->vital_missed || cycle->incomplete || isinf(first) || !of_one_time)
        return false;
    pack_clear(&poller->values);
    for (unsigned i = 0; i < poller->config->driver->steps; i++) {
        if (is_usable(poller, i, now))
            pack_merge(&poller->values, &poller->steps[i].part);
        /* An implausible value is counted when it comes, not again in each cycle without a new one. */
        poller->steps[i].part.implausible = 0;
    }
    set_values(poller, first);
    poller->counters.polls += !cycle->published;
    cycle->published = true;
    if (isnan(poller->pace.first_at))
        poller->pace.first_at = now;
    return true;
}

void poller_end_cycle(struct poller *poller, double now)
{
    const struct poller_cycle *cycle = &poller->cycle;
    struct poller_pace *pace = &poller->pace;
    /* A sleeping BMS misses the request that wakes it up: every other time the next one follows soon. */
    const bool soon = poller->presence.silent_cycles % 2 == 1;
    const double next_s = soon ? poller->config->poll_s : poller_interval(poller);
    /* After a miss the time since the cycle before says nothing about the pace of the line. */
    if (cycle->published && !isnan(pace->last_started))
        poller_learn_round(pace, cycle->started - pace->last_started);
    const bool whole = cycle->published && !pace->interrupted;
    pace->last_started = whole ? cycle->started : NAN;
    if (whole && !cycle->disturbed)
        pace->took_s = now - cycle->started;
    pace->interrupted = poller->presence.woken = false;
    pace->dropped = 0;
    pace->due = fmax(cycle->started + next_s, now);
    poller->cycle.under_way = false;
}

/* After a long silence another pack may answer: all is forgotten, but only once. What the driver finds out then is kept. */
void poller_abandon_cycle(struct poller *poller, double now)
{
    struct poller_presence *presence = &poller->presence;
    poller->cycle.vital_missed = true;
    /* A pack that refuses, or whose answers are doubtful, is present. */
    const bool answers = presence->last_answer >= poller->cycle.started;
    presence->silent_cycles = answers ? 1 : presence->silent_cycles + 1;
    if (!presence->forgotten && now - presence->last_answer > poller_stale_after(poller))
        forget_device(poller, false);
    poller->cycle.step = poller->config->driver->steps;
}

static struct spike_rules rules_of(const struct poller *poller, bool first, bool awaited,
                                   double now)
{
    return (struct spike_rules){.limits = &poller->config->spikes,
                                .weak = poller->config->driver->check == BMS_CHECK_SUM,
                                .noisy = now < poller->presence.noisy_until,
                                .first = first,
                                .awaited = awaited};
}

/* On a protocol with a weak check the first values are requested twice, unless other packs on the
 * line wait for theirs. A rare step has no reading to compare with, and none follows soon. */
enum spike_verdict poller_judge(struct poller *poller, struct spike *spike, unsigned step,
                                double now)
{
    const struct pack_config *config = poller->config;
    const bool rare = config->driver->plan[step].every_s > 0, stale = poller_stale(poller, now);
    const struct spike_rules rules = rules_of(poller, rare || !stale || !config->options.shared,
                                              !rare || isnan(poller->steps[step].at) || stale, now);
    const struct pack *before = is_usable(poller, step, now) ? &poller->steps[step].part : NULL;
    return spike_judge(spike, &rules, before, &poller->incoming);
}

bool poller_judge_heard(struct poller *poller, struct spike *spike, const struct pack *before,
                        const struct pack *reading, double now)
{
    /* A search listens for a moment only. */
    const struct spike_rules rules = rules_of(poller, !isnan(poller->published_at), true, now);
    enum spike_verdict verdict = spike_judge(spike, &rules, before, reading);
    bool believed = verdict == SPIKE_BELIEVED || verdict == SPIKE_REFUTED;
    poller->counters.spikes += verdict == SPIKE_REFUTED;
    if (believed)
        poller->before = poller->bms;
    else
        poller->bms = poller->before;
    return believed;
}

static void note_heard(struct poller *poller, double now)
{
    poller->presence.last_answer = now;
    poller->presence.silent_cycles = poller->pace.dropped = 0;
    poller->presence.forgotten = false;
}

void poller_publish_heard(struct poller *poller, double now, double age_s)
{
    note_heard(poller, now);
    poller->values = poller->incoming;
    set_values(poller, now - age_s);
    poller->counters.polls++;
    poller->complete = true;
    pack_clear(&poller->incoming);
}

bool poller_heard(struct poller *poller, double now, double age_s)
{
    struct poller_step *step = &poller->steps[0];
    bool known = now - step->at <= poller_stale_after(poller);
    note_heard(poller, now);
    if (!poller_judge_heard(poller, &poller->spike, known ? &step->part : NULL, &poller->incoming,
                            now)) {
        pack_clear(&poller->incoming);
        return false;
    }
    step->part = poller->incoming;
    step->at = now;
    poller_publish_heard(poller, now, age_s);
    return true;
}

void poller_unheard(struct poller *poller)
{
    poller->counters.timeouts++;
    poller->presence.silent_cycles++;
    poller->pace.dropped = 0;
    if (!poller->presence.forgotten)
        forget_device(poller, false);
    pack_clear(&poller->incoming);
}
