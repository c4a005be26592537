// SPDX-License-Identifier: MIT
/* The packs on one line. */
#include "turns.h"

#include "plan.h"

#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SIZE 1600

bool turns_init(struct turns *turns, struct poller *const *pollers, unsigned count)
{
    *turns = (struct turns){.list = calloc(count, sizeof *turns->list)};
    if (!turns->list)
        return false;
    turns->count = count;
    for (unsigned i = 0; i < count; i++)
        turns->list[i] =
            (struct member){.poller = pollers[i], .missing_since = NAN, .silent_since = NAN};
    return true;
}

void turns_close(struct turns *turns)
{
    free(turns->list);
    *turns = (struct turns){0};
}

/* ---- the next pack ---- */

static void prefer_earlier(struct member **best, struct member *member)
{
    if (!*best || member->poller->pace.due < (*best)->poller->pace.due)
        *best = member;
}

struct member *turns_next(const struct turns *turns, double now)
{
    struct member *silent = NULL, *lively = NULL;
    for (unsigned i = 0; i < turns->count; i++) {
        struct member *member = &turns->list[i];
        if (member->poller->cycle.under_way)
            return member;
        prefer_earlier(poller_is_silent(member->poller) ? &silent : &lively, member);
    }
    if (!silent || !lively)
        return silent ? silent : lively;
    bool lively_first = lively->poller->pace.due <= now && now < turns->silent_from;
    return lively_first || lively->poller->pace.due <= silent->poller->pace.due ? lively : silent;
}

struct member *turns_find(const struct turns *turns, const struct poller *poller)
{
    for (unsigned i = 0; i < turns->count; i++)
        if (turns->list[i].poller == poller)
            return &turns->list[i];
    return NULL;
}

void turns_charge(struct turns *turns, double since, double now)
{
    turns->silent_from = now + SILENT_SHARE * (now - since);
}

bool turns_wait(const struct turns *turns, const struct poller *poller, double now)
{
    bool new_ones = false, due = false;
    for (unsigned i = 0; i < turns->count; i++) {
        const struct poller *other = turns->list[i].poller;
        if (other == poller || other->pace.due > now)
            continue;
        new_ones |= other->presence.woken ||
                    (isnan(other->presence.last_answer) && other->presence.silent_cycles == 0);
        due |= !poller_is_silent(other);
    }
    return new_ones || (due && now < turns->silent_from);
}

void turns_wake(struct turns *turns, const struct poller *poller, double now)
{
    turns->silent_from = now;
    for (unsigned i = 0; i < turns->count; i++) {
        struct poller *other = turns->list[i].poller;
        if (other != poller)
            plan_wake(other, now);
    }
}

void turns_tell_way(struct turns *turns, const struct poller *poller, double now)
{
    for (unsigned i = 0; i < turns->count; i++) {
        struct poller *other = turns->list[i].poller;
        if (other->bms.way > 0 || poller->bms.way == 0 ||
            other->config->driver != poller->config->driver)
            continue;
        other->bms.way = poller->bms.way;
        plan_wake(other, now);
    }
}

void turns_expect(struct turns *turns)
{
    double longest_s = 0, round_s = 0;
    for (unsigned i = 0; i < turns->count; i++)
        longest_s = fmax(longest_s, turns->list[i].poller->pace.took_s);
    for (unsigned i = 0; i < turns->count; i++) {
        const struct poller *poller = turns->list[i].poller;
        /* A pack that was not polled yet may take as long as the others. */
        if (poller->presence.silent_cycles == 0)
            round_s += poller->pace.took_s > 0 ? poller->pace.took_s : longest_s;
    }
    for (unsigned i = 0; i < turns->count; i++)
        turns->list[i].poller->pace.expected_s = round_s;
}

/* ---- what is logged of them ---- */

void turns_note_miss(struct member *member)
{
    if (member->poller->presence.silent_cycles > 0 && isnan(member->missing_since))
        member->missing_since = member->poller->cycle.started;
}

static bool is_missed(const struct member *member)
{
    return isnan(member->silent_since) && member->poller->presence.silent_cycles > 0 &&
           !isnan(member->missing_since);
}

/* After the port was away, a pack is reported as silent only after some unanswered requests. */
static bool is_worth_a_word(const struct member *member, double started_at, double now)
{
    const struct poller *poller = member->poller;
    const double since = isnan(poller->published_at) ? started_at : member->missing_since;
    return poller_stale(poller, now) && now - since >= poller_stale_after(poller) / 2;
}

/* "house-1 (daly, address 1), house-2 (daly, address 2)" */
static void append_name(char names[NAMES_SIZE], const struct poller *poller)
{
    const struct bms_driver *driver = poller->config->driver;
    const size_t used = strlen(names);
    char address[24] = "";
    if (bms_has_address(driver))
        snprintf(address, sizeof address, ", address %d", bms_address(&poller->bms));
    snprintf(names + used, NAMES_SIZE - used, "%s%s (%s%s)", used ? ", " : "", poller->config->name,
             driver->name, address);
}

void turns_report_silence(struct turns *turns, const char *line, double started_at, double now)
{
    char names[NAMES_SIZE] = "";
    bool heard = false, others_answer = false;
    double since = INFINITY, interval = 0;
    for (unsigned i = 0; i < turns->count; i++) {
        struct member *member = &turns->list[i];
        others_answer |= !poller_is_silent(member->poller);
        if (is_missed(member) && !is_worth_a_word(member, started_at, now))
            return; /* all are reported together */
    }
    for (unsigned i = 0; i < turns->count; i++) {
        struct member *member = &turns->list[i];
        const double published_at = member->poller->published_at;
        if (!is_missed(member))
            continue;
        append_name(names, member->poller);
        member->silent_since = isnan(published_at) ? started_at : published_at;
        heard |= member->noisy;
        since = fmin(since, member->silent_since);
        interval = fmax(interval, poller_interval(member->poller));
    }
    if (names[0] && turns->listens)
        log_warn("line %s: nothing was heard of %s for %.0f s; is it asked by the line's master, "
                 "and in this protocol?",
                 line, names, now - since);
    else if (names[0])
        log_warn("line %s: no answer from %s for %.0f s, asking every %.*f s now; %s", line, names,
                 now - since, interval < 10, interval,
                 heard           ? "what comes in is none: check baud rate, protocol and address"
                 : others_answer ? "others on the line answer: check its address, its own wires "
                                   "and whether it is on"
                                 : "check wiring, address and protocol");
}

static void report_answer(struct member *member, const char *line, double now)
{
    if (!isnan(member->silent_since))
        log_info("line %s: %s answers again after %.0f s", line, member->poller->config->name,
                 now - member->silent_since);
    member->noisy = false;
    member->missing_since = member->silent_since = NAN;
}

static void report_remark(struct member *member, const char *line)
{
    const char *remark = member->poller->bms.remark;
    if (strcmp(member->remark, remark) == 0)
        return;
    snprintf(member->remark, sizeof member->remark, "%s", remark);
    if (remark[0])
        log_info("line %s: %s %s", line, member->poller->config->name, remark);
}

void member_report_values(struct member *member, const char *line, double now)
{
    report_answer(member, line, now);
    report_remark(member, line);
}
