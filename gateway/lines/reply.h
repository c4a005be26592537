// SPDX-License-Identifier: MIT
/* From received bytes to whole frames: the buffer between a port and a driver. Pure. */
#pragma once

#include "bms/driver.h"

/* What was received: frames by result, and bytes of none. */
struct reply_counters {
    uint32_t frames, foreign, refused, invalid, damaged, skipped_bytes;
};

struct reply {
    uint8_t bytes[2 * BMS_FRAME_MAX];
    size_t size;
    struct reply_counters counters;
};

/* Whether the reply that was waited for is there. */
enum reply_state { REPLY_WAITING, REPLY_DONE, REPLY_REFUSED };

void reply_clear(struct reply *reply);

/** Appends received bytes; returns how many fitted. */
size_t reply_append(struct reply *reply, const uint8_t *bytes, size_t size);

/** Classifies the first bytes; for a whole frame, sets its result for the request. */
typedef struct bms_span reply_look(void *data, const uint8_t *bytes, size_t size,
                                   enum bms_result *result);

/** Finds the next frame that is neither foreign nor invalid, and removes the bytes before it. The
 * frame stays at the beginning of the buffer until reply_drop. `silent`: no more bytes will arrive,
 * so the apparent start of a frame is skipped. Returns its size; 0: none. */
size_t reply_next(struct reply *reply, bool silent, reply_look *look, void *data,
                  enum bms_result *result);
void reply_drop(struct reply *reply, size_t size);

/** Decodes frames into `pack` until the reply to one request is complete; later bytes stay. */
enum reply_state reply_decode(struct reply *reply, struct bms *bms,
                              const struct bms_request *request, bool silent, struct pack *pack);
