// SPDX-License-Identifier: MIT
#include "alarms.h"
#include "messages.h"
#include "note.h"

#include "base/clock.h"

static int level_of(uint32_t warning, uint32_t protection, int alarm)
{
    return protection >> alarm & 1 ? ALARM_PROTECTION : warning >> alarm & 1 ? ALARM_WARNING : 0;
}

/* Where the number of an event is remembered until it is confirmed. NULL: there is no place, it is
 * believed to arrive. */
static struct unsure *doubt(struct mqtt *mqtt, struct mqtt_pack *pack, int alarm)
{
    uint32_t bit = 1u << alarm;
    struct unsure *place = mqtt->unsure;
    while (place < mqtt->unsure + EVENTS_MAX && place->mid)
        place++;
    if (place == mqtt->unsure + EVENTS_MAX)
        return NULL;
    *place = (struct unsure){
        .sequence = ++mqtt->events,
        .pack = pack,
        .alarm = alarm,
        .warning = pack->warning & bit,
        .protection = pack->protection & bit,
    };
    return place;
}

static bool send_event(struct mqtt *mqtt, struct mqtt_pack *pack, int alarm, int before, int level,
                       double time)
{
    char topic[TOPIC_SIZE];
    struct text text = mqtt_text(mqtt);
    struct unsure *place = doubt(mqtt, pack, alarm);
    message_event(&text, time, (enum pack_alarm) alarm, (enum alarm_level)(level ? level : before),
                  level > 0);
    topic_of(mqtt->place.topic, pack->pack->source.name, "event", topic);
    bool good = connection_publish(mqtt->connection, topic, text.bytes, text.size, 1, false,
                                   place ? &place->mid : NULL);
    if (!good && place)
        place->mid = 0;
    return good;
}

void alarms_undo(struct mqtt *mqtt)
{
    for (;;) {
        struct unsure *last = NULL;
        for (unsigned i = 0; i < EVENTS_MAX; i++)
            if (mqtt->unsure[i].mid && (!last || mqtt->unsure[i].sequence > last->sequence))
                last = &mqtt->unsure[i];
        if (!last)
            return;
        uint32_t bit = 1u << last->alarm;
        last->pack->warning = (last->pack->warning & ~bit) | last->warning;
        last->pack->protection = (last->pack->protection & ~bit) | last->protection;
        note_alarms(mqtt, last->pack);
        last->mid = 0;
    }
}

void alarms_tell(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct pack *values = pack->pack->source.values;
    if (mqtt_is_smartbms(mqtt) || connection_room(mqtt->connection) == 0 || !pack->was_fresh)
        return;
    double time = clock_wall() - (now - pack->pack->last.at);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        uint32_t bit = 1u << i;
        int before = level_of(pack->warning, pack->protection, i);
        int level = level_of(values->alarms_warning, values->alarms_protection, i);
        /* What has not been read yet, after a start, says nothing of an alarm's end. */
        if (before == level || (!level && !(values->alarms_known & bit)) ||
            !send_event(mqtt, pack, i, before, level, time))
            continue;
        pack->warning = (pack->warning & ~bit) | (values->alarms_warning & bit);
        pack->protection = (pack->protection & ~bit) | (values->alarms_protection & bit);
        note_alarms(mqtt, pack);
    }
}

void alarms_confirmed(struct mqtt *mqtt, int mid)
{
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        if (mqtt->unsure[i].mid == mid)
            mqtt->unsure[i].mid = 0;
}
