// SPDX-License-Identifier: MIT
/*
 * Renders packs for the page and other clients: one JSON object each. Unknown values are omitted. The
 * last values of a silent pack are in an object of their own, `last`, so that no client takes them
 * for current ones.
 */
#pragma once

#include "outlets/outlet.h"
#include "packs/alarms.h"

#include "base/text.h"

#define RENDER_WHOLE_MAX 8192 /* bytes of a pack with everything */

/* State of a pack beside its values. */
struct render_pack {
    const struct outlet_pack *pack;
    struct alarms alarms;                 /* as sent; an alarm stays until its end was read */
    uint32_t alarms_read;                 /* since it answers */
    double read_until;                    /* clock_now until which that is so without new values */
    double alarm_since[PACK_ALARM_COUNT]; /* clock_now; 0: not active, or not known */
    bool was_fresh;                       /* as sent last */
    bool known;                           /* values were received since the start */
};

/** Values, counters, energy, identity; unless `whole`, only the values of the overview, for pages with many packs. */
void render_pack(struct text *text, const struct render_pack *pack, bool whole, bool fresh,
                 double now);
