// SPDX-License-Identifier: MIT
#include "mask.h"

#include <string.h>

void mask_init(struct mask *mask, mask_show *show, void *data)
{
    mask->show = show;
    mask->data = data;
    mask->size = mask->overflow = 0;
}

void mask_received(struct mask *mask, const struct bms *bms, const uint8_t *bytes, size_t size)
{
    if (!bms->driver->mask) {
        mask->show(mask->data, '<', bytes, size);
        return;
    }
    size_t room = sizeof mask->bytes - mask->size;
    size_t fits = size < room ? size : room;
    memcpy(mask->bytes + mask->size, bytes, fits);
    mask->size += fits;
    mask->overflow += size - fits;
}

/* Masks the whole frame at the beginning; returns its size, 0: there is none. */
static size_t mask_frame(const struct bms *bms, const struct bms_request *request, uint8_t *bytes,
                         size_t size)
{
    const struct bms_span span = bms->driver->frame(bms, request, bytes, size);
    if (span.kind != BMS_FRAME || span.size > size)
        return 0;
    bms->driver->mask(bytes, span.size);
    return span.size;
}

void mask_flush(struct mask *mask, const struct bms *bms, const struct bms_request *request)
{
    size_t withheld = mask->overflow;
    for (size_t at = 0; at < mask->size;) {
        const size_t size = mask_frame(bms, request, mask->bytes + at, mask->size - at);
        if (size > 0)
            mask->show(mask->data, '<', mask->bytes + at, size);
        /* A damaged frame holds its secrets in the clear as well as a good one. */
        withheld += size == 0;
        at += size > 0 ? size : 1;
    }
    if (withheld)
        mask->show(mask->data, '#', NULL, withheld);
    mask->size = mask->overflow = 0;
}

void mask_sent(const struct bms *bms, uint8_t *bytes, size_t size)
{
    static const struct bms_request nothing;
    for (size_t at = 0; bms->driver->mask && at < size;) {
        const size_t whole = mask_frame(bms, &nothing, bytes + at, size - at);
        at += whole > 0 ? whole : 1;
    }
}
