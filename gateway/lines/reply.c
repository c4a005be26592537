// SPDX-License-Identifier: MIT
/* From received bytes to decoded frames. */
#include "reply.h"

#include <string.h>

void feed_clear(struct feed *feed)
{
    feed->size = 0;
}

size_t feed_append(struct feed *feed, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof feed->bytes - feed->size;
    if (size > room)
        size = room;
    memcpy(feed->bytes + feed->size, bytes, size);
    feed->size += size;
    return size;
}

/* One frame goes to the driver; true when the wait is over. */
static bool take_frame(struct feed *feed, struct bms *bms, const struct bms_request *request,
                       const uint8_t *frame, size_t size, struct pack *pack, enum feed_state *state)
{
    feed->counters.frames++;
    switch (bms->driver->decode(bms, request, frame, size, pack)) {
    case BMS_DONE:
        *state = FEED_DONE;
        return true;
    case BMS_REFUSED:
        feed->counters.refused++;
        *state = FEED_REFUSED;
        return true;
    case BMS_FOREIGN:
        feed->counters.foreign++;
        return false;
    case BMS_INVALID:
        feed->counters.invalid++;
        return false;
    case BMS_PARTIAL:
        return false;
    }
    return false;
}

enum feed_state feed_decode(struct feed *feed, struct bms *bms, const struct bms_request *request,
                            bool silent, struct pack *pack)
{
    enum feed_state state = FEED_WAITING;
    size_t at = 0;
    bool over = false;
    while (at < feed->size && !over) {
        const uint8_t *bytes = feed->bytes + at;
        size_t left = feed->size - at;
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
            over = take_frame(feed, bms, request, bytes, span.size, pack, &state);
        else if (span.kind == BMS_DAMAGED)
            feed->counters.damaged++;
        else
            feed->counters.skipped_bytes += (uint32_t) span.size;
        at += span.size;
    }
    feed->size -= at;
    memmove(feed->bytes, feed->bytes + at, feed->size);
    return state;
}
