// SPDX-License-Identifier: MIT
/*
 * Switch orders from the broker, and their responses.
 */
#pragma once

#include "mqtt.h"

/** Handles a message that may be an order, sent by the broker after `since` (clock_now). */
void orders_take(struct mqtt *mqtt, const char *topic, const void *payload, size_t size,
                 bool retained, double since);
