// SPDX-License-Identifier: MIT
/* What may be shown of the bytes that pass on a line. */
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

void mask_flush(struct mask *mask, const struct bms *bms, const struct bms_request *request)
{
    size_t withheld = mask->overflow;
    for (size_t at = 0; at < mask->size;) {
        uint8_t *bytes = mask->bytes + at;
        size_t left = mask->size - at;
        struct bms_span span = bms->driver->frame(bms, request, bytes, left);
        if (span.kind == BMS_FRAME && span.size <= left) {
            bms->driver->mask(bytes, span.size);
            mask->show(mask->data, '<', bytes, span.size);
            at += span.size;
        } else {
            /* A damaged frame holds its secrets in the clear as well as a good one. */
            withheld++;
            at++;
        }
    }
    if (withheld)
        mask->show(mask->data, '#', NULL, withheld);
    mask->size = mask->overflow = 0;
}

void mask_sent(const struct bms *bms, uint8_t *bytes, size_t size)
{
    const struct bms_request nothing = {.size = 0};
    for (size_t at = 0; bms->driver->mask && at < size;) {
        const struct bms_span span = bms->driver->frame(bms, &nothing, bytes + at, size - at);
        const bool whole = span.kind == BMS_FRAME && span.size <= size - at;
        if (whole)
            bms->driver->mask(bytes + at, span.size);
        at += whole ? span.size : 1;
    }
}
