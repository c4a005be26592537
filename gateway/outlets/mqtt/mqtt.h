// SPDX-License-Identifier: MIT
/*
 * A running section [mqtt]: the state that its parts share. Each part does one thing: note.h stores
 * notes in the state file, withdraw.h removes announcements, learn.h knows what a pack has, send.h
 * composes messages, pace.h decides when, alarms.h sends events, orders.h handles orders; life.c
 * has the connection, start and end.
 */
#pragma once

#include "connection.h"
#include "discovery.h"

#include "outlets/outlet.h"
#include "packs/alarms.h"

#include <time.h>

#define ROOM_SIZE (128 * 1024) /* for one message: a device with all entities has 50 kB */
#define ORDERS_MAX 32          /* under way */
#define EVENTS_MAX 128         /* events that the broker has not confirmed yet */

enum todo { ANNOUNCE = 1 << 0, STATUS = 1 << 1, INFO = 1 << 2, STATE = 1 << 3 };

/* Where retained messages are. */
struct place {
    char topic[MQTT_TOPIC_SIZE + 64];
    char prefix[MQTT_TOPIC_SIZE];
    enum mqtt_discovery form;
    bool retain;
};

struct mqtt_pack {
    struct outlet_pack *pack;
    unsigned todo;            /* enum todo */
    unsigned row;             /* next row of an announcement in the single form */
    struct entity_set set;    /* as announced, or about to be announced */
    struct entity_set gone;   /* to be removed */
    char protocol[NAME_SIZE]; /* protocol of the set; empty: unknown */
    uint64_t identity;        /* battery of the set; 0: unknown */
    double strange_since;     /* since then the values are of another battery; NaN: they are not */
    bool heard;        /* the gateway has sent it to this process; info is not published before */
    bool was_fresh;    /* in this life */
    bool online;       /* status as last sent */
    bool offline_kept; /* the broker retains its offline status */
    double due;        /* state, by its interval */
    double free_at;    /* no earlier message for a change */
    bool changed;      /* since the last state message */
    struct pack sent;  /* values of the last state message */
    struct map_allowed sent_allowed;
    struct alarms alarms; /* as last sent */
};

/* What is to be withdrawn of one pack, or of the gateway. */
struct withdrawal {
    char pack[NAME_SIZE]; /* empty: the gateway */
    struct entity_set set;
    unsigned step;
    bool sent; /* everything is sent; whether it arrived is unknown */
    struct withdrawal *next;
};

/* An event that the broker has not confirmed: if the connection ends before, the alarm goes back to
 * its state before the event. */
struct unsure {
    int mid;           /* 0: free */
    unsigned sequence; /* later ones are undone first */
    struct mqtt_pack *pack;
    int alarm;
    struct alarms before; /* as sent before */
};

struct asked {
    struct mqtt_pack *pack; /* NULL: free */
    enum order_topic which;
    int value;
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
    struct mqtt_pack *packs;
    unsigned pack_count, turn;
    unsigned todo; /* of the gateway itself */
    unsigned row;
    unsigned fresh_told;
    bool heard_told;
    unsigned echoes[2]; /* own status, offline and online, not received back yet */
    struct withdrawal *withdrawals;
    struct asked orders[ORDERS_MAX];
    struct unsure unsure[EVENTS_MAX];
    unsigned events;    /* sent */
    double answered_at; /* last answer not used for values yet; -INFINITY: none */
    ev_timer flush, later, birth, farewell;
    unsigned ticks;
    uint32_t failed_told; /* failed connections, as reported to the gateway */
    uint32_t refused;     /* orders that were not executed, for any reason */
    bool ending, shared_told, retained_told, foreign_told, forbidden_told, stale_told;
    char *room;
};

/** Whether the layout is that of a single device: one pack, no discovery. */
bool mqtt_is_device(const struct mqtt *mqtt);
/** Whether packs are announced to Home Assistant. */
bool mqtt_announces(const struct mqtt *mqtt);
/** Whether this section announces the gateway itself. Without a state file each section is a
 * separate gateway for Home Assistant. */
bool mqtt_speaks_for_gateway(const struct mqtt *mqtt);

struct tm mqtt_local_now(void);

/** An empty message, in the only buffer. */
struct text mqtt_text(struct mqtt *mqtt);
/** Sends it. False: not accepted now. A message that was cut off is logged and counts as sent. */
bool mqtt_publish(struct mqtt *mqtt, const char *topic, const struct text *text, int qos,
                  bool retained);

/** Finds a pack by name; NULL: the section does not have it. */
struct mqtt_pack *mqtt_find_pack(struct mqtt *mqtt, const char *name);
