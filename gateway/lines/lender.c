// SPDX-License-Identifier: MIT
/* A line that is lent. */
#include "lender.h"

#include "reply_time.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

void lender_init(struct lender *lender, struct wire *wire, struct asker *asker, struct turns *turns,
                 void (*free)(void *data, double now), void *data)
{
    *lender =
        (struct lender){.wire = wire, .asker = asker, .turns = turns, .free = free, .data = data};
    lend_init(&lender->lend);
}

bool lender_is_busy(const struct lender *lender)
{
    return lender->lend.current != NULL;
}

double lender_next_at(struct lender *lender, double now)
{
    struct lend *lend = &lender->lend;
    for (struct loan *late; (late = lend_expired(lend, now));)
        late->done(late->data, LOAN_TOO_LATE);
    lender->asker->loan_since = lend->queue ? lend->queue->queued_at : INFINITY;
    if (!lend->queue)
        return INFINITY;
    const double clear_at = asker_clear_for_loan(lender->asker, now);
    const bool busy = asker_next_due(lender->asker, now) <= now;
    return lend_next_at(lend, lender->turns, busy, clear_at, now);
}

/* ---- what is shown of it ---- */

/* A request may set a password. What asks only is short, or has nothing behind its head. */
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
    const struct bms_request request = request_of(lender->lend.current);
    mask_flush(&lender->wire->mask, asker_masked_bms(lender->asker), &request);
}

/* ---- one loan ---- */

/* What he left unanswered may still be answered when one of ours is waited for. */
static void append_unanswered(struct lender *lender, double now)
{
    const struct lend *lend = &lender->lend;
    const struct bms_request request = request_of(lend->current);
    if (isfinite(lend->passed_at))
        asker_rest_after_loan(lender->asker, lend->passed_at);
    for (unsigned i = 0; i < lender->turns->count && lend->current->size > 0 && !lend_settled(lend);
         i++) {
        struct poller *poller = lender->turns->list[i].poller;
        for (unsigned n = lend_unanswered(lend, poller); n > 0; n--)
            ledger_send(&lender->asker->ledger, poller, &request, LOAN, 0, now);
    }
}

static void end(struct lender *lender, enum loan_result result, double now)
{
    show_received(lender);
    append_unanswered(lender, now);
    lender->asker->quiet_since = lender->asker->over_at = now;
    struct loan *loan = lend_end(&lender->lend, now);
    loan->done(loan->data, result);
}

static double reply_s(const struct lender *lender)
{
    return reply_time_longest_s(lender->wire, lender->turns);
}

/* Waits until the loan is over. */
static void watch(struct lender *lender, double now)
{
    double ask_at;
    if (!lend_is_over(&lender->lend, now, &ask_at)) {
        wire_wait(lender->wire, ask_at, now);
        return;
    }
    end(lender, lend_answered(&lender->lend) ? LOAN_ANSWERED : LOAN_UNANSWERED, now);
    lender->free(lender->data, now);
}

void lender_begin(struct lender *lender, double now)
{
    struct loan *loan = lender->lend.queue;
    if (!asker_is_clear(lender->asker, now))
        return;
    ledger_lend(&lender->asker->ledger);
    lend_begin(&lender->lend, lender->turns, reply_s(lender), wire_s(lender->wire, loan->size),
               now);
    if (loan->begun)
        loan->begun(loan->data);
    if (lender->lend.current != loan)
        return;
    wire_wait(lender->wire, now, now);
    if (loan->size > 0)
        lender_pass(lender, loan, loan->bytes, loan->size, now);
}

bool lender_pass(struct lender *lender, const struct loan *loan, const uint8_t *bytes, size_t size,
                 double now)
{
    uint8_t shown[LOAN_BYTES];
    if (lender->lend.current != loan)
        return false;
    if (size > sizeof shown)
        size = sizeof shown;
    memcpy(shown, bytes, size);
    hide(asker_masked_bms(lender->asker), shown, size);
    lender->wire->facts.loans++;
    if (loan->open_end)
        lender->lend.passed_at = now;
    return wire_send(lender->wire, bytes, size, shown, now);
}

void lender_received(struct lender *lender, const uint8_t *bytes, size_t size, double now)
{
    struct loan *loan = lender->lend.current;
    mask_received(&lender->wire->mask, asker_masked_bms(lender->asker), bytes, size);
    lend_received(&lender->lend, lender->turns, bytes, size, reply_s(lender), now);
    if (loan->open_end)
        show_received(lender);
    loan->received(loan->data, bytes, size);
    if (lender->lend.current)
        watch(lender, now);
}

void lender_due(struct lender *lender, double now)
{
    watch(lender, now);
}

void lender_closed(struct lender *lender, double now)
{
    if (lender->lend.current)
        end(lender, LOAN_LOST, now);
}

void lender_refuse(struct lender *lender)
{
    while (lender->lend.queue) {
        struct loan *loan = lender->lend.queue;
        lend_remove(&lender->lend, loan);
        loan->done(loan->data, LOAN_NO_LINE);
    }
}

void lender_take_back(struct lender *lender, struct loan *loan, double now)
{
    if (lend_remove(&lender->lend, loan) || lender->lend.current != loan)
        return;
    lend_orphan(&lender->lend, reply_s(lender), now);
    wire_wait(lender->wire, now, now);
}
