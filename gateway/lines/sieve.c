// SPDX-License-Identifier: MIT
/* Late answers to requests of ours, kept from whoever has borrowed the line. */
#include "sieve.h"

#include <string.h>

enum verdict { IS_HIS, IS_OURS, MAY_BE_OURS };

void sieve_note(struct sieve *sieve, const struct poller *poller, const struct bms_request *request,
                double now)
{
    if (sieve->count == SIEVE_MOST)
        memmove(sieve->open, sieve->open + 1, --sieve->count * sizeof sieve->open[0]);
    sieve->open[sieve->count].poller = poller;
    sieve->open[sieve->count].request = *request;
    sieve->open[sieve->count].at = now;
    sieve->count++;
}

void sieve_clear(struct sieve *sieve)
{
    sieve->count = 0;
}

void sieve_begin(struct sieve *sieve, const struct lend *lend, double now)
{
    while (sieve->count > 0 && now - sieve->open[0].at > SIEVE_S)
        memmove(sieve->open, sieve->open + 1, --sieve->count * sizeof sieve->open[0]);
    /* Of several requests at once it is not known which one a frame answers. */
    sieve->holds = sieve->count > 0 && lend->single;
    sieve->size = 0;
}

/* Nothing is learned from it: that is done with a copy. */
static enum bms_result ask(const struct poller *poller, const struct bms_request *request,
                           const uint8_t *frame, size_t size)
{
    struct bms bms = poller->bms;
    struct pack pack;
    pack_clear(&pack);
    return bms.driver->decode(&bms, request, frame, size, &pack);
}

/* What answers his request badly is his all the same. */
static bool is_his(const struct poller *poller, const struct loan *loan, const uint8_t *frame,
                   size_t size)
{
    struct bms_request request = {.size = loan->size};
    if (request.size > sizeof request.bytes)
        request.size = sizeof request.bytes;
    memcpy(request.bytes, loan->bytes, request.size);
    return ask(poller, &request, frame, size) != BMS_FOREIGN;
}

static bool is_ours(const struct poller *poller, const struct bms_request *request,
                    const uint8_t *frame, size_t size)
{
    enum bms_result result = ask(poller, request, frame, size);
    return result != BMS_FOREIGN && result != BMS_INVALID;
}

/* What stands at the begin of the bytes; *passed is the size of a frame that is ours. */
static enum verdict look(const struct sieve *sieve, const struct loan *loan, const uint8_t *bytes,
                         size_t size, size_t *passed)
{
    enum verdict verdict = IS_HIS;
    for (unsigned i = 0; i < sieve->count; i++) {
        const struct poller *poller = sieve->open[i].poller;
        const struct bms_request *request = &sieve->open[i].request;
        struct bms_span span = poller->bms.driver->frame(&poller->bms, request, bytes, size);
        if (span.kind == BMS_MORE)
            verdict = MAY_BE_OURS;
        *passed = span.size;
        if (span.kind == BMS_FRAME && span.size <= size &&
            is_ours(poller, request, bytes, span.size) && !is_his(poller, loan, bytes, span.size))
            return IS_OURS;
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
                  const uint8_t **his)
{
    if (!sieve->holds) {
        *his = bytes;
        return size;
    }
    memcpy(sieve->bytes + sieve->size, bytes, size);
    sieve->size += size;
    while (sieve->size > 0) {
        size_t passed;
        enum verdict verdict = look(sieve, loan, sieve->bytes, sieve->size, &passed);
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
    return size;
}
