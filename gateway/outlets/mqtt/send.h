// SPDX-License-Identifier: MIT
/*
 * Makes and sends what is to be done of a pack or of the gateway, one message at a time, from the
 * values of that moment.
 */
#ifndef PACKGATE_OUTLETS_MQTT_SEND_H
#define PACKGATE_OUTLETS_MQTT_SEND_H

#include "mqtt.h"

/* From one message that on_change makes to the next: once a second, and a little less, so that polls
 * of once a second are not kept back for ever once one was early. After a calm, a second one may
 * follow at once: a cycle can come in two parts. */
#define CHANGE_PAUSE_S 0.9

/** One message of what is to be done (`todo`); false: it was not taken. */
bool send_of_pack(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

/** The same of the gateway itself: before its packs, since a device is only connected by one that is
 * known. */
bool send_of_gateway(struct mqtt *mqtt, double now);

/** How many packs are fresh. */
unsigned send_count_fresh(const struct mqtt *mqtt, double now);

#endif
