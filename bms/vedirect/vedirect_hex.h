// SPDX-License-Identifier: MIT
/* VE.Direct, HEX: what its records say of a pack. */
#ifndef PACKGATE_BMS_VEDIRECT_HEX_H
#define PACKGATE_BMS_VEDIRECT_HEX_H

#include "vedirect_scan.h"

/** Takes what one HEX record says, as an answer to `request` or, with none, by itself. */
enum bms_result vedirect_take_record(struct bms *bms, const struct bms_request *request,
                                     const uint8_t *bytes, size_t size, struct pack *pack);

/** The `finish` of both drivers: what an unsynchronised shunt counts is not known (section 5). */
void vedirect_finish(struct bms *bms, struct pack *pack);

#endif
