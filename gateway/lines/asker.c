// SPDX-License-Identifier: MIT
/* Polls the packs of a line. */
#include "asker.h"

#include "cycle.h"
#include "plan.h"
#include "reply_time.h"

#include "base/late_turn.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* ---- asking ---- */

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

/* The silence that the previous protocol and the next one need between them. */
static double gap_s(const struct asker *asker, const struct poller *next)
{
    if (asker->wire->config->gap_set)
        return asker->wire->config->gap_ms / 1e3;
    unsigned own = next->config->driver->line.gap_ms;
    return (own > asker->gap_before_ms ? own : asker->gap_before_ms) / 1e3;
}

static bool receive_frames(struct asker *asker, bool silent, double now);

bool asker_is_ready(struct asker *asker, double now)
{
    if (isnan(asker->wanted_at))
        asker->wanted_at = now;
    const struct order *order = order_queue_next(&asker->orders);
    const struct poller *next = order ? order->poller : turns_next(asker->turns, now)->poller;
    const double gap = gap_s(asker, next);
    /* A line that is never quiet is waited for no longer than for a reply. */
    const double at_last = asker->wanted_at + gap + reply_time_usual_s(asker->wire, next);
    double ready_at = fmin(asker->quiet_since + gap, at_last);
    ready_at = fmax(ready_at, asker->over_at + asker->wire->config->settle_ms / 1e3);
    if (now < ready_at) {
        wire_wait(asker->wire, ready_at, now);
        return false;
    }
    asker->wanted_at = NAN;
    if (!wire_receive(asker->wire, now))
        return false;
    receive_frames(asker, true, now);
    reply_clear(&asker->buffer);
    rest_expire(&asker->rest, now);
    return true;
}

static void send_request(struct asker *asker, struct member *member, struct order *order,
                         double now)
{
    struct flight *flight = &asker->flight;
    struct poller *poller = member->poller;
    struct bms_request shown = flight->request;
    if (poller->bms.driver->wants_password) /* requests of other drivers contain no secrets */
        mask_sent(&poller->bms, shown.bytes, shown.size);
    flight->member = member;
    flight->order = order;
    flight->owner = order ? ORDER : POLL;
    flight->asked_at = now;
    flight->deadline = now + wire_s(asker->wire, shown.size) +
                       (order ? reply_time_s(asker->wire, poller)
                              : reply_time_next_s(asker->wire, asker->turns, poller));
    flight->deadline_limit = flight->deadline + wire_s(asker->wire, BMS_FRAME_MAX);
    flight->give_up_at = flight->deadline;
    flight->begun_at = NAN;
    flight->disturbed = false;
    flight->number = ledger_send(&asker->rest.ledger, poller, &flight->request, flight->owner,
                                 poller->cycle.step, now);
    asker->asking = true;
    asker->wire->facts.requests++;
    if (wire_send(asker->wire, flight->request.bytes, flight->request.size, shown.bytes, now))
        wire_wait(asker->wire, flight->deadline, now);
    else /* not even these few bytes fit: the far end has not read for a long time */
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

/* Sends the order's next request, if there is one now. */
static void ask_order(struct asker *asker, struct order *order, double now)
{
    const struct bms_moment local = local_time();
    enum order_result result =
        order_build(order, &local, ledger_has(&asker->rest.ledger, ORDER, order->poller), now);
    if (result != ORDER_PENDING) {
        order_queue_go_on(&asker->orders, order, result, now);
        return;
    }
    asker->flight.request = order->request;
    send_request(asker, turns_find(asker->turns, order->poller), order, now);
}

static void end_cycle(struct asker *asker, struct member *member, double now)
{
    struct poller *poller = member->poller;
    rest_after_cycle(&asker->rest, poller, now);
    if (!poller->cycle.published) {
        if (poller->cycle.vital_missed)
            turns_charge(asker->turns, poller->cycle.started, now);
        asker->events->missed(asker->data, member, now);
    }
    turns_expect(asker->turns);
    order_queue_look_back(&asker->orders, poller, ledger_has(&asker->rest.ledger, ORDER, poller),
                          now);
}

/* Whether others wait while this pack gets requests that it may not answer: packs on the line, or a
 * loan that was queued before the pack's cycle began. */
static bool is_awaited(const struct asker *asker, const struct poller *poller, double now)
{
    return turns_wait(asker->turns, poller, now) || asker->loan_since <= poller->cycle.started;
}

/* Sends the pack's next request, or ends its cycle. */
static void poll_pack(struct asker *asker, struct member *member, double now)
{
    bool published;
    /* Where nothing answers at all, a new connection costs nothing. */
    const bool dead = poller_is_silent(member->poller) && !asker->wire->health.answered &&
                      port_forgets(asker->wire->port);
    if ((member->poller->pace.resting || dead) && !rest_end(&asker->rest, member->poller, now))
        return;
    member->poller->trials.busy = is_awaited(asker, member->poller, now);
    const bool asks = plan_request(member->poller, now, &asker->flight.request, &published);
    if (published)
        asker->events->published(asker->data, member, now);
    if (asks)
        send_request(asker, member, NULL, now);
    else
        end_cycle(asker, member, now);
}

void asker_ask(struct asker *asker, double now)
{
    struct order *order = order_queue_next(&asker->orders);
    if (order)
        ask_order(asker, order, now);
    else
        poll_pack(asker, turns_next(asker->turns, now), now);
}

/* ---- what comes ---- */

/* The exchange is over, answered or not. A gap follows; the values of a cycle that ends here do not wait for it. */
static void finish(struct asker *asker, double now)
{
    struct member *member = asker->flight.member;
    bool published;
    mask_flush(&asker->wire->mask, &member->poller->bms, &asker->flight.request);
    asker->gap_before_ms = member->poller->config->driver->line.gap_ms;
    asker->asking = false;
    asker->quiet_since = asker->over_at = now;
    reply_time_report(asker->wire, asker->turns);
    member->poller->pace.interrupted |= now > asker->flight.give_up_at + LATE_TURN_S;
    member->poller->trials.busy = is_awaited(asker, member->poller, now);
    const bool over = plan_end_if_done(member->poller, now, &published);
    if (published)
        asker->events->published(asker->data, member, now);
    if (over)
        end_cycle(asker, member, now);
    asker->events->idle(asker->data, now);
}

/* A whole answer. True: the request in flight need not be waited for any more. */
static bool settle_answer(struct asker *asker, const struct answer *answer, bool in_flight,
                          double now)
{
    struct flight *flight = &asker->flight;
    struct poller *poller = answer->oldest.pack;
    const double sent_at = answer->oldest.sent_at;
    if (wire_answered(asker->wire, now))
        turns_wake(asker->turns, poller, now);
    rest_end_early(&asker->rest, poller, now);
    poller->presence.vain_since = NAN;
    const bool polls = in_flight && flight->owner == POLL;
    if (!answer->usable) {
        if (polls)
            plan_ask_again(poller, now);
        if (polls &&
            answer->oldest.times == 0) { /* an uncounted loan takes all other answers, too */
            poller->cycle.under_way = false;
            rest_begin(&asker->rest, poller);
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
    const bool timely = polls && answer->single && flight->number == answer->oldest.number;
    if (timely)
        patience_learn(&poller->pace.patience, now - sent_at);
    else
        patience_suspect(&poller->pace.patience, now - answer->newest_at, now - sent_at,
                         reply_time_usual_s(asker->wire, poller));
    const struct plan_reply reply = {answer->oldest.step, sent_at, answer->newest_at, polls};
    return answer->result == BMS_REFUSED ? plan_refused(poller, &reply, now)
                                         : plan_answered(poller, &reply, now);
}

/* The rest follows a part of the reply, and a frame that began in time may end. Noise, and what others on the bus say to
 * one another, give the pack no more time. */
static void wait_on(struct asker *asker, bool is_part, bool consumed, double now)
{
    struct flight *flight = &asker->flight;
    const struct poller *poller = flight->member->poller;
    const double later = fmin(now + reply_time_s(asker->wire, poller), flight->deadline_limit);
    if (is_part)
        flight->deadline = fmax(flight->deadline, later);
    /* The reply to the request in flight comes right behind that to an earlier one, or not at all. */
    if (poller->cycle.earlier_answered)
        flight->deadline =
            fmin(flight->deadline,
                 flight->asked_at + patience_wait_s(&poller->pace.patience, ANSWER_MOST_S));
    if (consumed || asker->buffer.size == 0)
        flight->begun_at = NAN;
    if (asker->buffer.size > 0 && isnan(flight->begun_at))
        flight->begun_at = now;
    flight->give_up_at =
        flight->begun_at <= flight->deadline ? fmax(flight->deadline, later) : flight->deadline;
    wire_wait(asker->wire, flight->give_up_at, now);
}

/* Counts damage for the pack in flight. An echo, and what others say, are whole frames and no damage. */
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
    flight->member->noisy |= flight->disturbed;
}

/* True: the request in flight need not be waited for any more. */
static bool receive_frames(struct asker *asker, bool silent, double now)
{
    struct flight *flight = &asker->flight;
    const struct reply_counters before = asker->buffer.counters;
    const size_t received = asker->buffer.size;
    struct answer answer;
    bool is_part = false, over = false;
    while (!over && ledger_receive(&asker->rest.ledger, &asker->buffer, silent, &answer)) {
        const bool in_flight = asker->asking && flight->member->poller == answer.oldest.pack;
        if (answer.result == BMS_PARTIAL)
            is_part |= in_flight;
        else
            over = settle_answer(asker, &answer, in_flight, now);
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
    if (receive_frames(asker, false, now))
        finish(asker, now);
    else if (!asker->asking) /* a pack that answered late may be due at once, or a loan */
        wire_wait(asker->wire, now, now);
}

/* No reply came. If the pack has answered lately, noise may be pieces of its replies. */
static void note_silence(struct asker *asker, double now)
{
    const struct flight *flight = &asker->flight;
    struct poller *poller = flight->member->poller;
    bool answers = now - poller->presence.last_answer < LATELY_S;
    if (flight->disturbed || (flight->member->noisy && answers))
        plan_disturbed(poller, now);
    if (poller->cycle.trials && !poller->cycle.garbled)
        turns_charge(asker->turns, flight->asked_at, now);
    plan_unanswered(poller, rest_is_behind(&asker->rest, poller), now);
}

void asker_due(struct asker *asker, double now)
{
    if (now < asker->flight.give_up_at) {
        wire_wait(asker->wire, asker->flight.give_up_at, now);
        return;
    }
    const bool over = receive_frames(asker, true, now);
    if (!over && asker->flight.owner == ORDER)
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
    *asker = (struct asker){.wire = wire,
                            .turns = turns,
                            .events = events,
                            .data = data,
                            .rest = {.wire = wire, .turns = turns}};
    asker->wanted_at = NAN;
    asker->loan_since = INFINITY;
    asker->quiet_since = asker->over_at = -INFINITY;
}

void asker_opened(struct asker *asker, bool away, double now)
{
    asker->quiet_since = asker->over_at = -INFINITY;
    asker->wanted_at = NAN;
    reply_clear(&asker->buffer);
    ledger_expire(&asker->rest.ledger, now - ANSWER_MOST_S);
    for (unsigned i = 0; i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        rest_end_early(&asker->rest, poller, now);
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
    if (asker->flight.owner == ORDER)
        settle_order(asker, REPLY_WAITING, false, now);
    else
        plan_unanswered(asker->flight.member->poller, false, now);
}
