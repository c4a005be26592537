// SPDX-License-Identifier: MIT
/*
 * What may be shown of the bytes that pass on a line. Settings frames of some packs hold PINs and
 * passwords; these must not get into logs and recordings, so replies of such protocols are held
 * until their frames are whole and masked.
 */
#ifndef PACKGATE_LINES_MASK_H
#define PACKGATE_LINES_MASK_H

#include "bms/driver.h"

/** Gets bytes that may be shown, '>' to the pack or '<' from it; or '#' and how many bytes are
 * withheld. */
typedef void mask_show(void *data, char direction, const uint8_t *bytes, size_t size);

struct mask {
    mask_show *show;
    void *data;
    size_t size;     /* bytes held back */
    size_t overflow; /* those that did not fit */
    uint8_t bytes[2 * BMS_FRAME_MAX];
};

void mask_init(struct mask *mask, mask_show *show, void *data);

/** Bytes that were received: shown at once, or held for mask_flush where the protocol has
 * something to mask. */
void mask_received(struct mask *mask, const struct bms *bms, const uint8_t *bytes, size_t size);

/** The exchange is over: whole frames are masked and shown, of the rest only how much it was. */
void mask_flush(struct mask *mask, const struct bms *bms, const struct bms_request *request);

/** Masks the whole frames in what is sent. */
void mask_sent(const struct bms *bms, uint8_t *bytes, size_t size);

#endif
