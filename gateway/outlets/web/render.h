// SPDX-License-Identifier: MIT
/*
 * Packs as the page and programs get them: one JSON object each. What is not known is left out, and
 * the values of a silent pack stand in an object `last` of their own, where nobody takes them for
 * those of now.
 */
#ifndef PACKGATE_OUTLETS_WEB_RENDER_H
#define PACKGATE_OUTLETS_WEB_RENDER_H

#include "outlets/outlet.h"
#include "packs/alarms.h"

#include "base/text.h"

#define RENDER_WHOLE_MAX 8192 /* of a pack with everything */

/* State of a pack beside its values. */
struct render_pack {
    const struct outlet_pack *pack;
    struct alarms alarms;                  /* as told; one whose end was not read is still there */
    uint32_t alarms_read;                  /* since it answers */
    int64_t alarm_since[PACK_ALARM_COUNT]; /* Unix seconds; 0: not active, or not known */
    /* as reported last; values were received since the start */
    bool was_fresh, known;
};

/** Everything: values, counters, energy, identity. */
void render_whole(struct text *text, const struct render_pack *pack, bool fresh, double now);
/** What a page of many packs shows. */
void render_brief(struct text *text, const struct render_pack *pack, bool fresh, double now);

#endif
