// SPDX-License-Identifier: MIT
/* What was asked on a line and may still be answered. */
#include "sieve.h"

#include <math.h>
#include <string.h>

#define LOOKS_MOST 256 /* at what may be a frame, in one go: noise is not worth more */

static void drop(struct sieve *sieve, unsigned index)
{
    sieve->count--;
    memmove(sieve->open + index, sieve->open + index + 1,
            (sieve->count - index) * sizeof sieve->open[0]);
}

/* ---- what is open ---- */

/* The last one of the pack; NULL: none. */
static const struct sieve_open *last_of(const struct sieve *sieve, const struct poller *poller)
{
    for (unsigned i = sieve->count; i > 0; i--)
        if (sieve->open[i - 1].poller == poller)
            return &sieve->open[i - 1];
    return NULL;
}

static bool is_too_old(const struct sieve_open *open, double now)
{
    return now - open->at > SIEVE_OLD_S;
}

/* What is too old goes, and if that is not enough, the oldest one of a pack of which there is another one. */
static void make_room(struct sieve *sieve, const struct poller *poller, double now)
{
    unsigned index = 0;
    while (index < sieve->count) {
        const struct sieve_open *open = &sieve->open[index];
        if (open->poller == poller && is_too_old(open, now))
            drop(sieve, index);
        else
            index++;
    }
    if (sieve->count < SIEVE_MOST)
        return;
    index = 0;
    while (index < sieve->count && last_of(sieve, sieve->open[index].poller) == &sieve->open[index])
        index++;
    drop(sieve, index < sieve->count ? index : 0);
}

/* Something of the pack is open, and nothing came for as long as its answers take. */
static bool has_rested(const struct sieve *sieve, const struct poller *poller, double now)
{
    bool rested = false;
    for (unsigned i = 0; i < sieve->count; i++) {
        const struct sieve_open *open = &sieve->open[i];
        if (open->poller == poller && !(now >= open->since + open->late_s))
            return false;
        rested |= open->poller == poller;
    }
    return rested;
}

void sieve_ask(struct sieve *sieve, struct poller *poller, const uint8_t *bytes, size_t size,
               bool foreign, double now)
{
    const struct sieve_open *before = last_of(sieve, poller);
    const struct sieve_open asked = {.poller = poller,
                                     .at = now,
                                     .since = before && !before->foreign ? before->since : now,
                                     .late_s = NAN,
                                     .foreign = foreign,
                                     .tried = before && before->tried};
    sieve->rested = !foreign && has_rested(sieve, poller, now);
    make_room(sieve, poller, now);
    sieve->alone = sieve->own = sieve->count == 0 && !foreign;
    sieve->in_flight = !foreign;
    struct sieve_open *open = &sieve->open[sieve->count];
    *open = asked;
    open->request.size = size < sizeof open->request.bytes ? size : sizeof open->request.bytes;
    memcpy(open->request.bytes, bytes, open->request.size);
    sieve->count++;
}

/* Behind a longer rest another request is to show it. */
static double settled_at(const struct sieve_open *open, double short_s)
{
    double wait_s = open->late_s <= short_s ? open->late_s : SIEVE_DEAD_S;
    return open->foreign ? -INFINITY : fmax(open->at + short_s, open->since + wait_s);
}

double sieve_clear_at(const struct sieve *sieve, double short_s)
{
    double clear_at = -INFINITY;
    for (unsigned i = 0; i < sieve->count; i++)
        clear_at = fmax(clear_at, settled_at(&sieve->open[i], short_s));
    return clear_at;
}

double sieve_rest_until(const struct sieve *sieve, const struct poller *poller)
{
    double until = -INFINITY;
    for (unsigned i = 0; i < sieve->count; i++) {
        const struct sieve_open *open = &sieve->open[i];
        if (open->poller == poller && open->tried && !isnan(open->late_s))
            until = fmax(until, open->since + open->late_s);
    }
    return until;
}

double sieve_open_at(const struct sieve *sieve)
{
    double at = -INFINITY;
    for (unsigned i = 0; i < sieve->count; i++)
        if (!sieve->open[i].foreign)
            at = sieve->open[i].at;
    return at;
}

bool sieve_awaits(const struct sieve *sieve, const struct poller *poller)
{
    for (unsigned i = 0; i < sieve->count; i++)
        if (!sieve->open[i].foreign && sieve->open[i].poller == poller)
            return true;
    return false;
}

struct poller *sieve_to_ask(struct sieve *sieve)
{
    for (unsigned i = 0; i < sieve->count; i++) {
        if (sieve->open[i].foreign || sieve->open[i].tried)
            continue;
        for (unsigned k = i; k < sieve->count; k++)
            sieve->open[k].tried |= sieve->open[k].poller == sieve->open[i].poller;
        return sieve->open[i].poller;
    }
    return NULL;
}

/* ---- what comes ---- */

/* What a frame at the start of the bytes is to a request. Nothing is learned from it: that is done with a copy. */
static enum bms_result ask(const struct poller *poller, const struct bms_request *request,
                           const uint8_t *bytes, size_t size, struct bms_span *span)
{
    struct bms bms = poller->bms;
    struct pack pack;
    *span = bms.driver->frame(&bms, request, bytes, size);
    if (span->kind != BMS_FRAME || span->size > size)
        return BMS_FOREIGN;
    pack_clear(&pack);
    return bms.driver->decode(&bms, request, bytes, span->size, &pack);
}

static bool is_answer(enum bms_result result)
{
    return result != BMS_FOREIGN && result != BMS_INVALID;
}

/* It is through, as are those before it of the same pack, unless more of its answer follows. */
static void settle(struct sieve *sieve, unsigned index, bool whole, double now)
{
    struct poller *poller = sieve->open[index].poller;
    const double late_s = now - sieve->open[index].at;
    unsigned kept = 0;
    for (unsigned i = 0; i < sieve->count; i++) {
        struct sieve_open open = sieve->open[i];
        if (open.poller == poller && (i < index || (i == index && whole)))
            continue;
        if (open.poller == poller) {
            open.since = now;
            open.late_s = late_s;
        }
        sieve->open[kept++] = open;
    }
    sieve->count = kept;
}

/* What was asked by somebody else may have any answer, and may not even be one request: an earlier one of his of the same pack comes first. */
static unsigned first_foreign(const struct sieve *sieve, unsigned index, double now)
{
    for (unsigned i = 0; i < index; i++) {
        const struct sieve_open *open = &sieve->open[i];
        if (open->foreign && open->poller == sieve->open[index].poller && !is_too_old(open, now))
            return i;
    }
    return index;
}

/* The first request that what stands there can be the answer to; `count`: none. *passed: how many bytes that are, or can be passed
 * over; 0: more are needed to tell. */
static unsigned find_request(const struct sieve *sieve, const uint8_t *bytes, size_t size,
                             double now, size_t *passed, bool *whole)
{
    size_t least = size;
    bool more = false;
    const unsigned rested = sieve->rested && sieve->in_flight;
    for (unsigned n = 0; n < sieve->count + rested; n++) {
        const unsigned i = n < rested ? sieve->count - 1 : n - rested;
        const struct sieve_open *open = &sieve->open[i];
        struct bms_span span;
        if (is_too_old(open, now))
            continue;
        enum bms_result result = ask(open->poller, &open->request, bytes, size, &span);
        bool frame = span.kind == BMS_FRAME && span.size <= size;
        if (is_answer(result) || (open->foreign && frame)) {
            *passed = span.size;
            *whole = result != BMS_PARTIAL;
            return first_foreign(sieve, i, now);
        }
        more |= span.kind == BMS_MORE;
        if (span.kind != BMS_MORE && span.size > 0 && span.size < least)
            least = span.size;
    }
    *passed = more ? 0 : least;
    return sieve->count;
}

void sieve_look(struct sieve *sieve, double now)
{
    size_t at = 0;
    for (unsigned n = 0; n < LOOKS_MOST && at < sieve->size && sieve->count > 0; n++) {
        size_t passed;
        bool whole;
        unsigned index =
            find_request(sieve, sieve->bytes + at, sieve->size - at, now, &passed, &whole);
        at += passed > 0 ? passed : 1; /* nothing follows that could make a frame of it */
        if (index == sieve->count)
            continue;
        sieve->own = index + 1 == sieve->count;
        settle(sieve, index, whole && !(sieve->own && sieve->in_flight), now);
    }
    sieve->size = 0;
}

void sieve_hear(struct sieve *sieve, const uint8_t *bytes, size_t size, double now)
{
    if (sieve->count == 0 || sieve->alone)
        return;
    if (size > sizeof sieve->bytes - sieve->size)
        sieve_look(sieve, now);
    if (size > sizeof sieve->bytes)
        size = sizeof sieve->bytes;
    memcpy(sieve->bytes + sieve->size, bytes, size);
    sieve->size += size;
}

void sieve_over(struct sieve *sieve, bool answered, double now)
{
    sieve_look(sieve, now);
    if (answered && sieve->own && sieve->count > 0)
        settle(sieve, sieve->count - 1, true, now);
    sieve->alone = sieve->own = sieve->rested = sieve->in_flight = false;
}

/* ---- while it is lent ---- */

enum verdict { IS_HIS, IS_OURS, MAY_BE_OURS };

void sieve_begin(struct sieve *sieve, const struct lend *lend)
{
    /* Of several requests at once it is not known which one a frame answers. */
    sieve->holds = !isinf(sieve_open_at(sieve)) && lend->single;
    sieve->size = 0;
}

/* What answers his request badly is his all the same. */
static bool is_his(const struct poller *poller, const struct loan *loan, const uint8_t *frame,
                   size_t size)
{
    struct bms_request request = {.size = loan->size};
    struct bms_span span;
    if (request.size > sizeof request.bytes)
        request.size = sizeof request.bytes;
    memcpy(request.bytes, loan->bytes, request.size);
    return ask(poller, &request, frame, size, &span) != BMS_FOREIGN && span.size == size;
}

/* What stands at the begin of the bytes; *passed is the size of a frame that is ours, or of one that is nobody's before one that may be. */
static enum verdict look(struct sieve *sieve, const struct loan *loan, const uint8_t *bytes,
                         size_t size, double now, size_t *passed)
{
    enum verdict verdict = IS_HIS;
    for (unsigned i = 0; i < sieve->count; i++) {
        const struct sieve_open *open = &sieve->open[i];
        struct bms_span span;
        if (open->foreign || is_too_old(open, now))
            continue;
        enum bms_result result = ask(open->poller, &open->request, bytes, size, &span);
        if (span.kind == BMS_MORE)
            verdict = MAY_BE_OURS;
        *passed = span.size;
        if (is_answer(result) && !is_his(open->poller, loan, bytes, span.size)) {
            settle(sieve, i, result != BMS_PARTIAL, now);
            return IS_OURS;
        }
    }
    return verdict;
}

/* All that follows in this loan is his as well. */
static size_t let_go(struct sieve *sieve, const uint8_t **his)
{
    sieve->holds = false;
    *his = sieve->bytes;
    return sieve->size;
}

size_t sieve_take(struct sieve *sieve, const struct loan *loan, const uint8_t *bytes, size_t size,
                  double now, const uint8_t **his)
{
    if (!sieve->holds) {
        *his = bytes;
        return size;
    }
    memcpy(sieve->bytes + sieve->size, bytes, size);
    sieve->size += size;
    while (sieve->size > 0) {
        size_t passed;
        enum verdict verdict = look(sieve, loan, sieve->bytes, sieve->size, now, &passed);
        if (verdict == IS_HIS || sieve->size > BMS_FRAME_MAX)
            return let_go(sieve, his);
        if (verdict == MAY_BE_OURS)
            break;
        sieve->size -= passed;
        memmove(sieve->bytes, sieve->bytes + passed, sieve->size);
    }
    *his = sieve->bytes;
    return 0;
}

size_t sieve_end(struct sieve *sieve, const uint8_t **his)
{
    size_t size = sieve->holds ? let_go(sieve, his) : 0;
    sieve->size = 0;
    /* Of packs that answer: as long as they take has passed. */
    for (unsigned i = sieve->count; i > 0; i--)
        if (!sieve->open[i - 1].foreign && !isnan(sieve->open[i - 1].late_s))
            drop(sieve, i - 1);
    return size;
}
