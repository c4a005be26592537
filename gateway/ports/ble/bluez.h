// SPDX-License-Identifier: MIT
/*
 * BlueZ, the Bluetooth service of Linux, on the system bus: sd-bus in the loop. Nothing here
 * blocks, whatever the bus or BlueZ does; a flood of messages gets only a limited share of each
 * turn of the loop. sd-bus allocates and frees the memory of messages. Closing ends what BlueZ does
 * for this connection (scanning, notifications), but not the link to a device.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

#define BLUEZ_ADAPTER "org.bluez.Adapter1"
#define BLUEZ_DEVICE "org.bluez.Device1"
#define BLUEZ_CHARACTERISTIC "org.bluez.GattCharacteristic1"
#define BLUEZ_IN_PROGRESS "org.bluez.Error.InProgress"
#define BLUEZ_PATH 128
#define BLUEZ_WHY 160
#define BLUEZ_UNDER_WAY 8 /* calls */

#define BLUEZ_VICTRON 0x02E1 /* the company whose data are decoded */

/* Advertised services that help to identify a device. */
enum bluez_service {
    BLUEZ_SERVICE_FFF0 = 1,
    BLUEZ_SERVICE_FF00 = 2,
    BLUEZ_SERVICE_FFE0 = 4,
    BLUEZ_SERVICE_VICTRON = 8 /* manufacturer data, not a service */
};

enum bluez_flag { BLUEZ_WRITE = 1, BLUEZ_WRITE_COMMAND = 2, BLUEZ_NOTIFY = 4 };

/* One interface of an object with its known properties. The pointers are valid until the callback
 * returns. */
struct bluez_object {
    const char *path, *interface;
    const char *address, *name, *uuid;                 /* NULL: not known */
    int connected, resolved, powered, paired, trusted; /* -1: not known */
    bool heard;     /* it advertised just now, or since the scan began */
    int signal_dbm; /* 0: not known */
    unsigned flags, services;
    const void *value; /* notified by a characteristic; NULL: none */
    size_t size;
    const void *victron; /* manufacturer's data, without the company; NULL: none */
    size_t victron_size;
};

/* An error of a call; a NULL pointer to it means success. */
struct bluez_error {
    const char *name; /* "org.bluez.Error.NotReady" */
    const char *text; /* never NULL */
};

/* Callbacks may start calls, but must not close; only `settled` may. */
struct bluez_events {
    /** A device or a characteristic is there, or some of its properties have changed. */
    void (*object)(void *data, const struct bluez_object *object);
    void (*gone)(void *data, const char *path); /* NULL: ignored */
    /** After some of these calls: check the resulting state, and bluez_why. */
    void (*settled)(void *data);
};

typedef void bluez_reply(void *data, const struct bluez_error *error);
typedef void bluez_listed(void *data);

struct bluez {
    struct ev_loop *loop;
    const struct bluez_events *events;
    void *data;
    sd_bus *bus; /* NULL: closed */
    int claim;   /* marks a device as used by this process; -1: none */
    ev_io ready;
    ev_timer due;
    char owner[32]; /* BlueZ' own name on the bus; empty: not known yet */
    char wanted[8]; /* name of the adapter; empty: the first one */
    char adapter[BLUEZ_PATH];
    bool powered;
    bool chosen; /* the adapter was there and on, and will not be another one */
    char why[BLUEZ_WHY];
    struct bluez_list {
        sd_bus_message *answer; /* with all objects; NULL: none is under way */
        struct bluez_call *call;
        unsigned kind; /* of the objects that are reported next */
    } list;
    struct bluez_scan {
        bluez_reply *reply;
        ev_timer again;
        unsigned tries; /* left */
    } scan;
    struct bluez_call {
        struct bluez *bluez; /* NULL: free */
        bluez_reply *reply;
        bluez_listed *listed; /* of a list, in its place */
    } calls[BLUEZ_UNDER_WAY];
};

/** `adapter` is the name of the one to use; "": the first one. */
void bluez_init(struct bluez *bluez, struct ev_loop *loop, const char *adapter,
                const struct bluez_events *events, void *data);

/** Connects to the bus; other calls may follow at once. False: there is no bus. */
bool bluez_open(struct bluez *bluez);
void bluez_close(struct bluez *bluez);

/** Why the connection failed, until it is closed; NULL: it works. The first reason stays. */
const char *bluez_why(const struct bluez *bluez);
void bluez_fail(struct bluez *bluez, const char *why);

/** An error in words for people. */
const char *bluez_explain(const struct bluez_error *error);

/** Requests all objects: calls `object` for each device, then for each characteristic; then
 * `listed`, unless the adapter is not there or switched off, which fails. From then on the
 * connection fails when its adapter is switched off or goes away. */
void bluez_list(struct bluez *bluez, bluez_listed *listed);

/** What the bus says, on its way to the events: adapters are handled here (adapter.c). */
void bluez_report(struct bluez *bluez, const struct bluez_object *object);
void bluez_report_gone(struct bluez *bluez, const char *path);
void bluez_end_list(struct bluez *bluez, const struct bluez_error *error, bluez_listed *listed);

/** Subscribes to changes of this object, and of all `below` it. */
void bluez_watch(struct bluez *bluez, const char *path, bool below);

/** Calls a method without arguments. */
void bluez_call(struct bluez *bluez, const char *path, const char *interface, const char *method,
                double patience_s, bluez_reply *reply);

/** Starts a scan. BlueZ then reports the signal with every advertisement, unless another program
 * has started a scan before. Retries while BlueZ is busy with the scan of another program. */
void bluez_discover(struct bluez *bluez, bluez_reply *reply);

/** Ends the scan; not before it has begun. */
void bluez_stop_discovering(struct bluez *bluez, bluez_reply *reply);

/** Pings BlueZ: messages after its reply were sent after the ping. */
void bluez_ping(struct bluez *bluez, bluez_reply *reply);

/** Writes to a characteristic, with a response of the device or (`command`) without. */
void bluez_write(struct bluez *bluez, const char *path, bool command, const void *bytes,
                 size_t size, bluez_reply *reply);

/** Disconnects a device before closing, without waiting for a reply. */
void bluez_disconnect(struct bluez *bluez, const char *device);

/** Claims a device, over any adapter, until this is closed. False: another packgate of this host
 * uses it, or another line. BlueZ would let both use the link: each would receive the other's
 * answers, and the first one to close would disconnect both. */
bool bluez_claim(struct bluez *bluez, const char *device);

/** Removes a device from BlueZ, with everything that is cached of it. */
void bluez_remove(struct bluez *bluez, const char *device);
