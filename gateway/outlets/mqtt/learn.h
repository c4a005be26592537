// SPDX-License-Identifier: MIT
/*
 * What a pack has, as far as its values have shown it: that is what is announced.
 */
#ifndef PACKGATE_OUTLETS_MQTT_LEARN_H
#define PACKGATE_OUTLETS_MQTT_LEARN_H

#include "mqtt.h"

/** What the settings allow of a pack. */
struct entity_set learn_allowed(const struct mqtt *mqtt, const struct mqtt_pack *pack);

/** Takes from fresh values what there is to announce. It grows at once; a value that is missing for a
 * while takes nothing away, another battery or protocol does. */
void learn_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

#endif
