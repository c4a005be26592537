// SPDX-License-Identifier: MIT
/* Lending the bus. */
#include "lend.h"

#include <math.h>
#include <string.h>

#define SHORTEST_LIMIT_S 1.0
#define TAIL_S 0.1 /* of silence behind whole frames: one more may follow */
#define LOOK_S 1.0 /* longest wait without a look at the clock */

void lend_init(struct lend *lend)
{
    memset(lend, 0, sizeof *lend);
    lend->last_begun_at = -INFINITY;
}

/* ---- the queue ---- */

void lend_add(struct lend *lend, struct loan *loan)
{
    struct loan **last = &lend->queue;
    while (*last)
        last = &(*last)->next;
    loan->next = NULL;
    *last = loan;
}

bool lend_remove(struct lend *lend, const struct loan *loan)
{
    struct loan **link = &lend->queue;
    while (*link && *link != loan)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = loan->next;
    return true;
}

void lend_pay(struct lend *lend, double now)
{
    lend->owed_s = fmax(lend->owed_s - (now - lend->owed_from), 0);
    lend->owed_from = now;
}

/* A pack that answers, and whose values are older than they would be if nothing was lent. */
static bool is_any_old(const struct turns *turns, double now)
{
    for (unsigned i = 0; i < turns->count; i++) {
        const struct poller *poller = turns->list[i].poller;
        if (poller->presence.silent_cycles == 0 && !poller_stale(poller, now) &&
            now - poller->published_at > LOAN_OLD * poller->config->poll_s)
            return true;
    }
    return false;
}

double lend_next_at(const struct lend *lend, const struct turns *turns, bool busy, double clear_at,
                    double now)
{
    if (!lend->queue || (busy && lend->owed_s > 0))
        return INFINITY;
    double waited_s = now - lend->queue->queued_at;
    if (busy && waited_s < LOAN_PATIENCE_S && is_any_old(turns, now))
        return INFINITY;
    return fmax(fmax(now, clear_at), lend->last_begun_at + LOAN_SPACING_S);
}

struct loan *lend_expired(struct lend *lend, double now)
{
    for (struct loan *loan = lend->queue; loan; loan = loan->next)
        if (!loan->open_end && now - loan->queued_at > LOAN_VALID_S) {
            lend_remove(lend, loan);
            return loan;
        }
    return NULL;
}

/* ---- one loan ---- */

/* Whether the bytes are one whole request of the line's protocols. */
static bool is_single(const struct turns *turns, const uint8_t *bytes, size_t size)
{
    int address;
    bool single = false;
    for (unsigned i = 0; i < turns->count && !single; i++)
        single =
            size > 0 && bms_request_end(&turns->list[i].poller->bms, bytes, size, &address) == size;
    return single;
}

static double shortest_interval(const struct turns *turns)
{
    double shortest = LOAN_PATIENCE_S;
    for (unsigned i = 0; i < turns->count; i++)
        shortest = fmin(shortest, turns->list[i].poller->config->poll_s);
    return shortest;
}

struct loan *lend_begin(struct lend *lend, const struct turns *turns, double reply_s, double wire_s,
                        double now)
{
    struct loan *loan = lend->queue;
    lend->queue = loan->next;
    lend->current = loan;
    lend->received = 0;
    lend->settled = false;
    lend->begun_at = lend->last_begun_at = now;
    lend->passed_at = -INFINITY;
    lend->single = is_single(turns, loan->bytes, loan->size);
    lend->limit_at = now + wire_s + fmax(SHORTEST_LIMIT_S, shortest_interval(turns));
    lend->deadline = fmin(now + wire_s + reply_s, lend->limit_at);
    return loan;
}

/* Without the echo of two-wire adapters. */
static const uint8_t *reply_of(const struct lend *lend, size_t *size)
{
    const struct loan *loan = lend->current;
    *size = lend->received;
    bool echo = loan->size > 0 && *size >= loan->size && loan->size <= sizeof lend->bytes &&
                memcmp(lend->bytes, loan->bytes, loan->size) == 0;
    *size -= echo ? loan->size : 0;
    return lend->bytes + (echo ? loan->size : 0);
}

bool lend_answered(const struct lend *lend)
{
    size_t size;
    reply_of(lend, &size);
    return size > 0;
}

bool lend_settled(const struct lend *lend)
{
    return lend->settled;
}

/* How many whole frames of this pack's protocol came, and *rest: bytes that are none. Behind a frame there may be what begins none (JK
 * says "AT"). */
static unsigned count_frames(const struct lend *lend, const struct bms *bms, size_t *rest)
{
    unsigned frames = 0;
    size_t size, at = 0;
    const uint8_t *reply = reply_of(lend, &size);
    struct bms_request request = {.size = lend->current->size};
    if (request.size > sizeof request.bytes)
        request.size = sizeof request.bytes;
    memcpy(request.bytes, lend->current->bytes, request.size);
    while (lend->received <= sizeof lend->bytes && at < size) {
        struct bms_span span = bms->driver->frame(bms, &request, reply + at, size - at);
        bool behind = span.kind == BMS_SKIP && at > 0;
        if ((span.kind != BMS_FRAME && !behind) || span.size > size - at)
            break;
        frames += span.kind == BMS_FRAME;
        at += span.size;
    }
    *rest = size - at;
    return frames;
}

/* Whether what came is whole frames, for one of the packs. */
static bool is_whole(const struct lend *lend, const struct turns *turns)
{
    for (unsigned i = 0; i < turns->count; i++) {
        size_t rest;
        if (count_frames(lend, &turns->list[i].poller->bms, &rest) > 0 && rest == 0)
            return true;
    }
    return false;
}

unsigned lend_unanswered(const struct lend *lend, const struct poller *poller)
{
    const struct loan *loan = lend->current;
    const struct bms *bms = &poller->bms;
    unsigned requests = 0, others = 0;
    for (size_t at = 0, end = 1; at < loan->size && end > 0; at += end) {
        int address;
        end = bms_request_end(bms, loan->bytes + at, loan->size - at, &address);
        bool other = end > 0 && address >= 0 && address != bms_address(bms);
        others += other;
        requests += !other;
    }
    size_t rest;
    const unsigned frames = count_frames(lend, bms, &rest);
    if (requests == 0 && others > 0)
        return 0;
    return requests > frames + 1 ? requests - frames : 1;
}

void lend_received(struct lend *lend, const struct turns *turns, const uint8_t *bytes, size_t size,
                   double reply_s, double now)
{
    if (lend->received < sizeof lend->bytes) {
        size_t room = sizeof lend->bytes - lend->received;
        memcpy(lend->bytes + lend->received, bytes, size < room ? size : room);
    }
    lend->received += size;
    lend->settled = lend->single && is_whole(lend, turns);
    lend->deadline = fmin(now + (lend->settled ? fmin(TAIL_S, reply_s) : reply_s),
                          lend->begun_at + LOAN_VALID_S);
}

bool lend_is_over(const struct lend *lend, double now, double *ask_at)
{
    *ask_at = lend->current->open_end ? now + LOOK_S : lend->deadline;
    return !lend->current->open_end && now >= lend->deadline;
}

static void forget_bytes(void *data, const uint8_t *bytes, size_t size)
{
    (void) data;
    (void) bytes;
    (void) size;
}

static void forget_result(void *data, enum loan_result result)
{
    (void) data;
    (void) result;
}

void lend_orphan(struct lend *lend, double reply_s, double now)
{
    lend->orphan = *lend->current;
    lend->orphan.received = forget_bytes;
    lend->orphan.done = forget_result;
    if (lend->orphan.open_end) {
        lend->orphan.open_end = false;
        lend->orphan.size = 0;
        lend->received = 0;
        lend->begun_at = now;
        lend->deadline = now + reply_s;
    }
    lend->current = &lend->orphan;
}

struct loan *lend_end(struct lend *lend, double now)
{
    struct loan *loan = lend->current;
    lend->current = NULL;
    lend->owed_s = fmin(now - lend->begun_at, LOAN_VALID_S);
    lend->owed_from = now;
    return loan;
}
