// SPDX-License-Identifier: MIT
/*
 * Takes away from the broker what it keeps of packs that are gone, or of all of them. A note of it
 * stays in the state file until the broker has confirmed that it is gone.
 */
#ifndef PACKGATE_OUTLETS_MQTT_WITHDRAW_H
#define PACKGATE_OUTLETS_MQTT_WITHDRAW_H

#include "mqtt.h"

/** Begins to withdraw the packs that were noted: all of them and the gateway, or those that are not
 * there any more. False: there is no memory; their notes stay. */
bool withdraw_noted(struct mqtt *mqtt, bool all);

/** Sends the next message. False: nothing can be sent now, or the broker has to confirm what was. */
bool withdraw_step(struct mqtt *mqtt);

/** A new connection: what was not confirmed begins anew. */
void withdraw_again(struct mqtt *mqtt);

/** Lets go of what is not done yet. */
void withdraw_free(struct mqtt *mqtt);

#endif
