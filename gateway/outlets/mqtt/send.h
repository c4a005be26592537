// SPDX-License-Identifier: MIT
/*
 * Composes and sends the messages due for a pack or the gateway, one at a time, from the values of
 * that moment.
 */
#pragma once

#include "mqtt.h"

/* Time between two messages of on_change: slightly less than a second, so that polls of once a
 * second are not delayed for ever after an early one. After a pause, a second message may follow at
 * once: a cycle can arrive in two parts. */
#define CHANGE_PAUSE_S 0.9

/** Sends one due message (`todo`); false: it was not accepted. */
bool send_of_pack(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

/** The same for the gateway itself; before its packs, because a device can only be linked to a
 * known one. */
bool send_of_gateway(struct mqtt *mqtt, double now);

/** The number of fresh packs. */
unsigned send_count_fresh(const struct mqtt *mqtt, double now);
