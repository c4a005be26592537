// SPDX-License-Identifier: MIT
#include "mqtt.h"

#include "base/clock.h"
#include "base/log.h"
#include "bms/count.h"

#include <stdio.h>
#include <string.h>

static void send_result(struct mqtt *mqtt, const char *pack, const char *order, int value,
                        const char *result)
{
    struct text text = mqtt_text(mqtt);
    if (mqtt_is_device(mqtt))
        return;
    message_result(&text, order, value, result);
    mqtt_publish_below(mqtt, pack, "set/result", &text, 1, false);
}

static const char *const outcomes[] = {[ORDER_DONE] = "confirmed",
                                       [ORDER_REFUSED] = "refused",
                                       [ORDER_NOT_ALLOWED] = "not allowed",
                                       [ORDER_BUSY] = "busy",
                                       [ORDER_NOT_NOW] = "busy"};

/* A ticket says what was ordered: pack, switch, value. */
static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    struct mqtt *mqtt = data;
    mqtt->refused += result != ORDER_DONE;
    mqtt->stale_told &= result != ORDER_DONE;
    send_result(mqtt, mqtt->packs[ticket / 4].pack->source.name, switch_names[ticket >> 1 & 1],
                ticket & 1,
                result < COUNT(outcomes) && outcomes[result] ? outcomes[result] : "no answer");
}

/* Logs a rejected order once, because the sender will repeat it; each order gets a response, which is returned. */
static const char *refuse(struct mqtt *mqtt, bool *told, const char *topic, const char *why,
                          const char *result)
{
    log_message(*told ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "%s: order on %s refused: %s", mqtt->name,
                topic, why);
    *told = true;
    return result;
}

/* NULL: the order is in progress. */
static const char *judge_order(struct mqtt *mqtt, struct mqtt_pack *pack, enum order_topic which,
                               int value, bool retained, double since, const char *topic)
{
    if (!pack || which == TOPIC_UNKNOWN)
        return refuse(mqtt, &mqtt->foreign_told, topic, "there is no such switch", "unknown");
    if (retained)
        return refuse(mqtt, &mqtt->retained_told, topic,
                      "the broker had retained it; clear it with an empty retained message",
                      "retained");
    if (value < 0)
        return refuse(mqtt, &mqtt->foreign_told, topic, "expected 1 or 0", "invalid");
    if (pack->pack->source.members || !pack->pack->source.writable)
        return refuse(mqtt, &mqtt->forbidden_told, topic, "its pack is not writable",
                      "not allowed");
    const double now = clock_now();
    if (!outlet_fresh(mqtt->outlet, pack->pack, now))
        return refuse(mqtt, &mqtt->stale_told, topic, "its pack does not answer", "no answer");
    /* The broker, or the network, may have been stopped: our own loop cannot detect this. */
    if (now - since > ORDER_VALID_S)
        return refuse(mqtt, &mqtt->stale_told, topic, "it may be too old", "no answer");
    struct switches what = {0};
    what.wanted[which] = true;
    what.on[which] = value == 1;
    const uint64_t ticket = 4u * pack->pack->index + 2u * which + (value == 1);
    return outlet_order(mqtt->outlet, pack->pack, &what, on_order_over, mqtt, ticket) ? NULL
                                                                                      : "busy";
}

void orders_take(struct mqtt *mqtt, const char *topic, const void *payload, size_t size,
                 bool retained, double since)
{
    char name[NAME_SIZE];
    enum order_topic which = topic_parse(mqtt->place.topic, mqtt_is_device(mqtt), topic, name);
    /* An empty message clears a retained one. */
    if (which == TOPIC_NOT_OURS || size == 0)
        return;
    struct mqtt_pack *pack = mqtt_is_device(mqtt) ? mqtt->packs : mqtt_find_pack(mqtt, name);
    int value = order_payload(payload, size);
    const char *word = which == TOPIC_UNKNOWN ? strrchr(topic, '/') + 1 : switch_names[which];
    const char *result = judge_order(mqtt, pack, which, value, retained, since, topic);
    char order[64];
    snprintf(order, sizeof order, "%.*s", (int) text_fitting(word, sizeof order - 1), word);
    mqtt->refused += result != NULL;
    if (result)
        send_result(mqtt, mqtt_is_device(mqtt) ? "" : name, order, value, result);
}

/* `alarms`, with the bits in `mask` taken from `now`; still of the same BMS. */
static struct alarms merge_alarms(struct alarms alarms, uint32_t mask, struct alarms now)
{
    return (struct alarms){(alarms.warning & ~mask) | (now.warning & mask),
                           (alarms.protection & ~mask) | (now.protection & mask), alarms.bms};
}

/* Remembers it until the broker confirms it; if there is no room, or the library can never send it, it is assumed to arrive. */
static bool send_event(struct mqtt *mqtt, struct mqtt_pack *pack, int alarm, int before, int level,
                       double time)
{
    int mid = 0;
    char topic[TOPIC_SIZE];
    struct text text = mqtt_text(mqtt);
    message_event(&text, time, (enum pack_alarm) alarm, (enum alarm_level)(level ? level : before),
                  level > 0);
    topic_of(mqtt->place.topic, pack->pack->source.name, "event", topic);
    if (!connection_publish(mqtt->connection, topic, text.bytes, text.size, 1, false, &mid))
        return false;
    if (mid && mqtt->unsure_count < EVENTS_MAX)
        mqtt->unsure[mqtt->unsure_count++] = (struct unsure){mid, pack, alarm, pack->alarms};
    return true;
}

void alarms_undo(struct mqtt *mqtt)
{
    while (mqtt->unsure_count > 0) {
        const struct unsure *last = &mqtt->unsure[--mqtt->unsure_count];
        last->pack->alarms = merge_alarms(last->pack->alarms, 1u << last->alarm, last->before);
        last->pack->alarms.bms = last->before.bms;
        outlet_keep_alarms(mqtt->outlet, last->pack->pack->source.name, last->pack->alarms);
    }
}

void alarms_tell(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    if (mqtt_is_device(mqtt) || connection_room(mqtt->connection) == 0 || !pack->was_fresh)
        return;
    double time = clock_wall() - (now - pack->pack->last.at);
    const struct source *source = &pack->pack->source;
    const struct alarms latest = alarms_after(pack->alarms, source->values, source->status.bms);
    const uint32_t changed = alarms_changed(pack->alarms, latest);
    pack->alarms = merge_alarms(pack->alarms, ~changed, latest);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        if (!(changed >> i & 1) || !send_event(mqtt, pack, i, alarms_level(pack->alarms, i),
                                               alarms_level(latest, i), time))
            continue;
        pack->alarms = merge_alarms(pack->alarms, 1u << i, latest);
    }
    /* Until then the end of another BMS's alarm, which could not be sent, is found again. */
    if (!alarms_changed(pack->alarms, latest))
        pack->alarms.bms = latest.bms;
    outlet_keep_alarms(mqtt->outlet, source->name, pack->alarms);
}

void alarms_confirmed(struct mqtt *mqtt, int mid)
{
    unsigned left = 0;
    for (unsigned i = 0; i < mqtt->unsure_count; i++)
        if (mqtt->unsure[i].mid != mid)
            mqtt->unsure[left++] = mqtt->unsure[i];
    mqtt->unsure_count = left;
}
