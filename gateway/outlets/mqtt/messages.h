// SPDX-License-Identifier: MIT
/*
 * The messages of layout `packgate`, as JSON on one line. Pure.
 */
#pragma once

#include "base/text.h"
#include "packs/source.h"

/** TOPIC/PACK/state: every value that is known, by its name with underscores. `age_s` is the age of
 * the values now, `time` is now in Unix seconds. */
void message_state(struct text *text, const struct source *source, double age_s, double time);

/** TOPIC/PACK/info: what does not change from poll to poll. */
void message_info(struct text *text, const struct source *source);

/** TOPIC/info: the gateway itself. */
void message_gateway(struct text *text, const char *version, unsigned packs, unsigned fresh);

/** TOPIC/PACK/event: an alarm began (`active`), changed its level or ended; an end has the level
 * that it had. Home Assistant reads `event_type`: "warning", "protection" or "ended". */
void message_event(struct text *text, double time, enum pack_alarm alarm, enum alarm_level level,
                   bool active);

/** TOPIC/PACK/set/result: `order` is the last word of the topic, `value` 0, 1 or -1 (none). */
void message_result(struct text *text, const char *order, int value, const char *result);

/** The word for what became of an order: "confirmed", "refused", "no answer", "not allowed" or
 * "busy". */
const char *message_outcome(enum order_result result);
