// SPDX-License-Identifier: MIT
/* When a pack rests. */
#include "rest.h"

#include "plan.h"
#include "reply_time.h"

#include <math.h>

/* Where `settle` is configured, all answers have come within that pause. In a search each attempt is a pack of its own:
 * the device answers the last one. */
void rest_expire(struct rest *rest, double now)
{
    const struct line_config *config = rest->wire->config;
    if (config->settle_ms > 0 || config->any_age)
        ledger_expire(&rest->ledger, INFINITY);
    else if (!port_forgets(rest->wire->port))
        ledger_expire(&rest->ledger, now - ANSWER_MOST_S);
}

void rest_begin(struct rest *rest, struct poller *poller)
{
    poller->pace.resting = true;
    poller->pace.due = fmax(poller->pace.due, ledger_rested_at(&rest->ledger, poller));
}

/* A request that belongs to no step is settled by the answer to any step. */
static unsigned open_step(const struct open_request *request)
{
    return request->owner == POLL ? request->step : BMS_PLAN_MAX;
}

/* A cycle that settled a lost answer publishes nothing: the pack goes first then, as its next values will be new. */
void rest_after_cycle(struct rest *rest, struct poller *poller, double now)
{
    const struct open_request *oldest = ledger_oldest(&rest->ledger, poller);
    const struct poller_cycle *cycle = &poller->cycle;
    if (poller_is_silent(poller) && !(poller->presence.last_answer >= cycle->started))
        return;
    if (!oldest) {
        if (!cycle->incomplete && poller->published_at < cycle->started)
            poller->pace.due = -INFINITY;
        return;
    }
    const bool old = now - oldest->sent_at > poller->config->stale_after_s / 2;
    /* With open requests for several steps, each answer may be taken for that of the step before, for ever. */
    const bool behind = now - oldest->sent_at > ANSWER_MOST_S;
    /* Every step was answered, but the parts may be too far apart. */
    const bool apart = oldest->sent_at < cycle->started && !cycle->published &&
                       !cycle->vital_missed && !cycle->incomplete;
    if (behind || apart || (!plan_make_other_due(poller, open_step(oldest), now) && old))
        rest_begin(rest, poller);
}

static void open_afresh(struct rest *rest, double now)
{
    wire_reopen(rest->wire, "replies may come late, opening it again", now);
}

/* If a request is still open then, the connection may hold its answer back. */
bool rest_end(struct rest *rest, struct poller *poller, double now)
{
    const double rested_at = ledger_rested_at(&rest->ledger, poller);
    poller->pace.resting = false;
    if (isinf(rested_at) || now < rested_at)
        return true;
    open_afresh(rest, now);
    return false;
}

void rest_end_early(struct rest *rest, struct poller *poller, double now)
{
    if (!poller->pace.resting || ledger_oldest(&rest->ledger, poller))
        return;
    poller->pace.resting = false;
    poller->pace.due = now;
}

bool rest_is_behind(const struct rest *rest, const struct poller *poller)
{
    const struct open_request *oldest = ledger_oldest(&rest->ledger, poller);
    return oldest && open_step(oldest) != poller->cycle.step;
}

/* ---- loans ---- */

/* A pack that answered nothing for as long as an answer can take is switched off: a loan waits for its open requests no
 * longer than its replies usually take. */
static bool is_off(const struct poller *poller, double now)
{
    return poller->presence.silent_cycles > 1 && now - poller->presence.vain_since > ANSWER_MOST_S;
}

static double pack_clear_at(const struct rest *rest, const struct poller *poller, double now)
{
    const double rested_at = ledger_rested_at(&rest->ledger, poller);
    return is_off(poller, now) ? rested_at - ANSWER_MOST_S + reply_time_s(rest->wire, poller)
                               : rested_at;
}

double rest_before_loan(struct rest *rest, double now)
{
    double at = -INFINITY;
    for (unsigned i = 0; i < rest->turns->count; i++) {
        struct poller *poller = rest->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&rest->ledger, poller);
        at = fmax(at, pack_clear_at(rest, poller, now));
        if (!oldest || poller->pace.resting || poller->cycle.under_way || is_off(poller, now))
            continue;
        if (!plan_make_other_due(poller, open_step(oldest), now))
            rest_begin(rest, poller);
        else
            poller->pace.due = fmin(poller->pace.due, now);
    }
    return at;
}

bool rest_end_before_loan(struct rest *rest, double now)
{
    for (unsigned i = 0; i < rest->turns->count; i++) {
        struct poller *poller = rest->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&rest->ledger, poller);
        if (!is_off(poller, now) && !rest_end(rest, poller, now))
            return false;
        /* It is not off if a connection that stands still holds its answers back. */
        if (oldest && is_off(poller, now) && now - oldest->sent_at > ANSWER_MOST_S) {
            open_afresh(rest, now);
            return false;
        }
    }
    return true;
}

void rest_all(struct rest *rest, double sent_at)
{
    for (unsigned i = 0; i < rest->turns->count; i++) {
        struct poller *poller = rest->turns->list[i].poller;
        if (bms_talks(poller->config->driver))
            continue; /* it is not polled, so no answer would ever settle this */
        ledger_send_uncounted(&rest->ledger, poller, sent_at);
        rest_begin(rest, poller);
    }
}
