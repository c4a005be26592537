// SPDX-License-Identifier: MIT
/*
 * Events: alarms that began, changed their level or ended. Each is sent once, and again if the
 * broker has not confirmed it.
 */
#pragma once

#include "mqtt.h"

/** Sends the changes since the last event. What cannot be sent now is sent later if it is still
 * true then. */
void alarms_tell(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

/** Call when the broker has confirmed a message, which may be an event. */
void alarms_confirmed(struct mqtt *mqtt, int mid);

/** Call when the connection is lost: unconfirmed events are sent again if they are still true. */
void alarms_undo(struct mqtt *mqtt);
