// SPDX-License-Identifier: MIT
#include "web.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Seconds: if the gateway was up for longer when the outlet began, only the outlet was started. */
#define TOGETHER_S 30.0

/* Seconds by which readings may miss their predecessors. A bank is stale for a moment when the
 * values of a member end here before the gateway has sent the bank without them. */
#define GAP_S 2.0

/* Keeps an event for later viewers. */
static void keep_event(struct web *web, json_t *event)
{
    json_array_insert_new(web->news, 0, event);
    json_array_remove(web->news, WEB_NEWS_KEPT);
}

/* Sends an event to all viewers, too. */
static void publish_event(struct web *web, json_t *event)
{
    json_object_set_new(event, "time", json_integer((json_int_t) floor(clock_wall())));
    char *text = json_dumps(event, JSON_COMPACT);
    if (text)
        stream_event(web->stream, "alarm", text);
    free(text);
    keep_event(web, event);
}

/* A change between warning and protection is an event, too. The end of an alarm has its last level.
 * If an alarm is already active in the first reading after a start or a silence, its beginning is unknown. */
static void follow_alarms(struct web *web, unsigned n)
{
    struct render_pack *pack = &web->packs[n];
    const struct source *source = &pack->pack->source;
    const struct alarms told = pack->alarms;
    pack->alarms = alarms_after(told, source->values, source->status.bms);
    const uint32_t changed = alarms_changed(told, pack->alarms);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        if (!(changed >> i & 1))
            continue;
        const int before = alarms_level(told, i), level = alarms_level(pack->alarms, i);
        if (!level || !before)
            pack->alarm_since[i] = level && pack->alarms_read >> i & 1 ? clock_now() : 0;
        publish_event(web, json_pack("{s:s, s:s, s:s, s:s, s:i}", "pack", source->name, "kind",
                                     "alarm", "name", pack_alarm_name((enum pack_alarm) i), "level",
                                     pack_alarm_level_name(level ? level : before), "active",
                                     level > 0));
    }
    pack->alarms_read |= source->values->alarms_known;
}

void news_changed(struct web *web, unsigned n, unsigned changes, bool fresh)
{
    const struct source *source = &web->packs[n].pack->source;
    if (!(clock_now() < web->packs[n].read_until))
        web->packs[n].alarms_read = 0;
    web->packs[n].read_until = source->good_until + GAP_S;
    if (fresh && changes & SOURCE_PUBLISHED)
        follow_alarms(web, n);
    if (fresh == web->packs[n].was_fresh)
        return;
    /* The first values after a start are not an event. */
    if (web->packs[n].known)
        publish_event(
            web, json_pack("{s:s, s:s}", "pack", source->name, "kind", fresh ? "back" : "stale"));
    web->packs[n].was_fresh = fresh;
    web->packs[n].known |= fresh;
}

void news_ordered(void *web, const struct outlet_pack *pack, const struct order_report *report)
{
    for (int i = 0; i < ORDER_SWITCHES; i++) {
        if (!report->ordered.wanted[i])
            continue;
        json_t *event =
            json_pack("{s:s, s:s, s:s, s:s, s:i}", "pack", pack->source.name, "kind", "switched",
                      "name", switch_names[i], "text", report->ordered.on[i] ? "on" : "off",
                      "confirmed", report->result == ORDER_DONE);
        publish_event(web, event);
        /* Added for later viewers only: everybody may read the stream. */
        json_object_set_new(event, "from", json_string(report->from));
    }
}

void news_begin(struct web *web)
{
    web->news = json_array();
    web->begun_at = clock_wall();
    const double up_s = clock_now() - outlet_config(web->outlet)->started_at;
    if (up_s > TOGETHER_S)
        return;
    /* The history records the start, too, a little later: its events are shown only up to here. */
    web->begun_at -= up_s;
    keep_event(
        web, json_pack("{s:I, s:s}", "time", (json_int_t) floor(web->begun_at), "kind", "started"));
}

static void add_past(void *data, const struct query_event *event)
{
    json_t *list = data;
    const char *kind = event->kind ? event->kind : "";
    if (strcmp(kind, "switched") == 0) {
        /* The database has one row per order: "charge off, discharge on", the sender as its
         * text, and level 1 if it was confirmed. Makes one event of each switch, as for a live
         * order. */
        const bool confirmed = event->level && strcmp(event->level, "1") == 0;
        char words[SWITCHES_TEXT];
        snprintf(words, sizeof words, "%s", event->name ? event->name : "");
        char *rest = words;
        for (const char *word; (word = strsep(&rest, ",")) != NULL;) {
            word += *word == ' ';
            const char *name = word, *text = NULL;
            const size_t size = strcspn(word, " ");
            for (int i = 0; i < ORDER_SWITCHES; i++)
                if (strncmp(switch_names[i], word, size) == 0 && switch_names[i][size] == '_') {
                    name = switch_names[i];
                    text = word + size + (word[size] == ' ');
                }
            json_array_append_new(list, json_pack("{s:I, s:s, s:s*, s:s, s:s*, s:i, s:s*}", "time",
                                                  (json_int_t) event->t, "kind", "switched", "pack",
                                                  event->pack, "name", name, "text", text,
                                                  "confirmed", confirmed, "from", event->text));
        }
        return;
    }
    /* The database has a number. */
    const char *level = event->level;
    if (level && (level[0] == '1' || level[0] == '2') && !level[1])
        level = pack_alarm_level_name(level[0] - '0');
    const bool active = !event->text || strcmp(event->text, "off") != 0;
    json_array_append_new(
        list,
        json_pack("{s:I, s:s, s:s*, s:s*, s:s*, s:s*, s:o*}", "time", (json_int_t) event->t, "kind",
                  kind, "pack", event->pack, "name", event->name, "level", level, "text",
                  event->text, "active", strcmp(kind, "alarm") == 0 ? json_integer(active) : NULL));
}

void news_add_past(const struct web *web, json_t *list, char *why, size_t size)
{
    struct query *query = query_open(web->config->history, why, size);
    if (query)
        query_events(query, (int64_t) floor(web->begun_at),
                     WEB_NEWS_KEPT - (unsigned) json_array_size(web->news), add_past, list);
    query_close(query);
}
