// SPDX-License-Identifier: MIT
/*
 * When what is sent: by the interval, on a change, and values only while the door is open, right after
 * the broker has answered a knock (connection.h).
 */
#ifndef PACKGATE_OUTLETS_MQTT_PACE_H
#define PACKGATE_OUTLETS_MQTT_PACE_H

#include "mqtt.h"

/** With the next turn of the loop, when all that the pipe holds has been taken. */
void pace_soon(struct mqtt *mqtt);

/** All that can be sent now. An answer of the broker is good for one round: the next values want
 * another one, by which it also confirms that it has read these. */
void pace_send(struct mqtt *mqtt, double now);

/** Tells the gateway how it goes. */
void pace_report(struct mqtt *mqtt);

/** The timers. */
void pace_on_flush(struct ev_loop *loop, ev_timer *timer, int revents);
void pace_on_second(struct ev_loop *loop, ev_timer *timer, int revents);

#endif
