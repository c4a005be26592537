// SPDX-License-Identifier: MIT
#include "mqtt.h"
#include "messages.h"

#include "base/clock.h"

/* `alarms`, with the bits in `mask` taken from `now`. */
static struct alarms merge_alarms(struct alarms alarms, uint32_t mask, struct alarms now)
{
    return (struct alarms){(alarms.warning & ~mask) | (now.warning & mask),
                           (alarms.protection & ~mask) | (now.protection & mask)};
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
        outlet_keep_alarms(mqtt->outlet, last->pack->pack->source.name, last->pack->alarms);
    }
}

void alarms_tell(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    if (mqtt_is_device(mqtt) || connection_room(mqtt->connection) == 0 || !pack->was_fresh)
        return;
    double time = clock_wall() - (now - pack->pack->last.at);
    const struct alarms latest = alarms_after(pack->alarms, pack->pack->source.values);
    const uint32_t changed = alarms_changed(pack->alarms, latest);
    pack->alarms = merge_alarms(pack->alarms, ~changed, latest);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        if (!(changed >> i & 1) || !send_event(mqtt, pack, i, alarms_level(pack->alarms, i),
                                               alarms_level(latest, i), time))
            continue;
        pack->alarms = merge_alarms(pack->alarms, 1u << i, latest);
        outlet_keep_alarms(mqtt->outlet, pack->pack->source.name, pack->alarms);
    }
}

void alarms_confirmed(struct mqtt *mqtt, int mid)
{
    unsigned left = 0;
    for (unsigned i = 0; i < mqtt->unsure_count; i++)
        if (mqtt->unsure[i].mid != mid)
            mqtt->unsure[left++] = mqtt->unsure[i];
    mqtt->unsure_count = left;
}
