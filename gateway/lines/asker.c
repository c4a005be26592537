// SPDX-License-Identifier: MIT
/* A line whose packs we ask. */
#include "asker.h"

#include "cycle.h"
#include "plan.h"

#include "base/late_turn.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define PATIENCE 3           /* times the usual, for an answer that may not come, */
#define PATIENCE_LEAST_S 0.4 /* and so long at least */
#define PATIENT_EACH 4       /* and all its time each so many attempts */
#define LATE_TOLD_S 3600     /* replies that come late are worth a word once in so long */
#define ANSWERS_S 60         /* since it was heard last: the pack is there */
#define RESTLESS_S 0.3       /* longest wait for a line that will not be quiet between requests */

/* ---- how long a reply is waited for ---- */

/* Protocols on one line have their own patience. */
static double usual_reply_s(const struct asker *asker, const struct poller *poller)
{
    const struct wire *wire = asker->wire;
    unsigned own = poller->config->driver->line.reply_ms;
    return fmax(wire->config->reply_ms ? wire->config->reply_ms : own,
                port_least_reply_ms(wire->port)) /
           1e3;
}

/* More than that, where its replies are known to come later. */
static double reply_s(const struct asker *asker, const struct poller *poller)
{
    return fmax(usual_reply_s(asker, poller), patience_wait_s(&poller->patience, ANSWER_MOST_S));
}

double asker_longest_reply_s(const struct asker *asker)
{
    double longest = 0;
    for (unsigned i = 0; i < asker->turns->count; i++)
        longest = fmax(longest, reply_s(asker, asker->turns->list[i].poller));
    return longest;
}

/* A pack that does not answer should not cost its neighbours more than an answer takes. Now and then
 * it has all its time: it may have become slower. */
static double patience_s(const struct asker *asker, const struct poller *poller, bool order)
{
    const unsigned silent_cycles = poller->presence.silent_cycles;
    double most = reply_s(asker, poller), usual = poller->patience.usual_s;
    for (unsigned i = 0; usual == 0 && i < asker->turns->count; i++)
        usual = asker->turns->list[i].poller->patience.usual_s;
    bool patient = order || poller->patience.at_most_s > 0 || !plan_is_unsure(poller) || usual == 0;
    if (patient || silent_cycles % PATIENT_EACH == PATIENT_EACH - 1)
        return most;
    /* What comes before the vital step only wakes the pack up. */
    bool vital = poller->config->driver->plan[poller->cycle.step].vital;
    double least = vital || silent_cycles == 0 ? PATIENCE_LEAST_S : PATIENCE_LEAST_S / 2;
    least = fmax(least, port_least_reply_ms(asker->wire->port) / 1e3);
    return fmin(most, fmax(PATIENCE * usual, least));
}

static void report_late(struct asker *asker, const struct poller *slowest, double late_s,
                        double now)
{
    const struct pack_config *pack = slowest->config;
    const char *line = asker->wire->config->name;
    log_warn("line %s: replies come %.1f s after the request, later than reply_timeout = %.1f s; "
             "set reply_timeout to at least %.1fs",
             line, late_s, usual_reply_s(asker, slowest),
             patience_wait_s(&slowest->patience, ANSWER_MOST_S) + 0.1);
    if (pack->stale_fixed && pack->stale_after_s <= late_s)
        log_warn("line %s: %s has a stale_after of %.1f s: its values are too old when they come",
                 line, pack->name, pack->stale_after_s);
    asker->late_told_at = now;
}

/* Replies that regularly come later than they are waited for: the values are true, but rare, and the remedy is a key of
 * the configuration. */
static void note_late(struct asker *asker, double now)
{
    const struct poller *slowest = NULL;
    double late_s = 0;
    for (unsigned i = 0; i < asker->turns->count; i++) {
        const struct poller *poller = asker->turns->list[i].poller;
        const double took_s = poller->patience.usual_s;
        if (took_s <= usual_reply_s(asker, poller) || took_s <= late_s)
            continue;
        late_s = took_s;
        slowest = poller;
    }
    const bool was_late = asker->wire->facts.late_s > 0;
    asker->wire->facts.late_s = late_s;
    if (slowest && !was_late && !(now - asker->late_told_at < LATE_TOLD_S))
        report_late(asker, slowest, late_s, now);
    else if (!slowest && was_late)
        log_info("line %s: replies come within reply_timeout again", asker->wire->config->name);
}

/* ---- orders ---- */

/* The next one to be sent; NULL: none. */
static struct order *next_order(const struct asker *asker)
{
    struct order *order = asker->orders;
    while (order && (order->looking || plan_is_due_first(order->poller)))
        order = order->next;
    return order;
}

bool asker_has_order(const struct asker *asker)
{
    return next_order(asker) != NULL;
}

void asker_order(struct asker *asker, struct order *order, double now)
{
    struct order **last = &asker->orders;
    while (*last)
        last = &(*last)->next;
    order->queued_at = now;
    order->next = NULL;
    *last = order;
}

/* An order is through: the pack is read anew, and whoever gave it hears. */
static void end_order(struct asker *asker, struct order *order, enum order_result result,
                      double now)
{
    struct order **link = &asker->orders;
    while (*link != order)
        link = &(*link)->next;
    *link = order->next;
    plan_hurry(order->poller, now);
    order->done(order->data, result);
}

void asker_end_orders(struct asker *asker, double now)
{
    asker->flight.order = NULL;
    while (asker->orders)
        end_order(asker, asker->orders,
                  asker->orders->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE, now);
}

/* The order goes on, or its state is to be read back, or it is through. */
static void go_on_with(struct asker *asker, struct order *order, enum order_result result,
                       double now)
{
    if (result == ORDER_LOOK && order->switches.sets)
        plan_look(order->poller, order->switches.setting, now);
    else if (result == ORDER_LOOK)
        plan_hurry(order->poller, now);
    else if (result != ORDER_PENDING)
        end_order(asker, order, result, now);
}

static void settle_order(struct asker *asker, enum reply_state state, bool single, double now)
{
    struct order *order = asker->flight.order;
    asker->flight.order = NULL;
    go_on_with(asker, order, order_settle(order, state, single, now), now);
}

/* A cycle of a pack is over: its order may have been waiting for that. */
static void look_back(struct asker *asker, const struct poller *poller, double now)
{
    struct order *order = asker->orders;
    while (order && (!order->looking || order->poller != poller))
        order = order->next;
    if (!order)
        return;
    const bool open = ledger_has_order(&asker->ledger, poller);
    go_on_with(asker, order, order_look(order, open, now), now);
}

/* ---- asking ---- */

double asker_next_due(const struct asker *asker, double now)
{
    const struct poller *poller = turns_next(asker->turns, now)->poller;
    const bool busy = asker->asking || next_order(asker) || poller->cycle.under_way;
    return busy ? now : fmax(poller->pace.due, now);
}

/* Silence that the protocol before and the next one want between them. */
static double gap_s(const struct asker *asker, const struct poller *next)
{
    if (asker->wire->config->gap_set)
        return asker->wire->config->gap_ms / 1e3;
    unsigned own = next->config->driver->line.gap_ms;
    return (own > asker->gap_before_ms ? own : asker->gap_before_ms) / 1e3;
}

static bool take_frames(struct asker *asker, bool silent, double now);

/* Rule 5 of the ledger. On a line that is known to say things twice, nothing comes behind the rest that it has. In a
 * search each attempt is a pack of its own, and what is there answers the last one. */
static void expire(struct asker *asker, double now)
{
    const struct line_config *config = asker->wire->config;
    if (config->settle_ms > 0 || config->any_age)
        ledger_expire(&asker->ledger, INFINITY);
    else if (!port_forgets(asker->wire->port))
        ledger_expire(&asker->ledger, now - ANSWER_MOST_S);
}

bool asker_is_ready(struct asker *asker, double now)
{
    if (isnan(asker->wanted_at))
        asker->wanted_at = now;
    const struct order *order = next_order(asker);
    const double gap = gap_s(asker, order ? order->poller : turns_next(asker->turns, now)->poller);
    double ready_at = fmin(asker->quiet_since + gap, asker->wanted_at + gap + RESTLESS_S);
    ready_at = fmax(ready_at, asker->over_at + asker->wire->config->settle_ms / 1e3);
    if (now < ready_at) {
        wire_wait(asker->wire, ready_at, now);
        return false;
    }
    asker->wanted_at = NAN;
    if (!wire_receive(asker->wire, now))
        return false;
    take_frames(asker, true, now);
    reply_clear(&asker->buffer);
    expire(asker, now);
    return true;
}

static void send_request(struct asker *asker, struct member *member, struct order *order,
                         double now)
{
    struct flight *flight = &asker->flight;
    struct poller *poller = member->poller;
    struct bms_request shown = flight->request;
    if (poller->bms.driver->wants_password) /* others are asked nothing secret */
        mask_sent(&poller->bms, shown.bytes, shown.size);
    flight->member = member;
    flight->order = order;
    flight->asked_at = now;
    flight->deadline =
        now + wire_s(asker->wire, shown.size) + patience_s(asker, poller, order != NULL);
    flight->deadline_limit = flight->deadline + wire_s(asker->wire, BMS_FRAME_MAX);
    flight->give_up_at = flight->deadline;
    flight->begun_at = NAN;
    flight->disturbed = false;
    flight->number = ledger_send(&asker->ledger, poller, &flight->request, order ? ORDER : POLL,
                                 poller->cycle.step, now);
    asker->asking = true;
    asker->wire->facts.requests++;
    if (wire_send(asker->wire, flight->request.bytes, flight->request.size, shown.bytes, now))
        wire_wait(asker->wire, flight->deadline, now);
    else /* not even these few bytes fit in: nobody has taken any for a long time */
        wire_lose(asker->wire, errno && errno != EAGAIN ? strerror(errno) : "nothing can be sent",
                  now);
}

static struct bms_moment local_time(void)
{
    const time_t wall = time(NULL);
    struct tm local;
    localtime_r(&wall, &local);
    return (struct bms_moment){local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                               local.tm_hour,        local.tm_min,     local.tm_sec};
}

/* Sends the order's next request; false when there is none now. */
static bool ask_order(struct asker *asker, struct order *order, double now)
{
    const struct bms_moment local = local_time();
    enum order_result result =
        order_build(order, &local, ledger_has_order(&asker->ledger, order->poller), now);
    if (result != ORDER_PENDING) {
        go_on_with(asker, order, result, now);
        return false;
    }
    asker->flight.request = order->request;
    send_request(asker, turns_find(asker->turns, order->poller), order, now);
    return true;
}

/* Where asking something else does not settle what is open, the pack is left in peace. */
static void rest(struct asker *asker, struct poller *poller)
{
    poller->pace.resting = true;
    poller->pace.due = fmax(poller->pace.due, ledger_rested_at(&asker->ledger, poller));
}

/* What a borrower asked is settled by any answer. */
static unsigned open_step(const struct open_request *request)
{
    return request->owner == POLL ? request->step : BMS_PLAN_MAX;
}

/* A lost answer makes all that follow look older than they are, until something settles it. When that has happened in
 * this cycle, the pack goes first, as its next values will be new. */
static void settle_doubt(struct asker *asker, struct poller *poller, double now)
{
    const struct open_request *oldest = ledger_oldest(&asker->ledger, poller);
    const struct poller_cycle *cycle = &poller->cycle;
    if (poller_is_silent(poller))
        return;
    if (!oldest) {
        if (!cycle->incomplete && poller->published_at < cycle->started)
            poller->pace.due = -INFINITY;
        return;
    }
    const bool old = now - oldest->sent_at > poller_stale_after(poller) / 2;
    if (!plan_settle(poller, open_step(oldest), now) && oldest->sent_at < cycle->started && old)
        rest(asker, poller);
}

static void end_step(struct asker *asker, struct member *member, bool over, bool published,
                     double now)
{
    struct poller *poller = member->poller;
    if (published)
        asker->events->published(asker->data, member, now);
    if (!over)
        return;
    settle_doubt(asker, poller, now);
    if (!poller->cycle.told) {
        if (poller->cycle.vital_missed)
            turns_charge(asker->turns, poller->cycle.started, now);
        asker->events->missed(asker->data, member, now);
    }
    turns_expect(asker->turns, now);
    look_back(asker, poller, now);
}

/* The pack was left in peace until what it was asked before cannot be answered any more. False: where that may be held
 * back in the connection, a new one is opened first. */
static bool end_rest(struct asker *asker, struct poller *poller, double now)
{
    const struct open_request *oldest = ledger_oldest(&asker->ledger, poller);
    poller->pace.resting = false;
    if (!oldest || now < ledger_rested_at(&asker->ledger, poller))
        return true;
    wire_reopen(asker->wire, "replies may come late, opening it again", now);
    return false;
}

/* Sends the pack's next request; false when its cycle is over. */
static bool poll_pack(struct asker *asker, struct member *member, double now)
{
    bool published;
    /* Where nothing answers at all, a new connection costs nothing. */
    const bool dead = poller_is_silent(member->poller) && !asker->wire->health.answered &&
                      port_forgets(asker->wire->port);
    if ((member->poller->pace.resting || dead) && !end_rest(asker, member->poller, now))
        return true;
    member->poller->trials.busy = turns_wait(asker->turns, member->poller, now);
    if (plan_request(member->poller, now, &asker->flight.request, &published)) {
        if (published) /* the cycle was whole but for what a lost connection has ended */
            asker->events->published(asker->data, member, now);
        send_request(asker, member, NULL, now);
        return true;
    }
    end_step(asker, member, true, published, now);
    return false;
}

bool asker_ask(struct asker *asker, double now)
{
    struct order *order = next_order(asker);
    return order ? ask_order(asker, order, now)
                 : poll_pack(asker, turns_next(asker->turns, now), now);
}

/* ---- what comes ---- */

/* The exchange is over, one way or the other: a gap, then the next. The values of a cycle that ends
 * with it do not wait for the gap. */
static void finish(struct asker *asker, double now)
{
    struct member *member = asker->flight.member;
    bool published;
    mask_flush(&asker->wire->mask, &member->poller->bms, &asker->flight.request);
    asker->gap_before_ms = member->poller->config->driver->line.gap_ms;
    asker->asking = false;
    asker->quiet_since = asker->over_at = now;
    note_late(asker, now);
    member->poller->pace.interrupted |= now > asker->flight.give_up_at + LATE_TURN_S;
    member->poller->trials.busy = turns_wait(asker->turns, member->poller, now);
    const bool over = plan_over(member->poller, now, &published);
    end_step(asker, member, over, published, now);
    asker->events->free(asker->data, now);
}

/* Nobody is resting any more whose open requests are settled. */
static void end_settled_rest(struct asker *asker, struct poller *poller, double now)
{
    if (!poller->pace.resting || ledger_oldest(&asker->ledger, poller))
        return;
    poller->pace.resting = false;
    poller->pace.due = now;
}

/* A whole answer. True: the request in flight need not be waited for any more. */
static bool take_whole(struct asker *asker, const struct answer *answer, bool in_flight, double now)
{
    struct flight *flight = &asker->flight;
    struct poller *poller = answer->oldest.pack;
    const double sent_at = answer->oldest.sent_at;
    if (wire_answered(asker->wire, now))
        turns_wake(asker->turns, poller, now);
    end_settled_rest(asker, poller, now);
    const bool polls = in_flight && !flight->order;
    if (!answer->usable) {
        if (polls)
            plan_ask_again(poller, now);
        return polls;
    }
    if (answer->oldest.owner == ORDER) {
        if (!in_flight || !flight->order || flight->number != answer->oldest.number)
            return false;
        settle_order(asker, answer->result == BMS_DONE ? REPLY_DONE : REPLY_REFUSED, answer->single,
                     now);
        return true;
    }
    const bool timely = polls && answer->single && flight->number == answer->oldest.number;
    if (timely)
        patience_learn(&poller->patience, now - sent_at);
    else
        patience_suspect(&poller->patience, now - answer->newest_at, now - sent_at,
                         usual_reply_s(asker, poller));
    const struct plan_reply reply = {answer->oldest.step, sent_at, answer->newest_at, polls};
    return answer->result == BMS_REFUSED ? plan_refused(poller, &reply, now)
                                         : plan_answered(poller, &reply, now);
}

/* A part of the reply is followed by the rest, and what has begun in time is waited for to its
 * end. All else that comes, be it noise or what others on the bus say to one another, gives the
 * pack no more time. */
static void wait_on(struct asker *asker, bool is_part, bool consumed, double now)
{
    struct flight *flight = &asker->flight;
    const struct poller *poller = flight->member->poller;
    const double later = fmin(now + reply_s(asker, poller), flight->deadline_limit);
    if (is_part)
        flight->deadline = fmax(flight->deadline, later);
    if (poller->cycle
            .heard) /* its own reply comes right behind that of an earlier request, or not at all */
        flight->deadline = fmin(
            flight->deadline, flight->asked_at + patience_wait_s(&poller->patience, ANSWER_MOST_S));
    if (consumed || asker->buffer.size == 0)
        flight->begun_at = NAN;
    if (asker->buffer.size > 0 && isnan(flight->begun_at))
        flight->begun_at = now;
    flight->give_up_at =
        flight->begun_at <= flight->deadline ? fmax(flight->deadline, later) : flight->deadline;
    wire_wait(asker->wire, flight->give_up_at, now);
}

/* What was damaged counts for the pack in flight. What others say, and an echo, are whole frames. */
static void note_damage(struct asker *asker, const struct reply_counters *before, double now)
{
    const struct reply_counters *after = &asker->buffer.counters;
    struct flight *flight = &asker->flight;
    if (!asker->asking)
        return;
    uint32_t damaged = after->damaged - before->damaged + after->invalid - before->invalid;
    flight->member->poller->counters.damaged += damaged;
    if (damaged > 0)
        plan_disturbed(flight->member->poller, now);
    flight->disturbed |= damaged > 0 || after->skipped_bytes != before->skipped_bytes;
    flight->member->heard |= flight->disturbed;
}

/* True: the request in flight need not be waited for any more. */
static bool take_frames(struct asker *asker, bool silent, double now)
{
    struct flight *flight = &asker->flight;
    const struct reply_counters before = asker->buffer.counters;
    const size_t received = asker->buffer.size;
    struct answer answer;
    bool is_part = false, over = false;
    while (!over && ledger_receive(&asker->ledger, &asker->buffer, silent, &answer)) {
        const bool in_flight = asker->asking && flight->member->poller == answer.oldest.pack;
        if (answer.result == BMS_PARTIAL)
            is_part |= in_flight;
        else
            over = take_whole(asker, &answer, in_flight, now);
    }
    note_damage(asker, &before, now);
    if (asker->asking && !over && !silent)
        wait_on(asker, is_part, asker->buffer.size < received, now);
    return over;
}

void asker_received(struct asker *asker, const uint8_t *bytes, size_t size, double now)
{
    const struct member *member = asker->flight.member;
    mask_received(&asker->wire->mask, member ? &member->poller->bms : asker_masked_bms(asker),
                  bytes, size);
    if (!asker->asking)
        asker->quiet_since = now;
    if (!asker->asking && asker->wire->config->settle_ms > 0)
        return;
    reply_append(&asker->buffer, bytes, size);
    if (take_frames(asker, false, now))
        finish(asker, now);
    else if (!asker->asking) /* who answered late may be due at once */
        wire_wait(asker->wire, asker_next_due(asker, now), now);
}

/* Of one that answers now and then, what comes late may be pieces as well. */
static void note_silence(struct asker *asker, double now)
{
    const struct flight *flight = &asker->flight;
    struct poller *poller = flight->member->poller;
    bool answers = now - poller->presence.last_answer < ANSWERS_S;
    if (flight->disturbed || (flight->member->heard && answers))
        plan_disturbed(poller, now);
    if (poller->cycle.trials && !poller->cycle.garbled)
        turns_charge_try(asker->turns, flight->asked_at, now);
    plan_unanswered(poller, now);
}

void asker_due(struct asker *asker, double now)
{
    if (now < asker->flight.give_up_at) {
        wire_wait(asker->wire, asker->flight.give_up_at, now);
        return;
    }
    const bool over = take_frames(asker, true, now);
    if (!over && asker->flight.order)
        settle_order(asker, REPLY_WAITING, false, now);
    else if (!over)
        note_silence(asker, now);
    if (!over && wire_is_deaf(asker->wire, now)) {
        asker->asking = false;
        wire_reopen(asker->wire, "nothing was received, opening it again", now);
        return;
    }
    finish(asker, now);
}

/* ---- loans ---- */

/* One that was asked in vain for as long as an answer can take is switched off, and answers a borrower as little: its
 * open requests are not waited for longer than its replies usually take. */
static bool is_off(const struct poller *poller, double now)
{
    return now - poller->presence.vain_since > ANSWER_MOST_S;
}

static double clear_at(const struct asker *asker, const struct poller *poller, double now)
{
    const double rested_at = ledger_rested_at(&asker->ledger, poller);
    return is_off(poller, now) ? rested_at - ANSWER_MOST_S + PATIENCE * reply_s(asker, poller)
                               : rested_at;
}

double asker_clear_for_loan(struct asker *asker, double since, double now)
{
    double at = -INFINITY;
    for (unsigned i = 0; i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&asker->ledger, poller);
        at = fmax(at, clear_at(asker, poller, now));
        if (!oldest || poller->pace.resting || poller->cycle.under_way || is_off(poller, now))
            continue;
        if (!plan_settle(poller, open_step(oldest), now) && poller->cycle.started >= since)
            rest(asker, poller);
        else
            poller->pace.due = fmin(poller->pace.due, now);
    }
    return at;
}

bool asker_is_clear(struct asker *asker, double now)
{
    for (unsigned i = 0; i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        if (!is_off(poller, now) && !end_rest(asker, poller, now))
            return false;
    }
    return true;
}

const struct bms *asker_masked_bms(const struct asker *asker)
{
    const struct turns *turns = asker->turns;
    for (unsigned i = 0; i < turns->count; i++)
        if (turns->list[i].poller->config->driver->mask)
            return &turns->list[i].poller->bms;
    return &turns->list[0].poller->bms;
}

/* ---- life ---- */

void asker_init(struct asker *asker, struct wire *wire, struct turns *turns,
                const struct asker_events *events, void *data)
{
    *asker = (struct asker){.wire = wire, .turns = turns, .events = events, .data = data};
    asker->wanted_at = asker->late_told_at = NAN;
    asker->quiet_since = asker->over_at = -INFINITY;
}

void asker_opened(struct asker *asker, bool away, double now)
{
    asker->quiet_since = asker->over_at = -INFINITY;
    asker->wanted_at = NAN;
    reply_clear(&asker->buffer);
    ledger_expire(&asker->ledger, now - ANSWER_MOST_S);
    for (unsigned i = 0; i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        end_settled_rest(asker, poller, now);
        asker->turns->list[i].missing_since = NAN;
        if (away)
            poller_reset(poller, now);
    }
}

void asker_closed(struct asker *asker, double now)
{
    if (!asker->asking)
        return;
    asker->asking = false;
    mask_flush(&asker->wire->mask, &asker->flight.member->poller->bms, &asker->flight.request);
    if (asker->flight.order)
        settle_order(asker, REPLY_WAITING, false, now);
    else
        plan_unanswered(asker->flight.member->poller, now);
}
