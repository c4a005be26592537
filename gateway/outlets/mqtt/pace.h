// SPDX-License-Identifier: MIT
/*
 * Decides when to send: by the interval, on a change, and values only while the door is open, right
 * after the broker has answered a knock (connection.h).
 */
#pragma once

#include "mqtt.h"

/** Sends in the next turn of the loop, after all data in the pipe was read. */
void pace_soon(struct mqtt *mqtt);

/** Sends everything that can be sent now. An answer of the broker allows one round of values; the
 * next round needs another answer, which also confirms that these were read. */
void pace_send(struct mqtt *mqtt, double now);

/** Reports the state of the connection to the gateway. */
void pace_report(struct mqtt *mqtt);

/** The timers. */
void pace_on_flush(struct ev_loop *loop, ev_timer *timer, int revents);
void pace_on_second(void *self, double now);
