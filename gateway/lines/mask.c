// SPDX-License-Identifier: MIT
/* What may be shown of the bytes that pass on a line. */
#include "mask.h"

#include <string.h>

void tap_init(struct tap *tap, tap_show *show, void *data)
{
    tap->show = show;
    tap->data = data;
    tap->size = tap->overflow = 0;
}

void tap_received(struct tap *tap, const struct bms *bms, const uint8_t *bytes, size_t size)
{
    if (!bms->driver->mask) {
        tap->show(tap->data, '<', bytes, size);
        return;
    }
    size_t room = sizeof tap->bytes - tap->size;
    size_t fits = size < room ? size : room;
    memcpy(tap->bytes + tap->size, bytes, fits);
    tap->size += fits;
    tap->overflow += size - fits;
}

void tap_flush(struct tap *tap, const struct bms *bms, const struct bms_request *request)
{
    size_t withheld = tap->overflow;
    for (size_t at = 0; at < tap->size;) {
        uint8_t *bytes = tap->bytes + at;
        size_t left = tap->size - at;
        struct bms_span span = bms->driver->frame(bms, request, bytes, left);
        if (span.kind == BMS_FRAME && span.size <= left) {
            bms->driver->mask(bytes, span.size);
            tap->show(tap->data, '<', bytes, span.size);
            at += span.size;
        } else {
            /* A damaged frame holds its secrets in the clear as well as a good one. */
            withheld++;
            at++;
        }
    }
    if (withheld)
        tap->show(tap->data, '#', NULL, withheld);
    tap->size = tap->overflow = 0;
}
