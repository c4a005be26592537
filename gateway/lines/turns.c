// SPDX-License-Identifier: MIT
#include "turns.h"

#include "ledger.h"
#include "plan.h"

#include "base/alloc.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define UNSURE_LEAST_S 0.4 /* for an answer that may not come */

void turns_init(struct turns *turns, struct wire *wire, struct poller *const *pollers,
                unsigned count)
{
    *turns = (struct turns){
        .wire = wire, .list = alloc_zeroed(count, sizeof *turns->list), .count = count};
    for (unsigned i = 0; i < count; i++)
        turns->list[i] =
            (struct member){.poller = pollers[i], .missing_since = NAN, .silent_since = NAN};
}

void turns_close(struct turns *turns)
{
    free(turns->list);
    *turns = (struct turns){0};
}

struct member *turns_next(const struct turns *turns, double now)
{
    struct member *first[2] = {NULL, NULL}; /* of those that answer, and of the silent ones */
    for (unsigned i = 0; i < turns->count; i++) {
        struct member *member = &turns->list[i], **best = &first[poller_is_silent(member->poller)];
        if (member->poller->cycle.under_way)
            return member;
        if (!*best || member->poller->pace.due < (*best)->poller->pace.due)
            *best = member;
    }
    if (!first[0] || !first[1])
        return first[0] ? first[0] : first[1];
    const double due = first[0]->poller->pace.due;
    const bool lively_first =
        due <= first[1]->poller->pace.due || (due <= now && now < turns->silent_from);
    return first[lively_first ? 0 : 1];
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
        new_ones |= other->presence.woken || poller_is_new(other);
        due |= !poller_is_silent(other);
    }
    return new_ones || (due && now < turns->silent_from);
}

void turns_wake(struct turns *turns, const struct poller *poller, double now)
{
    turns->silent_from = now;
    for (unsigned i = 0; i < turns->count; i++)
        if (turns->list[i].poller != poller)
            plan_wake(turns->list[i].poller, now);
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

double turns_usual_s(const struct wire *wire, const struct poller *poller)
{
    const unsigned set = wire->config->reply_ms;
    return fmax(set ? set : poller->config->driver->line.reply_ms,
                port_traits(wire->port)->least_reply_ms) /
           1e3;
}

double turns_reply_s(const struct wire *wire, const struct poller *poller)
{
    return fmax(turns_usual_s(wire, poller),
                patience_wait_s(&poller->pace.patience, ANSWER_MOST_S));
}

/* A request that may stay unanswered should not cost other packs more than one of their answers takes. One in
 * SILENT_SHARE gets its full time: the pack may have become slower. */
double turns_next_reply_s(const struct turns *turns, const struct poller *poller)
{
    const double most = turns_reply_s(turns->wire, poller);
    double usual = patience_wait_s(&poller->pace.patience, most);
    for (unsigned i = 0; usual == 0 && i < turns->count; i++)
        usual = patience_wait_s(&turns->list[i].poller->pace.patience, most);
    const unsigned step = poller->cycle.step;
    const bool vital = poller->config->driver->plan[step].vital;
    const unsigned misses = vital ? poller->presence.silent_cycles : poller->steps[step].misses;
    const bool turn = misses % SILENT_SHARE == SILENT_SHARE - 1;
    if ((usual == 0 && vital) || turn || !plan_is_unsure(poller))
        return most;
    const double least = fmax(UNSURE_LEAST_S, port_traits(turns->wire->port)->least_reply_ms / 1e3);
    return fmin(most, fmax(usual, least));
}

/* Where replies regularly come after the timeout, values are true but rare. A key of the configuration cures that. */
void turns_report_late(const struct turns *turns)
{
    struct wire *wire = turns->wire;
    const char *line = wire->config->name;
    const struct poller *slowest = NULL;
    double late_s = 0;
    for (unsigned i = 0; i < turns->count; i++) {
        const struct poller *poller = turns->list[i].poller;
        const double took_s = poller->pace.patience.usual_s;
        if (took_s <= fmax(late_s, turns_usual_s(wire, poller)))
            continue;
        late_s = took_s;
        slowest = poller;
    }
    if (!slowest && wire->facts.late_s > 0)
        log_info("line %s: replies come within reply_timeout again", line);
    wire->facts.late_s = late_s;
    if (!slowest || wire->health.reported_late)
        return;
    wire->health.reported_late = true;
    const struct pack_config *pack = slowest->config;
    log_warn("line %s: replies come %.1f s after the request, later than reply_timeout = %.1f s; "
             "set reply_timeout to at least %.1fs",
             line, late_s, turns_usual_s(wire, slowest),
             patience_wait_s(&slowest->pace.patience, ANSWER_MOST_S));
    if (pack->stale_fixed && pack->stale_after_s <= late_s)
        log_warn("line %s: %s has a stale_after of %.1f s: its values are too old when they come",
                 line, pack->name, pack->stale_after_s);
}

void turns_missed(struct turns *turns, struct member *member, double now)
{
    if (turns->events->missed) {
        turns->events->missed(turns->data, member->poller, now);
        return;
    }
    const struct poller *poller = member->poller;
    const struct bms_driver *driver = poller->config->driver;
    const char *line = turns->wire->config->name, *name = poller->config->name;
    const double started_at = turns->wire->health.started_at, interval = poller_interval(poller);
    const bool never = isnan(poller->published_at);
    char address[24] = "";
    bool others_answer = false;
    if (poller->presence.silent_cycles > 0 && isnan(member->missing_since))
        member->missing_since = poller->cycle.started;
    /* After the port was away, a pack is reported as silent only after some unanswered requests. */
    const double missing_since = never ? started_at : member->missing_since;
    if (!isnan(member->silent_since) || poller->presence.silent_cycles == 0 ||
        !poller_stale(poller, now) || now - missing_since < poller_stale_after(poller) / 2)
        return;
    for (unsigned i = 0; i < turns->count; i++)
        others_answer |= !poller_is_silent(turns->list[i].poller);
    if (bms_has_address(driver))
        snprintf(address, sizeof address, ", address %d", bms_address(&poller->bms));
    member->silent_since = never ? started_at : poller->published_at;
    if (turns->wire->config->listen)
        log_warn("line %s: nothing was heard of %s (%s%s) for %.0f s; is it asked by the line's "
                 "master, and in this protocol?",
                 line, name, driver->name, address, now - member->silent_since);
    else
        log_warn("line %s: no answer from %s (%s%s) for %.0f s, asking every %.*f s now; %s", line,
                 name, driver->name, address, now - member->silent_since, interval < 10, interval,
                 member->noisy   ? "what comes in is none: check baud rate, protocol and address"
                 : others_answer ? "others on the line answer: check its address, its own wires "
                                   "and whether it is on"
                                 : "check wiring, address and protocol");
}

void turns_published(struct turns *turns, struct member *member, double now)
{
    const struct poller *poller = member->poller;
    const char *line = turns->wire->config->name, *remark = poller->bms.remark;
    wire_answered(turns->wire, now);
    if (!isnan(member->silent_since))
        log_info("line %s: %s answers again after %.0f s", line, poller->config->name,
                 now - member->silent_since);
    member->noisy = false;
    member->missing_since = member->silent_since = NAN;
    if (remark[0] && strcmp(member->remark, remark) != 0)
        log_info("line %s: %s %s", line, poller->config->name, remark);
    snprintf(member->remark, sizeof member->remark, "%s", remark);
    for (unsigned i = 0; poller->pace.first_at == now && i < turns->count; i++) {
        struct poller *other = turns->list[i].poller;
        if (other->bms.way > 0 || poller->bms.way == 0 ||
            other->config->driver != poller->config->driver)
            continue;
        other->bms.way = poller->bms.way;
        plan_wake(other, now);
    }
    turns->events->published(turns->data, member->poller, now);
}
