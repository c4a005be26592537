// SPDX-License-Identifier: MIT
/* One pack that is polled. */
#include "poller.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS_GOOD 2.5  /* rounds of a slow line that values are good for */
#define ROUNDS_MOST_S 60 /* and no longer than that */
#define SLOWEST_S 20     /* interval that silence leads to */

struct poller *poller_new(const struct pack_config *config)
{
    struct poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return NULL;
    poller->config = config;
    bms_init(&poller->bms, config->driver);
    poller->bms.options = config->options;
    poller->published_at = poller->pace.first_at = NAN;
    poller->presence =
        (struct poller_presence){.last_answer = NAN, .vain_since = NAN, .noisy_until = -INFINITY};
    pack_clear(&poller->values);
    /* A pack that is still searched has a plan without steps, and a talker none at all. */
    unsigned steps = config->driver->steps > 0 ? config->driver->steps : 1;
    poller->steps = calloc(steps, sizeof *poller->steps);
    if (!poller->steps) {
        free(poller);
        return NULL;
    }
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

void poller_forget_device(struct poller *poller, bool whole)
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
    poller_forget_device(poller, !poller_stale(poller, now));
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
    return fmax(configured, fmin(ROUNDS_GOOD * round_s, ROUNDS_MOST_S));
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
