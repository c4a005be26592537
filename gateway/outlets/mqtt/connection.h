// SPDX-License-Identifier: MIT
/*
 * The connection to a broker: libmosquitto under libev. What the library lacks is added here: a
 * deadline until the broker has accepted us, pauses that grow, a limit to what waits to be sent,
 * and a way to find out whether the broker reads just now. The library looks names up itself and
 * waits for it; before it is asked to, a child process has done so, which may wait for as long as
 * it likes.
 */
#ifndef PACKGATE_OUTLETS_MQTT_CONNECTION_H
#define PACKGATE_OUTLETS_MQTT_CONNECTION_H

#include "config/outlet_config.h"

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_QUEUE_MAX 256 /* messages that the broker has not confirmed or taken yet */

struct connection;

/* What all are called with is `data`. None may free the connection. */
struct connection_events {
    /** The broker has accepted the connection; nothing is subscribed to. */
    void (*up)(void *data);
    void (*down)(void *data);
    /** A message came. `topic` ends with a NUL. The broker sent it after `since` (clock_now), the
     * time at which the last answered knock was sent. */
    void (*message)(void *data, const char *topic, const void *payload, size_t size, bool retained,
                    double since);
    /** A message was sent, or confirmed: there is room again. */
    void (*sent)(void *data, int mid);
    /** The broker has answered a knock: it reads. */
    void (*answered)(void *data);
};

/* All texts are kept by reference. */
struct connection_settings {
    const struct mqtt_config *config;
    const char *name; /* "mqtt home", for the log */
    const char *client_id;
    const char *will_topic, *will_payload; /* QoS 1 */
    bool will_retained;
};

struct connection_counters {
    uint32_t sent, dropped, failed; /* messages, messages, attempts */
    unsigned queued;
    const char *words; /* what is wrong; "" when it is connected */
};

/** Begins to connect. NULL: out of memory, or a file of TLS cannot be used at all. */
struct connection *connection_new(struct ev_loop *loop, const struct connection_settings *settings,
                                  const struct connection_events *events, void *data);
void connection_free(struct connection *connection);

bool connection_is_up(const struct connection *connection);

/** How many more messages it accepts now. */
unsigned connection_room(const struct connection *connection);

/** Sends. `*mid` is its number for `sent`, which may come before this returns. False: no room or no
 * connection; it is dropped and counted. A message that the library can never send is logged,
 * counted, and not retried. */
bool connection_publish(struct connection *connection, const char *topic, const void *payload,
                        size_t size, int qos, bool retained, int *mid);

/** Counts a message that was not even composed, since the one before is still unsent. */
void connection_drop(struct connection *connection);

/*
 * Asks the broker for a sign of life; `answered` follows, never from within. A broker that stands
 * still, or a network on the way to it, takes what it is sent all the same: the kernels at both
 * ends and whatever lies between keep it, and hand it over in one burst when life goes on, as old
 * as that may be. So what must not arrive late is sent right after an answer, and only then. The
 * answer also tells that all that was sent before the knock was read. One knock is under way at a
 * time; one that is not answered for 10 s ends the connection, and what it still holds is thrown
 * away.
 */
void connection_knock(struct connection *connection);

/** Subscribes; `what` is for the log if the broker refuses: "orders". Kept by reference. */
void connection_subscribe(struct connection *connection, const char *topic, const char *what);

struct connection_counters connection_counters(const struct connection *connection);

#endif
