// SPDX-License-Identifier: MIT
/* A running section [mqtt]: the state that its parts share. */
#include "mqtt.h"

#include "base/log.h"

#include <string.h>

bool mqtt_is_device(const struct mqtt *mqtt)
{
    return mqtt->config->layout != LAYOUT_PACKGATE;
}

bool mqtt_announces(const struct mqtt *mqtt)
{
    return mqtt->place.form != DISCOVERY_OFF;
}

bool mqtt_speaks_for_gateway(const struct mqtt *mqtt)
{
    return !mqtt->config->second || !outlet_config(mqtt->outlet)->id_kept;
}

struct tm mqtt_local_now(void)
{
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    return local;
}

struct text mqtt_text(struct mqtt *mqtt)
{
    return text_in(mqtt->room, ROOM_SIZE);
}

bool mqtt_publish(struct mqtt *mqtt, const char *topic, const struct text *text, int qos,
                  bool retained)
{
    if (text->cut) {
        log_error("%s: a message for %s is too large", mqtt->name, topic);
        return true;
    }
    return connection_publish(mqtt->connection, topic, text->bytes, text->size, qos, retained,
                              NULL);
}

struct mqtt_pack *mqtt_find_pack(struct mqtt *mqtt, const char *name)
{
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (strcmp(mqtt->packs[i].pack->source.name, name) == 0)
            return &mqtt->packs[i];
    return NULL;
}
