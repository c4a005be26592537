// SPDX-License-Identifier: MIT
/*
 * From received bytes to decoded frames: the buffer between a port and a driver. Pure; lines, the
 * probe and the replay of exchange files share it.
 */
#ifndef PACKGATE_LINES_REPLY_H
#define PACKGATE_LINES_REPLY_H

#include "bms/driver.h"

/* Counters of what was received, for the register map. */
struct reply_counters {
    uint32_t frames, foreign, refused, invalid, damaged, skipped_bytes;
};

struct reply {
    uint8_t bytes[2 * BMS_FRAME_MAX];
    size_t size;
    uint32_t hash;        /* of the last frame that belonged to the reply */
    struct reply *strays; /* gets the frames that do not belong to it; NULL: they are dropped */
    struct reply_counters counters;
};

/* Whether the reply that was waited for is there. */
enum reply_state { REPLY_WAITING, REPLY_DONE, REPLY_REFUSED };

void reply_clear(struct reply *reply);

/** Appends received bytes; returns how many fitted. */
size_t reply_append(struct reply *reply, const uint8_t *bytes, size_t size);

/** Decodes every frame in the buffer into `pack` until the reply is complete; what follows stays
 * in the buffer. `silent`: nothing more will come, so that what only looks like the start of a
 * frame is passed over and a good frame behind it is found. */
enum reply_state reply_decode(struct reply *reply, struct bms *bms,
                              const struct bms_request *request, bool silent, struct pack *pack);

#endif
