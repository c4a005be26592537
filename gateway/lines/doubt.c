// SPDX-License-Identifier: MIT
/* How open requests come to their end when they stay unanswered. */
#include "doubt.h"

#include "plan.h"
#include "reply_time.h"

#include <math.h>

/* On a line that is known to say things twice, nothing comes behind the rest that it has. In a search each attempt is a
 * pack of its own, and what is there answers the last one. */
void doubt_expire(struct doubt *doubt, double now)
{
    const struct line_config *config = doubt->wire->config;
    if (config->settle_ms > 0 || config->any_age)
        ledger_expire(&doubt->ledger, INFINITY);
    else if (!port_forgets(doubt->wire->port))
        ledger_expire(&doubt->ledger, now - ANSWER_MOST_S);
}

void doubt_rest(struct doubt *doubt, struct poller *poller)
{
    poller->pace.resting = true;
    poller->pace.due = fmax(poller->pace.due, ledger_rested_at(&doubt->ledger, poller));
}

/* What a borrower asked is settled by any answer. */
static unsigned open_step(const struct open_request *request)
{
    return request->owner == POLL ? request->step : BMS_PLAN_MAX;
}

/* A lost answer makes all that follow look older than they are, until something settles it. When that has happened in
 * this cycle, the pack goes first, as its next values will be new. */
void doubt_judge(struct doubt *doubt, struct poller *poller, double now)
{
    const struct open_request *oldest = ledger_oldest(&doubt->ledger, poller);
    const struct poller_cycle *cycle = &poller->cycle;
    if (poller_is_silent(poller) && !(poller->presence.last_answer >= cycle->started))
        return;
    if (!oldest) {
        if (!cycle->incomplete && poller->published_at < cycle->started)
            poller->pace.due = -INFINITY;
        return;
    }
    const bool old = now - oldest->sent_at > poller->config->stale_after_s / 2;
    /* Of more than one kind, each may be answered one by one and stay behind for good. */
    const bool behind = now - oldest->sent_at > ANSWER_MOST_S;
    /* All was answered, but nobody knows that the parts are of one time. */
    const bool apart = oldest->sent_at < cycle->started && !cycle->under_way && !cycle->told &&
                       !cycle->vital_missed && !cycle->incomplete;
    if (behind || apart || (!plan_settle(poller, open_step(oldest), now) && old))
        doubt_rest(doubt, poller);
}

static void open_afresh(struct doubt *doubt, double now)
{
    wire_reopen(doubt->wire, "replies may come late, opening it again", now);
}

/* The pack was left in peace until what it was asked before cannot be answered any more. False: where that may be held
 * back in the connection, a new one is opened first. */
bool doubt_end_rest(struct doubt *doubt, struct poller *poller, double now)
{
    const double rested_at = ledger_rested_at(&doubt->ledger, poller);
    poller->pace.resting = false;
    if (isinf(rested_at) || now < rested_at)
        return true;
    open_afresh(doubt, now);
    return false;
}

void doubt_settled(struct doubt *doubt, struct poller *poller, double now)
{
    if (!poller->pace.resting || ledger_oldest(&doubt->ledger, poller))
        return;
    poller->pace.resting = false;
    poller->pace.due = now;
}

bool doubt_is_behind(const struct doubt *doubt, const struct poller *poller)
{
    const struct open_request *oldest = ledger_oldest(&doubt->ledger, poller);
    return oldest && open_step(oldest) != poller->cycle.step;
}

/* ---- loans ---- */

/* One that was asked in vain again and again, for as long as an answer can take, is switched off, and answers a borrower
 * as little: its open requests are not waited for longer than its replies usually take. */
static bool is_off(const struct poller *poller, double now)
{
    return poller->presence.silent_cycles > 1 && now - poller->presence.vain_since > ANSWER_MOST_S;
}

static double pack_clear_at(const struct doubt *doubt, const struct poller *poller, double now)
{
    const double rested_at = ledger_rested_at(&doubt->ledger, poller);
    return is_off(poller, now) ? rested_at - ANSWER_MOST_S + reply_time_s(doubt->wire, poller)
                               : rested_at;
}

double doubt_clear_at(struct doubt *doubt, double now)
{
    double at = -INFINITY;
    for (unsigned i = 0; i < doubt->turns->count; i++) {
        struct poller *poller = doubt->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&doubt->ledger, poller);
        at = fmax(at, pack_clear_at(doubt, poller, now));
        if (!oldest || poller->pace.resting || poller->cycle.under_way || is_off(poller, now))
            continue;
        if (!plan_settle(poller, open_step(oldest), now))
            doubt_rest(doubt, poller);
        else
            poller->pace.due = fmin(poller->pace.due, now);
    }
    return at;
}

bool doubt_clear(struct doubt *doubt, double now)
{
    for (unsigned i = 0; i < doubt->turns->count; i++) {
        struct poller *poller = doubt->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&doubt->ledger, poller);
        if (!is_off(poller, now) && !doubt_end_rest(doubt, poller, now))
            return false;
        /* It is not off if a connection that stands still holds its answers back. */
        if (oldest && is_off(poller, now) && now - oldest->sent_at > ANSWER_MOST_S) {
            open_afresh(doubt, now);
            return false;
        }
    }
    return true;
}

void doubt_rest_all(struct doubt *doubt, double sent_at)
{
    for (unsigned i = 0; i < doubt->turns->count; i++) {
        struct poller *poller = doubt->turns->list[i].poller;
        if (bms_talks(poller->config->driver))
            continue; /* it is asked nothing by us, and nothing would ever settle this */
        ledger_send_uncounted(&doubt->ledger, poller, sent_at);
        doubt_rest(doubt, poller);
    }
}
