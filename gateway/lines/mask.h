// SPDX-License-Identifier: MIT
/* Masks PINs and passwords in the bytes on a line, which must not get into logs and recordings:
 * replies of protocols that have some are held back until their frames are whole and masked. */
#pragma once

#include "bms/driver.h"

/** Gets bytes that may be shown, '>' to the pack, '<' from it; '#': how many are withheld. */
typedef void mask_show(void *data, char direction, const uint8_t *bytes, size_t size);

struct mask {
    mask_show *show;
    void *data;
    size_t size;     /* bytes held back */
    size_t overflow; /* those that did not fit */
    uint8_t bytes[2 * BMS_FRAME_MAX];
};

void mask_init(struct mask *mask, mask_show *show, void *data);

/** Shows received bytes at once, or holds them back until mask_flush if the protocol has secrets. */
void mask_received(struct mask *mask, const struct bms *bms, const uint8_t *bytes, size_t size);

/** The exchange is over: masks and shows whole frames, and the number of the remaining bytes. */
void mask_flush(struct mask *mask, const struct bms *bms, const struct bms_request *request);

/** Masks the whole frames in sent bytes. */
void mask_sent(const struct bms *bms, uint8_t *bytes, size_t size);
