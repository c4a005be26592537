// SPDX-License-Identifier: MIT
/* From received bytes to decoded frames. */
#include "reply.h"

#include "recall.h"

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

/* One frame goes to the driver; true when the wait is over. */
static bool take_frame(struct reply *reply, struct bms *bms, const struct bms_request *request,
                       const uint8_t *frame, size_t size, struct pack *pack,
                       enum reply_state *state)
{
    enum bms_result result = bms->driver->decode(bms, request, frame, size, pack);
    reply->counters.frames++;
    if (result == BMS_DONE || result == BMS_PARTIAL)
        reply->hash = recall_hash(frame, size);
    switch (result) {
    case BMS_DONE:
        *state = REPLY_DONE;
        return true;
    case BMS_REFUSED:
        reply->counters.refused++;
        *state = REPLY_REFUSED;
        return true;
    case BMS_FOREIGN:
        reply->counters.foreign++;
        if (reply->strays)
            reply_append(reply->strays, frame, size);
        return false;
    case BMS_INVALID:
        reply->counters.invalid++;
        return false;
    case BMS_PARTIAL:
        return false;
    }
    return false;
}

enum reply_state reply_decode(struct reply *reply, struct bms *bms,
                              const struct bms_request *request, bool silent, struct pack *pack)
{
    enum reply_state state = REPLY_WAITING;
    size_t at = 0;
    bool over = false;
    while (at < reply->size && !over) {
        const uint8_t *bytes = reply->bytes + at;
        size_t left = reply->size - at;
        struct bms_span span = bms->driver->frame(bms, request, bytes, left);
        if (span.kind == BMS_MORE && !silent && left < BMS_FRAME_MAX)
            break;
        /* A driver that wants more than any frame can have, or more than there will be, was
         * misled by noise. */
        if (span.kind == BMS_MORE || span.size == 0)
            span = (struct bms_span){BMS_SKIP, 1};
        if (span.size > left)
            span.size = left;
        if (span.kind == BMS_FRAME)
            over = take_frame(reply, bms, request, bytes, span.size, pack, &state);
        else if (span.kind == BMS_DAMAGED)
            reply->counters.damaged++;
        else
            reply->counters.skipped_bytes += (uint32_t) span.size;
        at += span.size;
    }
    reply->size -= at;
    memmove(reply->bytes, reply->bytes + at, reply->size);
    return state;
}
