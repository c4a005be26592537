// SPDX-License-Identifier: MIT
#include "lender.h"

#include "plan.h"

#include <math.h>
#include <string.h>

#define TAIL_S 0.1 /* of silence after all answers: one more may follow */
/* Bytes of a request that are shown: one that reads is no longer, or zero behind. */
#define HEAD_SIZE 6

void lender_init(struct lender *lender, struct asker *asker)
{
    *lender = (struct lender){.asker = asker};
    TAILQ_INIT(&lender->queue);
}

void lender_refuse(struct lender *lender)
{
    for (struct loan *loan; (loan = TAILQ_FIRST(&lender->queue));) {
        TAILQ_REMOVE(&lender->queue, loan, entry);
        loan->done(loan->data, LOAN_NO_LINE);
    }
}

/* A silent pack that answered nothing for as long as an answer can take is switched off: a loan waits for its open requests
 * no longer than its replies usually take. */
static bool is_off(const struct poller *poller, double now)
{
    return poller_is_silent(poller) && now - poller->presence.vain_since > ANSWER_MOST_S;
}

/* A loan waits until nothing is open: makes another step due if that helps; other packs rest. */
static double clear_at(struct asker *asker, double now)
{
    double at = -INFINITY;
    for (unsigned i = 0; i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&asker->ledger, poller);
        const bool off = is_off(poller, now);
        const double least_s = off ? turns_reply_s(asker->wire, poller) - ANSWER_MOST_S : 0;
        at = fmax(at, ledger_rested_at(&asker->ledger, poller) + least_s);
        if (!oldest || poller->pace.resting || poller->cycle.under_way || off)
            continue;
        if (!plan_make_other_due(poller, oldest->step, now))
            asker_rest(asker, poller);
        else
            poller->pace.due = fmin(poller->pace.due, now);
    }
    return at;
}

/* Ends all rests. False: the port is reopened first. */
static bool end_rests(struct asker *asker, double now)
{
    for (unsigned i = 0; i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        const struct open_request *oldest = ledger_oldest(&asker->ledger, poller);
        /* It is not off if a connection that stands still holds its answers back. */
        const double rested_at = !is_off(poller, now) ? ledger_rested_at(&asker->ledger, poller)
                                 : oldest             ? oldest->sent_at + ANSWER_MOST_S
                                                      : INFINITY;
        if (!asker_end_rest(asker, poller, rested_at, now))
            return false;
    }
    return true;
}

double lender_next_at(struct lender *lender, double now)
{
    for (struct loan *loan = TAILQ_FIRST(&lender->queue), *next; loan; loan = next) {
        next = TAILQ_NEXT(loan, entry);
        if (loan->open_end || now - loan->queued_at <= ORDER_VALID_S)
            continue;
        TAILQ_REMOVE(&lender->queue, loan, entry);
        loan->done(loan->data, LOAN_TOO_LATE);
    }
    const struct loan *first = TAILQ_FIRST(&lender->queue);
    lender->asker->loan_since = first ? first->queued_at : INFINITY;
    if (!first)
        return INFINITY;
    const double at = clear_at(lender->asker, now);
    const bool polls_first = asker_next_due(lender->asker, now) <= now && lender->owed_s > 0;
    return polls_first ? INFINITY : fmax(now, at);
}

static struct bms_request request_of(const struct loan *loan)
{
    struct bms_request request = {.size = loan->size};
    if (request.size > sizeof request.bytes)
        request.size = sizeof request.bytes;
    memcpy(request.bytes, loan->bytes, request.size);
    return request;
}

static void show_received(struct lender *lender)
{
    const struct bms_request request = request_of(&lender->loan);
    mask_flush(&lender->asker->wire->mask, asker_masked_bms(lender->asker), &request);
}

/* Counts the requests to this pack, not those to others on the line. `*known`: all are of its protocol. */
static unsigned count_requests(const struct bms *bms, const struct loan *loan, bool *known)
{
    unsigned requests = 0;
    *known = loan->size > 0;
    for (size_t at = 0, end; *known && at < loan->size; at += end) {
        int address;
        end = bms_request_end(bms, loan->bytes + at, loan->size - at, &address);
        *known = end > 0;
        requests += !*known || address < 0 || address == bms_address(bms);
    }
    return requests;
}

static void append_requests(struct lender *lender, double now)
{
    const struct bms_request request = request_of(&lender->loan);
    for (unsigned i = 0; i < lender->asker->turns->count; i++) {
        struct poller *poller = lender->asker->turns->list[i].poller;
        bool known;
        unsigned requests = count_requests(&poller->bms, &lender->loan, &known);
        lender->counted |= known && requests > 0;
        for (; requests > 0; requests--)
            ledger_send(&lender->asker->ledger, poller, &request, LOAN, BMS_PLAN_MAX, now);
    }
}

/* The longest of the packs on the line. */
static double reply_s(const struct lender *lender)
{
    const struct asker *asker = lender->asker;
    double longest = 0;
    for (unsigned i = 0; i < asker->turns->count; i++)
        longest = fmax(longest, turns_reply_s(asker->wire, asker->turns->list[i].poller));
    return longest;
}

static void wait_until(struct lender *lender, double deadline, double now)
{
    lender->deadline = fmin(deadline, lender->begun_at + ORDER_VALID_S);
    wire_wait(lender->asker->wire, lender->deadline, now);
}

/* All packs rest if an unknown number of requests was sent. */
static void end(struct lender *lender, enum loan_result result, double now)
{
    struct asker *asker = lender->asker;
    struct loan *borrower = lender->borrower;
    show_received(lender);
    reply_clear(&asker->buffer);
    for (unsigned i = 0; isfinite(lender->passed_at) && i < asker->turns->count; i++) {
        struct poller *poller = asker->turns->list[i].poller;
        if (bms_talks(poller->config->driver))
            continue; /* it is not polled, so no answer would ever settle this */
        ledger_send(&asker->ledger, poller, NULL, LOAN, BMS_PLAN_MAX, lender->passed_at);
        asker_rest(asker, poller);
    }
    asker->quiet_since = asker->over_at = now;
    lender->owed_s = fmin(now - lender->begun_at, ORDER_VALID_S);
    lender->lent = false;
    lender->borrower = NULL;
    if (borrower)
        borrower->done(borrower->data, result);
}

void lender_begin(struct lender *lender, double now)
{
    struct loan *loan = TAILQ_FIRST(&lender->queue);
    if (!end_rests(lender->asker, now))
        return;
    TAILQ_REMOVE(&lender->queue, loan, entry);
    lender->borrower = loan;
    lender->loan = *loan;
    lender->lent = true;
    lender->counted = false;
    lender->received = lender->echoed = 0;
    lender->begun_at = lender->deadline = now;
    lender->passed_at = -INFINITY;
    ledger_lend(&lender->asker->ledger);
    reply_clear(&lender->asker->buffer);
    if (loan->begun)
        loan->begun(loan->data);
    if (lender->borrower == loan && loan->size > 0)
        lender_pass(lender, loan, loan->bytes, loan->size, now);
}

bool lender_pass(struct lender *lender, const struct loan *loan, const uint8_t *bytes, size_t size,
                 double now)
{
    const struct bms *masked = asker_masked_bms(lender->asker);
    uint8_t shown[LOAN_BYTES];
    if (lender->borrower != loan)
        return false;
    if (size > sizeof shown)
        size = sizeof shown;
    memcpy(shown, bytes, size);
    mask_sent(masked, shown, size);
    if (masked->driver->mask && size > HEAD_SIZE)
        memset(shown + HEAD_SIZE, 0, size - HEAD_SIZE); /* it may set a password */
    if (loan->open_end) {
        lender->passed_at = now;
    } else {
        append_requests(lender, now);
        wait_until(lender, now + wire_s(lender->asker->wire, size) + reply_s(lender), now);
    }
    return wire_send(lender->asker->wire, bytes, size, shown, now);
}

void lender_received(struct lender *lender, const uint8_t *bytes, size_t size, double now)
{
    struct asker *asker = lender->asker;
    const struct loan *loan = &lender->loan;
    struct answer answer;
    mask_received(&asker->wire->mask, asker_masked_bms(asker), bytes, size);
    /* Two-wire adapters echo what is sent. */
    for (size_t i = 0; i < size; i++, lender->received++)
        lender->echoed += lender->received == lender->echoed && lender->received < loan->size &&
                          bytes[i] == loan->bytes[lender->received];
    if (loan->open_end) {
        show_received(lender);
    } else {
        reply_append(&asker->buffer, bytes, size);
        while (ledger_receive(&asker->ledger, &asker->buffer, false, &answer))
            ;
        const bool all = lender->counted && !ledger_has(&asker->ledger, LOAN, NULL);
        wait_until(lender, now + (all ? fmin(TAIL_S, reply_s(lender)) : reply_s(lender)), now);
    }
    if (lender->borrower)
        lender->borrower->received(lender->borrower->data, bytes, size);
}

void lender_due(struct lender *lender, double now)
{
    if (lender->loan.open_end && lender->borrower)
        return;
    if (now < lender->deadline) {
        wire_wait(lender->asker->wire, lender->deadline, now);
        return;
    }
    const size_t echo = lender->echoed == lender->loan.size ? lender->echoed : 0;
    end(lender, lender->received > echo ? LOAN_ANSWERED : LOAN_UNANSWERED, now);
}

void lender_closed(struct lender *lender, double now)
{
    if (lender->lent)
        end(lender, LOAN_LOST, now);
}

void lender_take_back(struct lender *lender, struct loan *loan, double now)
{
    if (lender->borrower != loan) {
        TAILQ_REMOVE(&lender->queue, loan, entry);
        return;
    }
    lender->borrower = NULL;
    if (loan->open_end) {
        lender->begun_at = now;
        wait_until(lender, now + reply_s(lender), now);
    } else {
        wire_wait(lender->asker->wire, now, now);
    }
}
