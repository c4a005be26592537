// SPDX-License-Identifier: MIT
/*
 * What a pack has, as far as its values have shown it: this is announced.
 */
#pragma once

#include "mqtt.h"

/** The rows that the settings permit for a pack. */
struct entity_set learn_allowed(const struct mqtt *mqtt, const struct mqtt_pack *pack);

/** Extends the announced set by fresh values. The set grows at once; it shrinks for another battery
 * or protocol, but not because a value is missing for a while. */
void learn_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now);
