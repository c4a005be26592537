// SPDX-License-Identifier: MIT
/* Lending the line. */
#include "lender.h"

#include "reply_time.h"

#include <math.h>
#include <string.h>

#define TAIL_S 0.1 /* of silence after all answers: one more may follow */

void lender_init(struct lender *lender, struct asker *asker, void (*idle)(void *data, double now),
                 void *data)
{
    *lender = (struct lender){.asker = asker, .idle = idle, .data = data};
}

/* ---- the queue ---- */

void lender_add(struct lender *lender, struct loan *loan)
{
    struct loan **last = &lender->queue;
    while (*last)
        last = &(*last)->next;
    loan->next = NULL;
    *last = loan;
}

static bool remove_loan(struct lender *lender, const struct loan *loan)
{
    struct loan **link = &lender->queue;
    while (*link && *link != loan)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = loan->next;
    return true;
}

static void end_waiting(struct lender *lender, struct loan *loan, enum loan_result result)
{
    remove_loan(lender, loan);
    loan->done(loan->data, result);
}

void lender_refuse(struct lender *lender)
{
    while (lender->queue)
        end_waiting(lender, lender->queue, LOAN_NO_LINE);
}

double lender_next_at(struct lender *lender, double now)
{
    for (struct loan *loan = lender->queue, *next; loan; loan = next) {
        next = loan->next;
        if (!loan->open_end && now - loan->queued_at > LOAN_VALID_S)
            end_waiting(lender, loan, LOAN_TOO_LATE);
    }
    lender->asker->loan_since = lender->queue ? lender->queue->queued_at : INFINITY;
    if (!lender->queue)
        return INFINITY;
    const double clear_at = rest_before_loan(&lender->asker->rest, now);
    if (asker_next_due(lender->asker, now) <= now && lender->owed_s > 0)
        return INFINITY;
    return fmax(now, clear_at);
}

void lender_pay(struct lender *lender, double now)
{
    lender->owed_s -= now - lender->asker->flight.asked_at;
}

/* ---- what is shown of it ---- */

/* A request may set a password: only its head is shown. Requests that read are no longer than that, or zero behind it. */
static void hide(const struct bms *bms, uint8_t *bytes, size_t size)
{
    enum { HEAD = 6 };
    mask_sent(bms, bytes, size);
    if (bms->driver->mask && size > HEAD)
        memset(bytes + HEAD, 0, size - HEAD);
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

/* ---- one loan ---- */

/* Counts the requests to this pack, not those to others on the line. `*known`: all are of its protocol. */
static unsigned count_requests(const struct bms *bms, const struct loan *loan, bool *known)
{
    unsigned requests = 0;
    for (size_t at = 0, end; at < loan->size; at += end) {
        int address;
        end = bms_request_end(bms, loan->bytes + at, loan->size - at, &address);
        *known = end > 0;
        requests += !*known || address < 0 || address == bms_address(bms);
        if (!*known)
            break;
    }
    return requests;
}

static void append_requests(struct lender *lender, double now)
{
    const struct bms_request request = request_of(&lender->loan);
    for (unsigned i = 0; i < lender->asker->turns->count; i++) {
        struct poller *poller = lender->asker->turns->list[i].poller;
        bool known = false;
        unsigned requests = count_requests(&poller->bms, &lender->loan, &known);
        lender->counted |= known && requests > 0;
        for (; requests > 0; requests--)
            ledger_send(&lender->asker->rest.ledger, poller, &request, LOAN, 0, now);
    }
}

static double reply_s(const struct lender *lender)
{
    return reply_time_longest_s(lender->asker->wire, lender->asker->turns);
}

static void wait_until(struct lender *lender, double deadline, double now)
{
    lender->deadline = fmin(deadline, lender->begun_at + LOAN_VALID_S);
    wire_wait(lender->asker->wire, lender->deadline, now);
}

static void end(struct lender *lender, enum loan_result result, double now)
{
    struct loan *borrower = lender->borrower;
    show_received(lender);
    reply_clear(&lender->asker->buffer);
    if (isfinite(lender->passed_at))
        rest_all(&lender->asker->rest, lender->passed_at);
    lender->asker->quiet_since = lender->asker->over_at = now;
    lender->owed_s = fmin(now - lender->begun_at, LOAN_VALID_S);
    lender->lent = false;
    lender->borrower = NULL;
    if (borrower)
        borrower->done(borrower->data, result);
}

void lender_begin(struct lender *lender, double now)
{
    struct loan *loan = lender->queue;
    if (!rest_end_before_loan(&lender->asker->rest, now))
        return;
    lender->queue = loan->next;
    lender->borrower = loan;
    lender->loan = *loan;
    lender->lent = true;
    lender->counted = false;
    lender->received = lender->echoed = 0;
    lender->begun_at = lender->deadline = now;
    lender->passed_at = -INFINITY;
    ledger_lend(&lender->asker->rest.ledger);
    reply_clear(&lender->asker->buffer);
    if (loan->begun)
        loan->begun(loan->data);
    if (lender->borrower == loan && loan->size > 0)
        lender_pass(lender, loan, loan->bytes, loan->size, now);
}

bool lender_pass(struct lender *lender, const struct loan *loan, const uint8_t *bytes, size_t size,
                 double now)
{
    uint8_t shown[LOAN_BYTES];
    if (lender->borrower != loan)
        return false;
    if (size > sizeof shown)
        size = sizeof shown;
    memcpy(shown, bytes, size);
    hide(asker_masked_bms(lender->asker), shown, size);
    lender->asker->wire->facts.loans++;
    if (loan->open_end) {
        lender->passed_at = now;
    } else {
        append_requests(lender, now);
        wait_until(lender, now + wire_s(lender->asker->wire, size) + reply_s(lender), now);
    }
    return wire_send(lender->asker->wire, bytes, size, shown, now);
}

/* Two-wire adapters echo what is sent. */
static void count_received(struct lender *lender, const uint8_t *bytes, size_t size)
{
    const struct loan *loan = &lender->loan;
    for (size_t i = 0; i < size; i++, lender->received++)
        lender->echoed += lender->received == lender->echoed && lender->received < loan->size &&
                          bytes[i] == loan->bytes[lender->received];
}

static bool is_answered(const struct lender *lender)
{
    const size_t echo = lender->echoed == lender->loan.size ? lender->echoed : 0;
    return lender->received > echo;
}

/* True: no request of the borrower is open any more. */
static bool settle_answered(struct lender *lender, const uint8_t *bytes, size_t size)
{
    struct ledger *ledger = &lender->asker->rest.ledger;
    struct answer answer;
    reply_append(&lender->asker->buffer, bytes, size);
    while (ledger_receive(ledger, &lender->asker->buffer, false, &answer))
        ;
    return lender->counted && !ledger_has(ledger, LOAN, NULL);
}

void lender_received(struct lender *lender, const uint8_t *bytes, size_t size, double now)
{
    mask_received(&lender->asker->wire->mask, asker_masked_bms(lender->asker), bytes, size);
    count_received(lender, bytes, size);
    if (lender->loan.open_end) {
        show_received(lender);
    } else {
        const bool all = settle_answered(lender, bytes, size);
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
    end(lender, is_answered(lender) ? LOAN_ANSWERED : LOAN_UNANSWERED, now);
    lender->idle(lender->data, now);
}

void lender_closed(struct lender *lender, double now)
{
    if (lender->lent)
        end(lender, LOAN_LOST, now);
}

void lender_take_back(struct lender *lender, struct loan *loan, double now)
{
    if (remove_loan(lender, loan) || lender->borrower != loan)
        return;
    lender->borrower = NULL;
    if (loan->open_end) {
        lender->begun_at = now;
        wait_until(lender, now + reply_s(lender), now);
    } else {
        wire_wait(lender->asker->wire, now, now);
    }
}
