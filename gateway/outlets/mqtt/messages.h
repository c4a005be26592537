// SPDX-License-Identifier: MIT
/* Topics, the parsing of received ones, and the messages of all layouts, as JSON on one line. Pure. */
#pragma once

#include "base/text.h"
#include "bms/switching.h"
#include "config/outlet_config.h"
#include "packs/source.h"

#include <time.h>

/* messages.c: topics, and layout `packgate`. */

#define TOPIC_SIZE 200 /* the longest: prefix, platform, two names, and what is between them */

/** Expands `topic` of the configuration: %h is the name of the host. Characters that are not
 * allowed in a topic become '_'. Truncated to `size`. */
void topic_expand(const char *topic, const char *host, char *out, size_t size);

/** "BASE/LEAF", with a pack "BASE/PACK/LEAF". Returns `out`. */
const char *topic_of(const char *base, const char *pack, const char *leaf, char out[TOPIC_SIZE]);

/* The topic of an order. */
enum order_topic {
    TOPIC_CHARGE_MOS = BMS_CHARGE_MOS,
    TOPIC_DISCHARGE_MOS = BMS_DISCHARGE_MOS,
    TOPIC_UNKNOWN,
    TOPIC_NOT_OURS
};

/** Parses "BASE/PACK/set/WHAT"; the pack's name is copied to `pack` (33 bytes). With `smartbms` it
 * parses "BASE/CMS" and "BASE/DMS", and `pack` is empty. */
enum order_topic topic_parse(const char *base, bool smartbms, const char *topic, char pack[33]);

/** 1 for 1, ON, true; 0 for 0, OFF, false; ignores case and surrounding blanks; -1: neither. */
int order_payload(const void *payload, size_t size);

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

/*
 * smartbms.c: the messages of the SmartBMS data extractor, so that dashboards made for it work unchanged: one
 * pack, one topic. Keys are in the order of the device; unknown values are omitted.
 */

/** {"Status":1,"ts":…}: always sent, and with Status 0 as the last will. `ts` is the local time, `seconds` the counter of
 * the map, 0…65535. */
void smartbms_status(struct text *text, bool answers, time_t now, unsigned seconds,
                     double memory_bytes);

/** {"SCM":27,…}: extremes. */
void smartbms_extremes(struct text *text, const struct source *source);

/** {"bat":{…},"SOC":…} or, with LAYOUT_SMARTBMS_B, {"b0":…,"SOC":…}. */
void smartbms_values(struct text *text, const struct source *source, enum mqtt_layout layout);

/** The flat form: returns the name of value n below the topic, from 0, with its text in `text`;
 * NULL: no more. Empty text: unknown. */
const char *smartbms_flat(struct text *text, const struct source *source, unsigned n);

/*
 * venus.c: messages for venus-os_dbus-mqtt-battery, which presents a pack or a bank as the battery of a GX
 * device: one object per message.
 *
 * Oddities of the reader: it keeps values that a message omits, so each message contains every key
 * that was ever sent, with null for unknown values. But power, voltage and state of charge must be
 * numbers: null ends its updates for good. Without a message for 60 s it drops its battery.
 */

/** Writes the values; or with `last`, its three numbers, and that nothing is allowed, or of stale values
 * what on_stale still allows. False: these numbers are unknown. */
bool venus_values(struct text *text, const struct source *source, bool fresh,
                  const struct pack *last);
