// SPDX-License-Identifier: MIT
/* A running section [mqtt]: the state that its parts share, and what each part does for the others. */
#pragma once

#include "connection.h"
#include "discovery.h"

#include "outlets/outlet.h"
#include "packs/alarms.h"

#define ROOM_SIZE (128 * 1024) /* for one message: a device with all entities has 50 kB */
#define EVENTS_MAX 128         /* events that the broker has not confirmed yet */

enum todo { ANNOUNCE = 1 << 0, STATUS = 1 << 1, INFO = 1 << 2, STATE = 1 << 3 };

/* Where retained messages are. */
struct place {
    char topic[MQTT_TOPIC_SIZE + 64];
    char prefix[MQTT_TOPIC_SIZE];
    enum mqtt_discovery form;
    bool retain;
};

/* A pack, or with a part of its members the gateway itself. */
struct mqtt_pack {
    struct outlet_pack *pack; /* NULL: the gateway */
    unsigned todo;            /* enum todo */
    unsigned row;             /* next message of an announcement */
    struct entity_set set;    /* as announced, or about to be announced */
    struct entity_set gone;   /* to be removed */
    char protocol[NAME_SIZE]; /* protocol of the set; empty: unknown */
    uint64_t identity;        /* battery of the set; 0: unknown */
    double strange_since;     /* since then the values are of another battery; NaN: they are not */
    bool heard;        /* the gateway has sent it to this process; info is not published before */
    bool was_fresh;    /* in this life; of the gateway: this section announces it */
    bool online;       /* status as last sent; of the gateway: this process hears it */
    bool offline_kept; /* the broker retains its offline status */
    double due;        /* state, by its interval */
    double free_at;    /* no earlier message for a change */
    bool changed;      /* since the last state message */
    struct pack sent;  /* values of the last state message */
    struct map_allowed sent_allowed;
    bool sent_fresh;      /* they were fresh (layout venus) */
    struct alarms alarms; /* as last sent */
};

/* What is to be withdrawn. */
struct withdrawals {
    char (*packs)[NAME_SIZE]; /* names; empty: the gateway */
    unsigned count, at, step; /* before `at` everything is sent; whether it arrived is unknown */
};

/* An event that the broker has not confirmed: if the connection ends before, the alarm goes back to
 * its state before the event. */
struct unsure {
    int mid;
    struct mqtt_pack *pack;
    int alarm;
    struct alarms before; /* as sent before */
};

struct mqtt {
    struct outlet *outlet;
    const struct mqtt_config *config;
    struct mqtt_config former; /* configuration of a section that was removed before the start */
    struct connection *connection;
    const char *name;
    char client_id[80];
    char will_topic[TOPIC_SIZE], will[160];
    char id[PIPE_ID_SIZE];
    struct place place, before; /* now, and as noted; empty topic: nothing noted */
    struct announcer announcer;
    struct mqtt_pack gateway;
    struct mqtt_pack *packs;
    unsigned pack_count, turn;
    unsigned fresh_told;
    unsigned echoes[2];               /* own status, offline and online, not received back yet */
    struct withdrawals withdrawals;   /* count 0: nothing is to be withdrawn */
    struct unsure unsure[EVENTS_MAX]; /* in the order in which they were sent */
    unsigned unsure_count;
    double answered_at; /* last answer not used for values yet; -INFINITY: none */
    ev_timer flush, birth, farewell;
    uint32_t refused; /* orders that were not executed, for any reason */
    bool ending, shared_told, retained_told, foreign_told, forbidden_told, stale_told;
    char *room;
};

/** Whether the layout is that of a single device: one pack, no discovery. */
static inline bool mqtt_is_device(const struct mqtt *mqtt)
{
    return mqtt->config->layout != LAYOUT_PACKGATE;
}

/** Whether packs are announced to Home Assistant. */
static inline bool mqtt_announces(const struct mqtt *mqtt)
{
    return mqtt->place.form != DISCOVERY_OFF;
}

/** Finds a pack by name; NULL: the section does not have it. */
struct mqtt_pack *mqtt_find_pack(struct mqtt *mqtt, const char *name);

/** Tries a broker before its section is saved: prints "STEP ok" or "STEP failed TEXT" for each of connect, tls, login, subscribe;
 * for the last it sends a message below the section's topic and waits for it. Returns the exit status. */
int mqtt_test(const struct pipe_config *config);

/*
 * send.c: composes and sends messages, one at a time, from the values of that moment: by the interval, on a change, and values only
 * while the door is open, right after the broker has answered a knock (connection.h).
 */

/** An empty message, in the only buffer. */
struct text mqtt_text(struct mqtt *mqtt);

/** Sends it below the section's topic: TOPIC/LEAF, of a pack TOPIC/PACK/LEAF. False: not accepted now. */
bool mqtt_publish_below(struct mqtt *mqtt, const char *pack, const char *leaf,
                        const struct text *text, int qos, bool retained);

/** Sends in the next turn of the loop, after all data in the pipe was read. */
void send_soon(struct mqtt *mqtt);

/** Sends everything that can be sent now. An answer of the broker allows one round of values; the
 * next round needs another answer, which also confirms that these were read. */
void send_now(struct mqtt *mqtt, double now);

/** What the outlet does. */
void send_report(void *self, struct pipe_report *report);
void send_on_flush(struct ev_loop *loop, ev_timer *timer, int revents);
void send_on_second(void *self, double now);

/* learn.c: what a pack has, as far as its values have shown it: this is announced. */

/** The rows that the settings permit for a pack. */
struct entity_set learn_allowed(const struct mqtt *mqtt, const struct mqtt_pack *pack);

/** Extends the announced set by fresh values. The set grows at once; it shrinks for another battery
 * or protocol, but not because a value is missing for a while. */
void learn_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

/*
 * orders.c handles switch orders from the broker, and sends events: alarms that began, changed their level or ended. Each is
 * sent once, and again if the broker has not confirmed it.
 */

/** Sends changes since the last event; what cannot be sent now, later if it is still true. */
void alarms_tell(struct mqtt *mqtt, struct mqtt_pack *pack, double now);

/** Call when the broker has confirmed a message, which may be an event. */
void alarms_confirmed(struct mqtt *mqtt, int mid);

/** Call when the connection is lost: unconfirmed events are sent again if they are still true. */
void alarms_undo(struct mqtt *mqtt);

/** Handles a message that may be an order, sent by the broker after `since` (clock_now). */
void orders_take(struct mqtt *mqtt, const char *topic, const void *payload, size_t size,
                 bool retained, double since);

/*
 * retained.c: what the broker retains for us (status, info, discovery) is noted in the state file, so that it can be
 * withdrawn when it is no longer in the configuration. The note stays until the broker has confirmed the removal.
 */

/** Notes the announced entities of a pack. */
void note_pack(struct mqtt *mqtt, const struct mqtt_pack *pack);
/** Reads them: what an earlier process has announced remains announced. A note made with the table of another
 * version counts as everything announced. */
void note_read_pack(const struct mqtt *mqtt, struct mqtt_pack *pack);

/** Notes where retained messages are, which becomes `before`, and how to reach the broker. */
void note_place(struct mqtt *mqtt);
/** Reads the noted place into `before`; of a section that was removed also its configuration into `former`, to which
 * `config` then points. */
void note_read_place(struct mqtt *mqtt);
/** Whether retained messages are at the noted place, so that new ones replace the old ones. */
bool note_same_place(const struct mqtt *mqtt);

/** Begins to withdraw noted packs: all of them and the gateway, or those that no longer exist. */
void withdraw_noted(struct mqtt *mqtt, bool all);

/** Sends the next message. False: nothing can be sent now, or the broker still has to confirm. */
bool withdraw_step(struct mqtt *mqtt);

/** Call for a new connection: unconfirmed withdrawals restart. */
void withdraw_again(struct mqtt *mqtt);

void withdraw_free(struct mqtt *mqtt);
