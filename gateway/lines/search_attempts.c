// SPDX-License-Identifier: MIT
/* What a search tries, and in which order. */
#include "search_attempts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A serial server has its own settings: the rate is not ours to choose. */
static bool has_baud(const struct line_config *wanted)
{
    return strncmp(wanted->port, "serial:", 7) == 0;
}

static struct attempt make_attempt(const struct line_config *wanted,
                                   const struct bms_driver *driver, const struct bms_guess *guess,
                                   unsigned order)
{
    const struct bms_line *usual = &driver->line;
    struct attempt attempt = {.driver = driver, .guess = *guess, .order = order};
    attempt.polls = guess->polls ? guess->polls : 1;
    attempt.baud = guess->baud && has_baud(wanted) ? guess->baud : usual->baud;
    if (wanted->baud)
        attempt.baud = wanted->baud;
    attempt.framing = wanted->framing[0] ? wanted->framing : usual->framing;
    return attempt;
}

/* The same guess at another rate, where the rate is not ours to choose, is the same attempt. */
static bool is_listed(const struct attempt *list, size_t count, const struct attempt *attempt)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].driver == attempt->driver && list[i].guess.address == attempt->guess.address &&
            list[i].guess.variant == attempt->guess.variant && list[i].baud == attempt->baud)
            return true;
    return false;
}

/* Who talks unasked is listened to before anything is asked. */
static int compare(const void *a, const void *b)
{
    const struct attempt *left = a, *right = b;
    bool left_talks = bms_talks(left->driver), right_talks = bms_talks(right->driver);
    if (left_talks != right_talks)
        return left_talks ? -1 : 1;
    return left->order < right->order ? -1 : 1;
}

/* Slow rates first, as most packs are; within a rate in the order of the list of drivers. */
static int compare_with_baud(const void *a, const void *b)
{
    const struct attempt *left = a, *right = b;
    if (left->baud == right->baud || bms_talks(left->driver) || bms_talks(right->driver))
        return compare(a, b);
    return left->baud < right->baud ? -1 : 1;
}

size_t search_attempts_list(const struct line_config *wanted, struct attempt *out)
{
    static const struct bms_guess usual = {.address = -1};
    size_t count = 0;
    unsigned order = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        const struct bms_guess *guesses = driver->guess_count ? driver->guesses : &usual;
        unsigned guess_count = driver->guess_count ? driver->guess_count : 1;
        for (unsigned g = 0; g < guess_count; g++) {
            struct attempt attempt = make_attempt(wanted, driver, &guesses[g], order++);
            if (!out)
                count++;
            else if (!is_listed(out, count, &attempt))
                out[count++] = attempt;
        }
    }
    if (out)
        qsort(out, count, sizeof *out, has_baud(wanted) ? compare_with_baud : compare);
    return count;
}

void search_attempts_shorten(struct poller *poller)
{
    const struct bms_driver *driver = poller->config->driver;
    bool vital_seen = false;
    for (unsigned i = 0; poller->steps && i < driver->steps; i++) {
        const struct bms_step *step = &driver->plan[i];
        vital_seen |= step->vital;
        if (!step->vital && (vital_seen || step->every_s > 0))
            poller->steps[i].due = INFINITY;
    }
}

bool search_attempts_answered(const struct poller *poller)
{
    const struct bms_driver *driver = poller->config->driver;
    for (unsigned i = 0; poller->steps && i < driver->steps; i++)
        if (driver->plan[i].vital && !isnan(poller->steps[i].at))
            return true;
    return false;
}

bool search_attempts_alike(const struct attempt *a, const struct attempt *b)
{
    return !bms_talks(a->driver) && !bms_talks(b->driver) && a->baud == b->baud &&
           strcmp(a->framing, b->framing) == 0;
}
