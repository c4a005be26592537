// SPDX-License-Identifier: MIT
#include "search_attempts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A serial server has its own settings: the rate is not ours to choose. */
static bool has_baud(const struct line_config *wanted)
{
    return strncmp(wanted->port, "serial:", 7) == 0;
}

bool search_attempts_on_air(const struct line_config *wanted)
{
    return strncmp(wanted->port, "ble:", 4) == 0;
}

static struct attempt make_attempt(const struct line_config *wanted,
                                   const struct bms_driver *driver, const struct bms_guess *guess)
{
    struct attempt attempt = {.driver = driver, .guess = *guess};
    attempt.polls = guess->polls ? guess->polls : 1;
    attempt.baud = guess->baud && has_baud(wanted) ? guess->baud : driver->line.baud;
    if (wanted->baud)
        attempt.baud = wanted->baud;
    attempt.framing = wanted->framing[0] ? wanted->framing : BMS_FRAMING;
    if (search_attempts_on_air(wanted)) { /* there is one link for all of them */
        attempt.baud = ATTEMPT_AIR_BAUD;
        attempt.framing = BMS_FRAMING;
    }
    return attempt;
}

/* Devices that send by themselves are tried before anything is sent. */
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
    /* With a key only the advertisements of a device are received, without a connection. */
    const bool heard = search_attempts_on_air(wanted) && wanted->key_file[0];
    size_t count = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        if (heard ? !driver->advertises
                  : driver->advertises || (search_attempts_on_air(wanted) && !driver->on_air))
            continue;
        const struct bms_guess *guesses = driver->guess_count ? driver->guesses : &usual;
        unsigned guess_count = driver->guess_count ? driver->guess_count : 1;
        for (unsigned g = 0; g < guess_count; g++) {
            struct attempt attempt = make_attempt(wanted, driver, &guesses[g]);
            /* Where the rate is not ours to choose, a guess at another one is the same. */
            bool listed = false;
            for (size_t i = 0; out && i < count; i++)
                listed |=
                    out[i].driver == driver && out[i].guess.address == attempt.guess.address &&
                    out[i].guess.variant == attempt.guess.variant && out[i].baud == attempt.baud;
            if (out && !listed)
                out[count] = attempt;
            count += !listed;
        }
    }
    if (out)
        search_attempts_sort(wanted, out, count);
    return count;
}

void search_attempts_sort(const struct line_config *wanted, struct attempt *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i].order = (unsigned) i;
    qsort(list, count, sizeof *list, has_baud(wanted) ? compare_with_baud : compare);
}

struct attempt search_attempts_usual(const struct line_config *wanted,
                                     const struct bms_driver *driver)
{
    static const struct bms_guess usual = {.address = -1};
    return make_attempt(wanted, driver, driver->guess_count ? &driver->guesses[0] : &usual);
}

size_t search_attempts_sweep(const struct attempt *like, int last, unsigned polls,
                             struct attempt *out)
{
    const struct bms_driver *driver = like->driver;
    size_t count = 0;
    if (!bms_has_address(driver)) {
        out[count] = *like;
        out[count++].polls = polls;
        return count;
    }
    if (driver->address.sweep_last > 0 && driver->address.sweep_last < last)
        last = driver->address.sweep_last;
    for (int address = 0; address <= driver->address.max && count < SWEEP_MOST; address++) {
        if (!(address >= driver->address.min && address <= last) &&
            !(driver->address.dip_last > 0 && address >= driver->address.dip_first &&
              address <= driver->address.dip_last))
            continue;
        out[count] = *like;
        out[count].guess.address = address;
        out[count++].polls = polls;
    }
    return count;
}

/* A serial server or a bridge adds its own delay, at whatever rate. */
unsigned search_attempts_reply_ms(const struct line_config *wanted, const struct attempt *attempt)
{
    bool fast = has_baud(wanted) && attempt->baud >= ATTEMPT_FAST_BAUD;
    return fast ? ATTEMPT_FAST_MS : ATTEMPT_REPLY_MS;
}

void search_attempts_shorten(struct poller *poller)
{
    const struct bms_driver *driver = poller->config->driver;
    bool vital_seen = false;
    for (unsigned i = 0; i < driver->steps; i++) {
        const struct bms_step *step = &driver->plan[i];
        vital_seen |= step->vital;
        if (!step->vital && (vital_seen || step->every_s > 0))
            poller->steps[i].due = INFINITY;
    }
}

bool search_attempts_answered(const struct poller *poller)
{
    const struct bms_driver *driver = poller->config->driver;
    for (unsigned i = 0; i < driver->steps; i++)
        if (driver->plan[i].vital && !isnan(poller->steps[i].at))
            return true;
    return false;
}
