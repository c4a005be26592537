// SPDX-License-Identifier: MIT
/*
 * A section [mqtt] while it runs: what its parts share. Each of them does one thing: note.h what is kept
 * in the state file, withdraw.h takes away what was announced, learn.h knows what a pack has, send.h
 * makes the messages, pace.h decides when, alarms.h tells events, orders.h takes orders; life.c has the
 * connection and the life.
 */
#ifndef PACKGATE_OUTLETS_MQTT_MQTT_H
#define PACKGATE_OUTLETS_MQTT_MQTT_H

#include "connection.h"
#include "discovery.h"

#include "outlets/outlet.h"
#include "packs/alarms.h"

#include <time.h>

#define ROOM_SIZE (128 * 1024) /* for one message: a device with everything has 50 kB */
#define ORDERS_MAX 32          /* under way */
#define EVENTS_MAX 128         /* that the broker has not confirmed yet */

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
    unsigned row;             /* of an announcement in the single form, the next one */
    struct entity_set set;    /* as announced, or about to be */
    struct entity_set gone;   /* to be taken away */
    char protocol[NAME_SIZE]; /* that the set is of; empty: not known yet */
    uint64_t identity;        /* the same; 0: nothing of it is known */
    double strange_since;     /* another identity; NaN: it is the same */
    bool heard;               /* of by the gateway, in this life: info is not said before */
    bool was_fresh;           /* in this life */
    bool online;              /* its status, as it was told */
    bool offline_kept;        /* by the broker, for those who come later */
    double due;               /* state, by its interval */
    double free_at;           /* state, for a change, not before */
    bool changed;             /* since then */
    struct pack sent;         /* its values */
    struct map_allowed sent_allowed;
    struct alarms alarms; /* that were told */
};

/* What is to be taken away of one pack, or of the gateway. */
struct withdrawal {
    char pack[NAME_SIZE]; /* empty: the gateway */
    struct entity_set set;
    unsigned step;
    bool sent; /* all of it; whether it arrived is not known yet */
    struct withdrawal *next;
};

/* An event that the broker has not confirmed: should the connection end before, the alarm is as it
 * was told before. */
struct unsure {
    int mid;           /* 0: free */
    unsigned sequence; /* the later ones are undone first */
    struct mqtt_pack *pack;
    int alarm;
    struct alarms before; /* what was told until then */
};

struct asked {
    struct mqtt_pack *pack; /* NULL: free */
    enum order_topic which;
    int value;
};

struct mqtt {
    struct outlet *outlet;
    const struct mqtt_config *config;
    struct mqtt_config former; /* of a section that was gone at the start */
    struct observer observer;
    struct connection *connection;
    char name[2 * NAME_SIZE], client_id[80];
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
    unsigned echoes[2]; /* of the own status, offline and online, that the broker still owes */
    struct withdrawal *withdrawals;
    struct asked orders[ORDERS_MAX];
    struct unsure unsure[EVENTS_MAX];
    unsigned events;    /* sent */
    double answered_at; /* the broker, for values that have not been sent since; -INFINITY: none */
    ev_timer flush, later, second, birth, farewell;
    unsigned ticks;
    uint32_t failed_told; /* attempts to connect, to the gateway */
    uint32_t refused;     /* orders that were not carried out, for whatever reason */
    bool ending, shared_told, retained_told, foreign_told, forbidden_told, stale_told;
    char *room;
};

/** Its layout is that of a device: one pack, no discovery. */
bool mqtt_is_device(const struct mqtt *mqtt);
/** Home Assistant is told what there is. */
bool mqtt_announces(const struct mqtt *mqtt);
/** The section announces the gateway itself. Without a state file each section is a gateway of its
 * own to Home Assistant. */
bool mqtt_speaks_for_gateway(const struct mqtt *mqtt);

struct tm mqtt_local_now(void);

/** An empty message, in the one room that there is. */
struct text mqtt_text(struct mqtt *mqtt);
/** Sends it. False: it was not taken now. One that was cut is logged, and is over with. */
bool mqtt_publish(struct mqtt *mqtt, const char *topic, const struct text *text, int qos,
                  bool retained);

/** By its name; NULL: the section has no such pack. */
struct mqtt_pack *mqtt_find_pack(struct mqtt *mqtt, const char *name);

#endif
