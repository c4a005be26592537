// SPDX-License-Identifier: MIT
#include "ledger.h"

#include <math.h>
#include <string.h>

static void drop(struct ledger *ledger, unsigned index)
{
    ledger->count--;
    memmove(ledger->open + index, ledger->open + index + 1,
            (ledger->count - index) * sizeof ledger->open[0]);
}

static bool is_alike(const struct open_request *a, const struct open_request *b)
{
    return a->pack == b->pack && a->owner == b->owner && bms_request_same(&a->words, &b->words);
}

/* Two requests of one pack become one that is as old as the older one and has the answers of both. Where they differ, any
 * frame can be one of these, as with a loan. */
static void make_room(struct ledger *ledger)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < ledger->count; i++)
            for (unsigned k = i + 1; k < ledger->count; k++) {
                struct open_request *older = &ledger->open[i], *newer = &ledger->open[k];
                const bool alike = is_alike(older, newer);
                if (!alike && (pass == 0 || older->pack != newer->pack))
                    continue;
                older->times = older->times && newer->times ? older->times + newer->times : 0;
                older->owner = alike ? older->owner : LOAN;
                drop(ledger, k);
                return;
            }
    drop(ledger, 0); /* more packs than entries */
}

uint32_t ledger_send(struct ledger *ledger, struct poller *pack, const struct bms_request *words,
                     enum ledger_owner owner, unsigned step, double now)
{
    if (ledger->count == LEDGER_MOST)
        make_room(ledger);
    static const struct bms_request unknown;
    ledger->open[ledger->count++] = (struct open_request){.pack = pack,
                                                          .words = words ? *words : unknown,
                                                          .owner = owner,
                                                          .step = step,
                                                          .number = ++ledger->sent,
                                                          .sent_at = now,
                                                          .times = words ? 1 : 0};
    return ledger->sent;
}

void ledger_inherit(struct ledger *ledger, const struct ledger *old, struct poller *pack)
{
    for (const struct open_request *open = old->open; open < old->open + old->count; open++) {
        const struct bms *bms = &open->pack->bms;
        if (bms->driver != pack->bms.driver || bms_address(bms) != bms_address(&pack->bms))
            continue;
        ledger_send(ledger, pack, &open->words, open->owner == LOAN ? LOAN : NOBODY, BMS_PLAN_MAX,
                    open->sent_at);
        ledger->open[ledger->count - 1].times = open->times;
    }
}

/* The request and all before it of the same pack will not be answered any more, except orders,
 * which stay open until they are answered. */
static void settle(struct ledger *ledger, unsigned index)
{
    struct open_request *answered = &ledger->open[index];
    const struct poller *pack = answered->pack;
    const bool more = answered->times != 1;
    answered->times -= answered->times > 1;
    for (unsigned i = index + 1; i > 0; i--) {
        const struct open_request *open = &ledger->open[i - 1];
        const bool before = i - 1 < index && open->pack == pack && open->owner != ORDER;
        if (before || (i - 1 == index && !more))
            drop(ledger, i - 1);
        else if (i - 1 < index && open->pack == pack)
            ledger->open[i - 1].passed = true;
    }
}

bool ledger_expire(struct ledger *ledger, double before)
{
    const unsigned count = ledger->count;
    for (unsigned i = ledger->count; i > 0; i--)
        if (ledger->open[i - 1].sent_at <= before)
            drop(ledger, i - 1);
    return ledger->count < count;
}

void ledger_lend(struct ledger *ledger)
{
    for (unsigned i = 0; i < ledger->count; i++)
        if (ledger->open[i].owner == POLL)
            ledger->open[i].owner = NOBODY;
}

/* What the frame at the beginning of the bytes is to an open request. A copy decodes it: nothing is learned yet. */
static enum bms_result try_frame(const struct open_request *request, const uint8_t *bytes,
                                 size_t size, struct bms_span *span, struct pack *pack)
{
    struct bms bms = request->pack->bms;
    *span = bms.driver->frame(&bms, &request->words, bytes, size);
    if (span->kind != BMS_FRAME || span->size > size)
        return BMS_FOREIGN;
    pack_clear(pack);
    return bms.driver->decode(&bms, &request->words, bytes, span->size, pack);
}

/* Which open requests a frame can answer. */
struct candidates {
    const struct ledger *ledger;
    enum bms_result result[LEDGER_MOST];
    unsigned oldest, newest;
    bool single, usable;
};

static bool is_answer(enum bms_result result)
{
    return result == BMS_DONE || result == BMS_PARTIAL || result == BMS_REFUSED;
}

/* Fills in candidates->result. Returns the span of the first request for which there is a whole
 * frame; otherwise BMS_MORE if any request needs more, else the span of the last one. */
static struct bms_span try_all(struct candidates *candidates, const uint8_t *bytes, size_t size)
{
    const struct ledger *ledger = candidates->ledger;
    struct bms_span best = {BMS_SKIP, 1}, span;
    struct pack pack;
    bool framed = false, echo = false;
    for (unsigned i = 0, k; i < ledger->count; i++) {
        for (k = 0; k < i && !is_alike(&ledger->open[k], &ledger->open[i]); k++)
            continue;
        if (k < i) { /* the same words to the same pack have the same answer */
            candidates->result[i] = candidates->result[k];
            continue;
        }
        const enum bms_result result = try_frame(&ledger->open[i], bytes, size, &span, &pack);
        const bool whole = span.kind == BMS_FRAME && span.size <= size;
        candidates->result[i] = result;
        if (whole ? !framed || is_answer(result) : !framed && best.kind != BMS_MORE)
            best = span;
        framed |= whole;
    }
    /* The requests of a loan may be unknown (several, or a tunnel): any whole frame but an echo can answer them. */
    for (unsigned i = 0; framed && i < ledger->count; i++)
        echo |= ledger->open[i].words.size == best.size &&
                memcmp(ledger->open[i].words.bytes, bytes, best.size) == 0;
    for (unsigned i = 0; framed && i < ledger->count; i++)
        if (ledger->open[i].owner == LOAN)
            candidates->result[i] = echo ? BMS_FOREIGN : BMS_DONE;
    return best;
}

/* Whether the frame is the same answer to both. */
static bool says_same(const struct open_request *a, const struct open_request *b,
                      const uint8_t *frame, size_t size)
{
    struct pack to_a, to_b;
    struct bms_span span;
    return bms_request_same(&a->words, &b->words) ||
           (a->owner == POLL && b->owner == POLL &&
            try_frame(a, frame, size, &span, &to_a) == try_frame(b, frame, size, &span, &to_b) &&
            pack_same(&to_a, &to_b));
}

static bool find_oldest(struct candidates *candidates, const uint8_t *frame, size_t size)
{
    const struct ledger *ledger = candidates->ledger;
    /* The pack that the frame is of: the driver's check is exact, but any frame can answer a loan. */
    const struct poller *pack = NULL, *borrowed = NULL;
    for (unsigned i = ledger->count; i > 0; i--)
        if (is_answer(candidates->result[i - 1]))
            *(ledger->open[i - 1].owner == LOAN ? &borrowed : &pack) = ledger->open[i - 1].pack;
    pack = pack ? pack : borrowed;
    bool found = false;
    candidates->single = candidates->usable = true;
    for (unsigned i = 0; i < ledger->count; i++) {
        const struct open_request *request = &ledger->open[i];
        if (request->pack != pack || !is_answer(candidates->result[i]))
            continue;
        if (!found)
            candidates->oldest = i;
        candidates->single &= !found && request->times == 1;
        candidates->newest = i;
        candidates->usable &= says_same(&ledger->open[candidates->oldest], request, frame, size);
        found = true;
    }
    return found;
}

static struct bms_span look(void *data, const uint8_t *bytes, size_t size, enum bms_result *result)
{
    struct candidates *candidates = data;
    const struct bms_span span = try_all(candidates, bytes, size);
    *result = BMS_FOREIGN;
    if (span.kind != BMS_FRAME)
        return span;
    if (find_oldest(candidates, bytes, span.size))
        *result = candidates->result[candidates->oldest];
    for (unsigned i = 0; *result == BMS_FOREIGN && i < candidates->ledger->count; i++)
        if (candidates->result[i] == BMS_INVALID)
            *result = BMS_INVALID;
    return span;
}

/* The frame counts for its oldest candidate. It is decoded again into the poller, which merges the parts of a reply. The
 * driver learns from the newest candidate, such as the form of requests that the pack answers. */
static void count(struct ledger *ledger, const struct candidates *candidates, const uint8_t *frame,
                  size_t size, struct answer *answer)
{
    const struct open_request *oldest = &ledger->open[candidates->oldest],
                              *newest = &ledger->open[candidates->newest];
    struct poller *pack = oldest->pack;
    answer->oldest = *oldest;
    answer->newest_at = newest->sent_at;
    answer->single = candidates->single;
    answer->usable = candidates->usable && (oldest->owner == POLL || oldest->owner == ORDER);
    if (answer->usable) {
        if (pack->incoming_of != oldest->number)
            pack_clear(&pack->incoming);
        pack->incoming_of = oldest->number;
        pack->bms.driver->decode(&pack->bms, &newest->words, frame, size, &pack->incoming);
    }
    if (answer->result != BMS_PARTIAL)
        settle(ledger, candidates->oldest);
    ledger_expire(ledger, answer->oldest.sent_at - ANSWER_MOST_S);
}

bool ledger_receive(struct ledger *ledger, struct reply *buffer, bool silent, struct answer *answer)
{
    struct candidates candidates = {.ledger = ledger};
    if (ledger->count == 0)
        reply_clear(buffer); /* no request is open */
    const size_t size = reply_next(buffer, silent, look, &candidates, &answer->result);
    if (size == 0)
        return false;
    count(ledger, &candidates, buffer->bytes, size, answer);
    reply_drop(buffer, size);
    return true;
}

struct bms_span ledger_look(struct ledger *ledger, const uint8_t *bytes, size_t size,
                            struct answer *answer)
{
    struct candidates candidates = {.ledger = ledger};
    const struct bms_span span = look(&candidates, bytes, size, &answer->result);
    if (is_answer(answer->result))
        count(ledger, &candidates, bytes, span.size, answer);
    return span;
}

const struct open_request *ledger_oldest(const struct ledger *ledger, const struct poller *pack)
{
    for (unsigned i = 0; i < ledger->count; i++)
        if (ledger->open[i].pack == pack && ledger->open[i].owner != ORDER)
            return &ledger->open[i];
    return NULL;
}

bool ledger_has(const struct ledger *ledger, enum ledger_owner owner, const struct poller *pack)
{
    bool open = false;
    for (unsigned i = 0; i < ledger->count; i++)
        open |= ledger->open[i].owner == owner && (!pack || ledger->open[i].pack == pack);
    return open;
}

double ledger_rested_at(const struct ledger *ledger, const struct poller *pack)
{
    double last = -INFINITY;
    for (unsigned i = 0; i < ledger->count; i++)
        if (ledger->open[i].pack == pack && !ledger->open[i].passed)
            last = fmax(last, ledger->open[i].sent_at);
    return last + ANSWER_MOST_S;
}
