// SPDX-License-Identifier: MIT
/*
 * Events: alarms that began, changed their level or ended, each told once, and again where the broker
 * has not confirmed it.
 */
#ifndef PACKGATE_OUTLETS_MQTT_ALARMS_H
#define PACKGATE_OUTLETS_MQTT_ALARMS_H

#include "mqtt.h"

/** Tells what has changed since it was told last. What cannot be sent now is told later, as far as it
 * is still true then. */
void alarms_tell(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

/** The broker has confirmed a message, which may be an event. */
void alarms_confirmed(struct mqtt *mqtt, int mid);

/** The connection is lost: unconfirmed events are sent again, as far as they still hold. */
void alarms_undo(struct mqtt *mqtt);

#endif
