// SPDX-License-Identifier: MIT
#include "asker.h"

#include "plan.h"

#include "base/late_turn.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define STORED_S 0.5 /* after opening, in which a serial server passes on what it has stored */

void asker_rest(struct asker *asker, struct poller *poller)
{
    poller->pace.resting = true;
    poller->pace.due = fmax(poller->pace.due, ledger_rested_at(&asker->ledger, poller));
}

bool asker_end_rest(struct asker *asker, struct poller *poller, double rested_at, double now)
{
    poller->pace.resting = false;
    if (isinf(rested_at) || now < rested_at)
        return true;
    wire_reopen(asker->wire, "replies may come late, opening it again", now);
    return false;
}

static void rest_after_cycle(struct asker *asker, struct poller *poller, double now)
{
    const struct open_request *oldest = ledger_oldest(&asker->ledger, poller);
    const struct poller_cycle *cycle = &poller->cycle;
    if (!oldest || (poller_is_silent(poller) && !(poller->presence.last_answer >= cycle->started)))
        return;
    const double open_s = now - oldest->sent_at;
    /* With open requests for several steps, each answer may be taken for that of the step before, for ever. */
    const bool behind = open_s > ANSWER_MOST_S;
    /* Every step was answered, but the parts may be too far apart. If each answer counts for the request of the cycle before,
     * they stay so for ever. */
    const bool apart = !cycle->published && !cycle->vital_missed && !cycle->incomplete &&
                       (oldest->sent_at < cycle->started || poller_stale(poller, now));
    if (behind || apart ||
        (!plan_make_other_due(poller, oldest->step, now) &&
         open_s > poller->config->stale_after_s / 2))
        asker_rest(asker, poller);
}

void asker_end_orders(struct asker *asker, double now)
{
    asker->flight.order = NULL;
    order_queue_end(&asker->orders, now);
}

static void settle_order(struct asker *asker, enum reply_state state, bool single, double now)
{
    struct order *order = asker->flight.order;
    asker->flight.order = NULL;
    if (order) /* else a late turn has ended it */
        order_queue_go_on(&asker->orders, order, order_settle(order, state, single, now), now);
}

double asker_next_due(const struct asker *asker, double now)
{
    const struct poller *poller = turns_next(asker->turns, now)->poller;
    const bool busy = asker->asking || order_queue_next(&asker->orders) || poller->cycle.under_way;
    return busy ? now : fmax(poller->pace.due, now);
}

static bool receive_frames(struct asker *asker, bool silent, double now);

bool asker_is_ready(struct asker *asker, double now)
{
    const struct line_config *config = asker->wire->config;
    const struct order *order = order_queue_next(&asker->orders);
    const struct poller *next = order ? order->poller : turns_next(asker->turns, now)->poller;
    /* The silence that the previous protocol and the next one need between them. */
    const double gap_s =
        (config->gap_set ? config->gap_ms
                         : fmax(next->config->driver->line.gap_ms, asker->gap_before_ms)) /
        1e3;
    if (isnan(asker->wanted_at))
        asker->wanted_at = now;
    /* A line that is never quiet is waited for no longer than for a reply. */
    const double at_last = asker->wanted_at + gap_s + turns_usual_s(asker->wire, next);
    const double ready_at = fmax(fmax(fmin(asker->quiet_since + gap_s, at_last), asker->deaf_until),
                                 asker->over_at + config->settle_ms / 1e3);
    if (now < ready_at) {
        wire_wait(asker->wire, ready_at, now);
        return false;
    }
    asker->wanted_at = NAN;
    if (!wire_receive(asker->wire, now))
        return false;
    receive_frames(asker, true, now);
    reply_clear(&asker->buffer);
    /* Where `settle` is configured, all answers have come within that pause. In a search each attempt is a pack of its
     * own: the device answers the last one. */
    if (config->settle_ms > 0 || config->any_age)
        ledger_expire(&asker->ledger, INFINITY);
    else if (!port_traits(asker->wire->port)->forgets)
        ledger_expire(&asker->ledger, now - ANSWER_MOST_S);
    return true;
}

static void send_request(struct asker *asker, struct member *member, struct order *order,
                         const struct bms_request *request, double now)
{
    struct poller *poller = member->poller;
    const enum ledger_owner owner = order ? ORDER : POLL;
    const double reply_s =
        order ? turns_reply_s(asker->wire, poller) : turns_next_reply_s(asker->turns, poller);
    const double deadline = now + wire_s(asker->wire, request->size) + reply_s;
    struct bms_request shown = *request;
    if (poller->bms.driver->wants_password) /* requests of other drivers contain no secrets */
        mask_sent(&poller->bms, shown.bytes, shown.size);
    asker->flight =
        (struct flight){.member = member,
                        .order = order,
                        .owner = owner,
                        .request = *request,
                        .number = ledger_send(&asker->ledger, poller, request, owner,
                                              order ? BMS_PLAN_MAX : poller->cycle.step, now),
                        .asked_at = now,
                        .deadline = deadline,
                        .deadline_limit = deadline + wire_s(asker->wire, BMS_FRAME_MAX),
                        .give_up_at = deadline};
    asker->asking = true;
    asker->wire->facts.requests++;
    if (wire_send(asker->wire, request->bytes, request->size, shown.bytes, now))
        wire_wait(asker->wire, deadline, now);
    else /* not even these few bytes fit: the far end has not read for a long time */
        wire_lose(asker->wire, errno && errno != EAGAIN ? strerror(errno) : "nothing can be sent",
                  now);
}

static void end_cycle(struct asker *asker, struct member *member, double now)
{
    struct poller *poller = member->poller;
    rest_after_cycle(asker, poller, now);
    if (!poller->cycle.published) {
        if (poller->cycle.vital_missed)
            turns_charge(asker->turns, poller->cycle.started, now);
        turns_missed(asker->turns, member, now);
    }
    turns_expect(asker->turns);
    order_queue_look_back(&asker->orders, poller, ledger_has(&asker->ledger, ORDER, poller), now);
}

/* Whether others wait while this pack gets requests that it may not answer: packs on the line, or a loan that was queued
 * before the pack's cycle began. Of a program that asks without end a loan always waits: one such request in each cycle
 * comes first. */
static bool is_awaited(const struct asker *asker, const struct poller *poller, double now)
{
    return turns_wait(asker->turns, poller, now) ||
           (poller->cycle.tried && asker->loan_since <= poller->cycle.started);
}

/* Sends the pack's next request, or ends its cycle. */
static void poll_pack(struct asker *asker, struct member *member, double now)
{
    struct poller *poller = member->poller;
    struct bms_request request;
    bool published;
    /* Where nothing answers at all, a new connection costs nothing. */
    const bool dead = poller_is_silent(poller) && !asker->wire->health.answered &&
                      port_traits(asker->wire->port)->forgets;
    if ((poller->pace.resting || dead) &&
        !asker_end_rest(asker, poller, ledger_rested_at(&asker->ledger, poller), now))
        return;
    poller->pace.awaited = is_awaited(asker, poller, now);
    const bool asks = plan_request(poller, now, &request, &published);
    if (published)
        turns_published(asker->turns, member, now);
    if (asks)
        send_request(asker, member, NULL, &request, now);
    else
        end_cycle(asker, member, now);
}

void asker_ask(struct asker *asker, double now)
{
    struct order *order = order_queue_next(&asker->orders);
    if (!order) {
        poll_pack(asker, turns_next(asker->turns, now), now);
        return;
    }
    const time_t wall = time(NULL);
    struct tm tm;
    localtime_r(&wall, &tm);
    const struct bms_moment local = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                                     tm.tm_hour,        tm.tm_min,     tm.tm_sec};
    const bool open = ledger_has(&asker->ledger, ORDER, order->poller);
    const enum order_result result = order_build(order, &local, open, now);
    if (result == ORDER_PENDING)
        send_request(asker, turns_find(asker->turns, order->poller), order, &order->request, now);
    else
        order_queue_go_on(&asker->orders, order, result, now);
}

/* The exchange is over, answered or not. A gap follows; the values of a cycle that ends here do not wait for it. */
static void finish(struct asker *asker, double now)
{
    struct member *member = asker->flight.member;
    struct poller *poller = member->poller;
    bool published;
    mask_flush(&asker->wire->mask, &poller->bms, &asker->flight.request);
    asker->gap_before_ms = poller->config->driver->line.gap_ms;
    asker->asking = false;
    asker->quiet_since = asker->over_at = now;
    turns_report_late(asker->turns);
    poller->pace.interrupted |= now > asker->flight.give_up_at + LATE_TURN_S;
    poller->pace.awaited = is_awaited(asker, poller, now);
    const bool over = plan_end_if_done(poller, now, &published);
    if (published)
        turns_published(asker->turns, member, now);
    if (over)
        end_cycle(asker, member, now);
}

static void end_unanswered(struct asker *asker, double now)
{
    struct poller *poller = asker->flight.member->poller;
    asker->missed |= !plan_is_unsure(poller);
    plan_unanswered(poller, now);
}

/* A whole answer. True: the request in flight need not be waited for any more. */
static bool settle_answer(struct asker *asker, const struct answer *answer, bool in_flight,
                          double now)
{
    struct flight *flight = &asker->flight;
    struct poller *poller = answer->oldest.pack;
    const double sent_at = answer->oldest.sent_at;
    if (wire_answered(asker->wire, now) && (asker->missed || poller_is_silent(poller)))
        turns_wake(asker->turns, poller, now);
    asker->missed = false;
    poller->presence.vain_since = NAN;
    const bool polls = in_flight && flight->owner == POLL;
    if (!answer->usable) {
        if (polls)
            plan_ask_again(poller, now);
        if (polls &&
            answer->oldest.times == 0) { /* an uncounted loan takes all other answers, too */
            poller->cycle.under_way = false;
            asker_rest(asker, poller);
        }
        return polls;
    }
    if (answer->oldest.owner == ORDER) {
        const bool may_be_its = flight->order && answer->newest_at == flight->asked_at;
        if (!in_flight || !may_be_its)
            return false;
        settle_order(asker, answer->result == BMS_DONE ? REPLY_DONE : REPLY_REFUSED, answer->single,
                     now);
        return true;
    }
    if (polls && answer->single && flight->number == answer->oldest.number)
        patience_learn(&poller->pace.patience, now - sent_at);
    else
        patience_suspect(&poller->pace.patience, now - answer->newest_at, now - sent_at,
                         turns_usual_s(asker->wire, poller));
    return plan_answered(poller, answer, polls, now);
}

/* The rest follows a part of the reply, and a frame that began in time may end. Noise, and what others on the bus say to
 * one another, give the pack no more time. */
static void wait_on(struct asker *asker, bool is_part, double now)
{
    struct flight *flight = &asker->flight;
    const struct poller *poller = flight->member->poller;
    const double later = fmin(now + turns_reply_s(asker->wire, poller), flight->deadline_limit);
    if (is_part)
        flight->deadline = fmax(flight->deadline, later);
    flight->give_up_at = asker->buffer.size > 0 ? fmax(flight->deadline, later) : flight->deadline;
    wire_wait(asker->wire, flight->give_up_at, now);
}

/* True: the request in flight need not be waited for any more. */
static bool receive_frames(struct asker *asker, bool silent, double now)
{
    struct flight *flight = &asker->flight;
    const struct reply_counters before = asker->buffer.counters;
    struct answer answer;
    bool is_part = false, over = false;
    while (ledger_receive(&asker->ledger, &asker->buffer, silent, &answer)) {
        const bool in_flight =
            asker->asking && !over && flight->member->poller == answer.oldest.pack;
        if (answer.result == BMS_PARTIAL)
            is_part |= in_flight;
        else
            over |= settle_answer(asker, &answer, in_flight, now);
    }
    if (!asker->asking)
        return over;
    flight->disturbed |=
        plan_count_damage(flight->member->poller, &before, &asker->buffer.counters, now);
    flight->member->noisy |= flight->disturbed;
    if (!over && !silent)
        wait_on(asker, is_part, now);
    return over;
}

void asker_received(struct asker *asker, const uint8_t *bytes, size_t size, double now)
{
    const struct member *member = asker->flight.member;
    mask_received(&asker->wire->mask, member ? &member->poller->bms : asker_masked_bms(asker),
                  bytes, size);
    if (!asker->asking)
        asker->quiet_since = now;
    if (now < asker->deaf_until || (!asker->asking && asker->wire->config->settle_ms > 0))
        return;
    reply_append(&asker->buffer, bytes, size);
    if (receive_frames(asker, false, now))
        finish(asker, now);
    else if (!asker->asking) /* a pack that answered late may be due at once, or a loan */
        wire_wait(asker->wire, now, now);
}

void asker_due(struct asker *asker, double now)
{
    const struct flight *flight = &asker->flight;
    struct poller *poller = flight->member->poller;
    if (now < flight->give_up_at) {
        wire_wait(asker->wire, flight->give_up_at, now);
        return;
    }
    const bool over = receive_frames(asker, true, now);
    if (!over && flight->owner == ORDER) {
        settle_order(asker, REPLY_WAITING, false, now);
    } else if (!over) {
        /* If the pack has answered lately, noise may be pieces of its replies. */
        if (flight->disturbed ||
            (flight->member->noisy && now - poller->presence.last_answer < LATELY_S))
            plan_disturbed(poller, now);
        if (poller->cycle.trials && !poller->presence.garbled)
            turns_charge(asker->turns, flight->asked_at, now);
        end_unanswered(asker, now);
    }
    if (!over && wire_is_deaf(asker->wire, now)) {
        asker->asking = false;
        wire_reopen(asker->wire, "nothing was received, opening it again", now);
        return;
    }
    finish(asker, now);
}

const struct bms *asker_masked_bms(const struct asker *asker)
{
    const struct turns *turns = asker->turns;
    for (unsigned i = 0; i < turns->count; i++)
        if (turns->list[i].poller->config->driver->mask)
            return &turns->list[i].poller->bms;
    return &turns->list[0].poller->bms;
}

void asker_init(struct asker *asker, struct wire *wire, struct turns *turns)
{
    *asker = (struct asker){.wire = wire,
                            .turns = turns,
                            .wanted_at = NAN,
                            .loan_since = INFINITY,
                            .quiet_since = -INFINITY,
                            .over_at = -INFINITY,
                            .deaf_until = -INFINITY};
    TAILQ_INIT(&asker->orders);
}

void asker_opened(struct asker *asker, bool away, double now)
{
    asker->quiet_since = asker->over_at = -INFINITY;
    asker->wanted_at = NAN;
    asker->missed |= away;
    reply_clear(&asker->buffer);
    /* The stored answer to an expired request, or to one of an earlier process, would count for the next one. */
    if (ledger_expire(&asker->ledger, now - ANSWER_MOST_S) || asker->wire->facts.openings == 1)
        asker->listens_s = STORED_S;
    if (port_traits(asker->wire->port)->stores && !asker->wire->config->any_age)
        asker->deaf_until = now + asker->listens_s;
}

void asker_closed(struct asker *asker, double now)
{
    /* Some serial servers close a connection on which nothing is sent before that time is over. Each one on which
     * nothing was received counts; where something was, more may be stored. */
    if (isfinite(asker->deaf_until))
        asker->listens_s = now >= asker->deaf_until       ? 0
                           : isfinite(asker->quiet_since) ? STORED_S
                                                          : asker->deaf_until - now;
    asker->deaf_until = -INFINITY;
    if (!asker->asking)
        return;
    asker->asking = false;
    mask_flush(&asker->wire->mask, &asker->flight.member->poller->bms, &asker->flight.request);
    if (asker->flight.owner == ORDER)
        settle_order(asker, REPLY_WAITING, false, now);
    else
        end_unanswered(asker, now);
}
