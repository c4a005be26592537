// SPDX-License-Identifier: MIT
/* VE.Direct: decodes HEX records into a pack. */
#pragma once

#include "vedirect_scan.h"

/** Takes the values of one HEX record, as a reply to `request` or, without one, unsolicited. */
enum bms_result vedirect_take_record(struct bms *bms, const struct bms_request *request,
                                     const uint8_t *bytes, size_t size, struct pack *pack);

/** The `finish` of both drivers: the counters of a shunt that is not synchronised are unknown
 * (section 5). */
void vedirect_finish(struct bms *bms, struct pack *pack);
