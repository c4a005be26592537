// SPDX-License-Identifier: MIT
#include "reply.h"

#include <string.h>

void reply_clear(struct reply *reply)
{
    reply->size = 0;
}

size_t reply_append(struct reply *reply, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof reply->bytes - reply->size;
    if (size > room)
        size = room;
    memcpy(reply->bytes + reply->size, bytes, size);
    reply->size += size;
    return size;
}

void reply_drop(struct reply *reply, size_t size)
{
    reply->size -= size;
    memmove(reply->bytes, reply->bytes + size, reply->size);
}

size_t reply_next(struct reply *reply, bool silent, reply_look *look, void *data,
                  enum bms_result *result)
{
    struct reply_counters *counters = &reply->counters;
    size_t at = 0, found = 0;
    while (at < reply->size && found == 0) {
        size_t left = reply->size - at;
        struct bms_span span = look(data, reply->bytes + at, left, result);
        if (span.kind == BMS_MORE && !silent && left < BMS_FRAME_MAX)
            break;
        /* A driver that needs more than any frame has, or than will come, was misled. */
        if (span.kind == BMS_MORE || span.size == 0)
            span = (struct bms_span){BMS_SKIP, 1};
        if (span.size > left)
            span.size = left;
        const bool frame = span.kind == BMS_FRAME;
        counters->frames += frame;
        counters->foreign += frame && *result == BMS_FOREIGN;
        counters->invalid += frame && *result == BMS_INVALID;
        counters->refused += frame && *result == BMS_REFUSED;
        counters->damaged += span.kind == BMS_DAMAGED;
        counters->skipped_bytes += span.kind == BMS_SKIP ? (uint32_t) span.size : 0;
        if (frame && *result != BMS_FOREIGN && *result != BMS_INVALID)
            found = span.size;
        else
            at += span.size;
    }
    reply_drop(reply, at);
    return found;
}

/* One request, and what its answer brings. */
struct decoding {
    struct bms *bms;
    const struct bms_request *request;
    struct pack *pack;
};

static struct bms_span decode(void *data, const uint8_t *bytes, size_t size,
                              enum bms_result *result)
{
    const struct decoding *decoding = data;
    const struct bms_driver *driver = decoding->bms->driver;
    struct bms_span span = driver->frame(decoding->bms, decoding->request, bytes, size);
    if (span.kind == BMS_FRAME)
        *result = driver->decode(decoding->bms, decoding->request, bytes,
                                 span.size < size ? span.size : size, decoding->pack);
    return span;
}

enum reply_state reply_decode(struct reply *reply, struct bms *bms,
                              const struct bms_request *request, bool silent, struct pack *pack)
{
    struct decoding decoding = {bms, request, pack};
    enum bms_result result = BMS_PARTIAL;
    size_t size;
    do {
        size = reply_next(reply, silent, decode, &decoding, &result);
        reply_drop(reply, size);
    } while (size > 0 && result == BMS_PARTIAL);
    if (size == 0)
        return REPLY_WAITING;
    return result == BMS_DONE ? REPLY_DONE : REPLY_REFUSED;
}
