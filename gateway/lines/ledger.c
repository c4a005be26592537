// SPDX-License-Identifier: MIT
/* The open requests of a line. */
#include "ledger.h"

#include <math.h>
#include <string.h>

static void drop(struct ledger *ledger, unsigned index)
{
    ledger->count--;
    memmove(ledger->open + index, ledger->open + index + 1,
            (ledger->count - index) * sizeof ledger->open[0]);
}

/* Two requests of one pack become one that is as old as the older one and has the answers of both. Where they differ, any
 * frame can be one of these, as with a loan. */
static bool merge(struct ledger *ledger, bool alike)
{
    for (unsigned i = 0; i < ledger->count; i++)
        for (unsigned k = i + 1; k < ledger->count; k++) {
            struct open_request *older = &ledger->open[i], *newer = &ledger->open[k];
            const bool same =
                older->owner == newer->owner && bms_request_same(&older->words, &newer->words);
            if (older->pack != newer->pack || (alike && !same))
                continue;
            older->times = older->times && newer->times ? older->times + newer->times : 0;
            older->owner = same ? older->owner : LOAN;
            drop(ledger, k);
            return true;
        }
    return false;
}

static void make_room(struct ledger *ledger)
{
    if (!merge(ledger, true) && !merge(ledger, false))
        drop(ledger, 0); /* more packs than entries */
}

uint32_t ledger_send(struct ledger *ledger, struct poller *pack, const struct bms_request *words,
                     enum ledger_owner owner, unsigned step, double now)
{
    if (ledger->count == LEDGER_MOST)
        make_room(ledger);
    ledger->open[ledger->count++] = (struct open_request){.pack = pack,
                                                          .words = *words,
                                                          .owner = owner,
                                                          .step = step,
                                                          .number = ++ledger->sent,
                                                          .sent_at = now,
                                                          .times = 1};
    return ledger->sent;
}

void ledger_send_uncounted(struct ledger *ledger, struct poller *pack, double sent_at)
{
    static const struct bms_request unknown;
    ledger_send(ledger, pack, &unknown, LOAN, 0, sent_at);
    ledger->open[ledger->count - 1].times = 0;
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

void ledger_expire(struct ledger *ledger, double before)
{
    for (unsigned i = ledger->count; i > 0; i--)
        if (ledger->open[i - 1].sent_at <= before)
            drop(ledger, i - 1);
}

void ledger_lend(struct ledger *ledger)
{
    for (unsigned i = 0; i < ledger->count; i++)
        if (ledger->open[i].owner == POLL)
            ledger->open[i].owner = NOBODY;
}

/* ---- what comes ---- */

/* What the frame at the beginning of the bytes is to an open request. Nothing is learned from it yet: that is done with
 * a copy. */
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

static bool is_echo(const struct ledger *ledger, const uint8_t *bytes, size_t size)
{
    for (unsigned i = 0; i < ledger->count; i++)
        if (ledger->open[i].words.size == size &&
            memcmp(ledger->open[i].words.bytes, bytes, size) == 0)
            return true;
    return false;
}

/* Which open requests a frame can answer. */
struct candidates {
    const struct ledger *ledger;
    enum bms_result result[LEDGER_MOST];
    unsigned oldest, newest;
    bool single, usable;
};

/* The same words to the same pack have the same answer. */
static int tried_before(const struct ledger *ledger, unsigned index)
{
    const struct open_request *request = &ledger->open[index];
    for (unsigned i = 0; i < index; i++)
        if (ledger->open[i].pack == request->pack && ledger->open[i].owner == request->owner &&
            bms_request_same(&ledger->open[i].words, &request->words))
            return (int) i;
    return -1;
}

static bool is_answer(enum bms_result result)
{
    return result == BMS_DONE || result == BMS_PARTIAL || result == BMS_REFUSED;
}

/* The requests of a loan may be unknown (several requests, or a tunnel): any whole frame can answer
 * them. */
static void add_loans(struct candidates *candidates, const uint8_t *bytes, size_t frame_size)
{
    const struct ledger *ledger = candidates->ledger;
    const bool echo = is_echo(ledger, bytes, frame_size);
    for (unsigned i = 0; i < ledger->count; i++)
        if (ledger->open[i].owner == LOAN)
            candidates->result[i] = echo ? BMS_FOREIGN : BMS_DONE;
}

/* Fills in candidates->result. Returns the span of the first request for which there is a whole
 * frame; otherwise BMS_MORE if any request needs more, else the span of the last one. */
static struct bms_span try_all(struct candidates *candidates, const uint8_t *bytes, size_t size)
{
    const struct ledger *ledger = candidates->ledger;
    struct bms_span best = {BMS_SKIP, 1}, span;
    struct pack pack;
    bool framed = false;
    for (unsigned i = 0; i < ledger->count; i++) {
        const int before = tried_before(ledger, i);
        if (before >= 0) {
            candidates->result[i] = candidates->result[before];
            continue;
        }
        const enum bms_result result = try_frame(&ledger->open[i], bytes, size, &span, &pack);
        const bool whole = span.kind == BMS_FRAME && span.size <= size;
        candidates->result[i] = result;
        if (whole ? !framed || is_answer(result) : !framed && best.kind != BMS_MORE)
            best = span;
        framed |= whole;
    }
    if (framed)
        add_loans(candidates, bytes, best.size);
    return best;
}

/* Which pack the frame is of; NULL: none. The driver's check is exact, but any frame can answer a loan. */
static const struct poller *find_pack(const struct candidates *candidates)
{
    const struct poller *borrowed = NULL;
    for (unsigned i = 0; i < candidates->ledger->count; i++) {
        const struct open_request *request = &candidates->ledger->open[i];
        if (is_answer(candidates->result[i]) && request->owner != LOAN)
            return request->pack;
        if (is_answer(candidates->result[i]) && !borrowed)
            borrowed = request->pack;
    }
    return borrowed;
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
    const struct poller *pack = find_pack(candidates);
    bool found = false;
    if (!pack)
        return false;
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
    return true;
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

/* Decodes again, now into the poller. The parts of a reply in several frames are merged. The driver
 * learns from the newest candidate, for example which form of requests the pack answers. */
static void decode(const struct open_request *oldest, const struct open_request *newest,
                   const uint8_t *frame, size_t size)
{
    struct poller *pack = oldest->pack;
    if (pack->incoming_of != oldest->number)
        pack_clear(&pack->incoming);
    pack->incoming_of = oldest->number;
    pack->bms.driver->decode(&pack->bms, &newest->words, frame, size, &pack->incoming);
}

/* The frame counts for its oldest candidate. */
static void count(struct ledger *ledger, const struct candidates *candidates, const uint8_t *frame,
                  size_t size, struct answer *answer)
{
    answer->oldest = ledger->open[candidates->oldest];
    answer->newest_at = ledger->open[candidates->newest].sent_at;
    answer->single = candidates->single;
    answer->usable =
        candidates->usable && (answer->oldest.owner == POLL || answer->oldest.owner == ORDER);
    if (answer->usable)
        decode(&answer->oldest, &ledger->open[candidates->newest], frame, size);
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

/* ---- what is open ---- */

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
