// SPDX-License-Identifier: MIT
/*
 * The connection to a broker: libmosquitto under libev. This adds what the library lacks: a
 * deadline until the broker has accepted the login, growing pauses, a limit to the messages in its
 * queue, and a way to find out whether the broker reads at this moment. The library blocks while it
 * resolves a name: a child process, which may take as long as it needs, resolves it first.
 */
#pragma once

#include "config/outlet_config.h"

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_QUEUE_MAX 256 /* messages that the broker has not confirmed or read yet */

struct connection;

/* All texts are kept by reference. */
struct connection_settings {
    const struct mqtt_config *config;
    const char *name; /* "mqtt home", for the log */
    const char *client_id;
    const char *will_topic, *will_payload; /* QoS 1 */
    bool will_retained;
    void *data; /* for the functions, none of which may free the connection: */
    /** The broker has accepted the connection; nothing is subscribed to. */
    void (*up)(void *data);
    void (*down)(void *data);
    /** A message arrived. `topic` ends with a NUL. The broker sent it after `since` (clock_now),
     * the time of the last answered knock. */
    void (*message)(void *data, const char *topic, const void *payload, size_t size, bool retained,
                    double since);
    /** A message was sent, or confirmed: there is room again. May be NULL. */
    void (*sent)(void *data, int mid);
    /** The broker has answered a knock: it reads. */
    void (*answered)(void *data);
};

/* How far the last attempt has come, or had when it failed. */
enum connection_stage {
    CONNECTION_NONE,
    CONNECTION_REACHED,   /* by TCP */
    CONNECTION_ENCRYPTED, /* TLS has begun */
    CONNECTION_UP         /* logged in */
};

struct connection_counters {
    enum connection_stage stage;
    uint32_t sent, dropped, failed; /* messages, messages, attempts */
    unsigned queued;
    const char *words; /* the present error; "" when it is connected */
};

/** Begins to connect. NULL: the address of the broker is malformed. */
struct connection *connection_new(struct ev_loop *loop, const struct connection_settings *settings);
void connection_free(struct connection *connection);

bool connection_is_up(const struct connection *connection);

/** How many more messages it accepts now. */
unsigned connection_room(const struct connection *connection);

/** Sends. `*mid` is its number for `sent`, which may be called before this returns. False: no room
 * or no connection. One that can never be sent is only logged and counted. */
bool connection_publish(struct connection *connection, const char *topic, const void *payload,
                        size_t size, int qos, bool retained, int *mid);

/** Counts a message as dropped that was not composed because the previous one is still unsent. */
void connection_drop(struct connection *connection);

/*
 * Asks the broker for a sign of life; `answered` follows, never from within this call. A broker
 * that is stopped, or a stalled network, still accepts data: the kernels at both ends and
 * everything in between buffer it and deliver it in one burst later, however old it is by then.
 * Therefore send what must not arrive late right after an answer, and only then. An answer also
 * proves that all data sent before the knock was read. Only one knock is in flight at a time; one
 * that is not answered for 10 s ends the connection and discards its data.
 */
void connection_knock(struct connection *connection);

/** Subscribes; `what` is for the log if the broker refuses: "orders". Kept by reference. */
void connection_subscribe(struct connection *connection, const char *topic, const char *what);

struct connection_counters connection_counters(const struct connection *connection);
