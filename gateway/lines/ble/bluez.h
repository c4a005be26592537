// SPDX-License-Identifier: MIT
/*
 * BlueZ, the Bluetooth service of Linux, on the system bus: sd-bus under the loop. Nothing here waits,
 * whatever the bus or BlueZ does; a bus that floods us has its share of each turn of the loop and no
 * more. Messages are made in memory that sd-bus gets and frees. Closing ends what BlueZ does for this
 * connection (scanning, notifications), but not the link to a device.
 */
#ifndef PACKGATE_LINES_BLE_BLUEZ_H
#define PACKGATE_LINES_BLE_BLUEZ_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define BLUEZ_ADAPTER "org.bluez.Adapter1"
#define BLUEZ_DEVICE "org.bluez.Device1"
#define BLUEZ_CHARACTERISTIC "org.bluez.GattCharacteristic1"
#define BLUEZ_IN_PROGRESS "org.bluez.Error.InProgress"
#define BLUEZ_PATH 128
#define BLUEZ_WHY 160
#define BLUEZ_UNDER_WAY 8 /* calls */

#define BLUEZ_VICTRON 0x02E1 /* the company whose data are looked at */

/* Services that a device advertises, as far as they say something about it. */
enum bluez_service {
    BLUEZ_SERVICE_FFF0 = 1,
    BLUEZ_SERVICE_FF00 = 2,
    BLUEZ_SERVICE_FFE0 = 4,
    BLUEZ_SERVICE_VICTRON = 8 /* its data, rather */
};

enum bluez_flag { BLUEZ_WRITE = 1, BLUEZ_WRITE_COMMAND = 2, BLUEZ_NOTIFY = 4 };

/* One interface of an object, as far as its properties were told. The pointers are good until the
 * callback returns. */
struct bluez_object {
    const char *path, *interface;
    const char *address, *name, *uuid;                 /* NULL: not told */
    int connected, resolved, powered, paired, trusted; /* -1: not told */
    bool heard;                                        /* just now, or since the scan began */
    int signal_dbm;                                    /* 0: not told, or not known */
    unsigned flags, services;
    const void *value; /* what a characteristic notifies; NULL: not told */
    size_t size;
    const void *victron; /* manufacturer's data, without the company; NULL: none */
    size_t victron_size;
};

/* An error of a call; NULL in place of it: it went well. */
struct bluez_error {
    const char *name; /* "org.bluez.Error.NotReady" */
    const char *text; /* never NULL */
};

/* What is called back may start calls, but not close; that is for `settled`. */
struct bluez_events {
    /** An object is there, or some of its properties have changed. */
    void (*object)(void *data, const struct bluez_object *object);
    void (*gone)(void *data, const char *path);
    /** After some of that: look at what it comes to, and at bluez_why. */
    void (*settled)(void *data);
};

/** In words for people. */
const char *bluez_explain(const struct bluez_error *error);

typedef void bluez_reply(void *data, const struct bluez_error *error);

struct bluez {
    struct ev_loop *loop;
    const struct bluez_events *events;
    void *data;
    sd_bus *bus; /* NULL: closed */
    int claim;   /* what says that a device is ours; -1: nothing */
    ev_io ready;
    ev_timer due;
    char owner[32]; /* BlueZ' own name on the bus; empty: not known yet */
    char why[BLUEZ_WHY];
    struct bluez_list {
        sd_bus_message *answer; /* with all objects; NULL: none is under way */
        struct bluez_call *call;
        unsigned kind; /* of the objects that are told next */
    } list;
    struct bluez_scan {
        char adapter[BLUEZ_PATH];
        bluez_reply *reply;
        ev_timer again;
        unsigned tries; /* left */
    } scan;
    struct bluez_call {
        struct bluez *bluez;
        bluez_reply *reply; /* NULL: free */
    } calls[BLUEZ_UNDER_WAY];
};

void bluez_init(struct bluez *bluez, struct ev_loop *loop, const struct bluez_events *events,
                void *data);

/** Connects to the bus; all else may follow at once. False: there is no bus. */
bool bluez_open(struct bluez *bluez);
void bluez_close(struct bluez *bluez);

/** Why it is over, until it is closed; NULL: it is not. The first reason stays. */
const char *bluez_why(const struct bluez *bluez);
void bluez_fail(struct bluez *bluez, const char *why);

/** Takes an adapter for the one to use, if nobody has named one: that with the lowest number, switched on or not, so
 * that it is the same one each time. `path` and `powered` are of the one so far, "" of none. */
void bluez_choose(char path[BLUEZ_PATH], bool *powered, const struct bluez_object *adapter);

/** Asks for all objects: `object` is called for each, adapters first, then devices, then
 * characteristics; then `reply`. */
void bluez_list(struct bluez *bluez, bluez_reply *reply);

/** Wants to hear of changes of this object, and of all `below` it. */
void bluez_watch(struct bluez *bluez, const char *path, bool below);

/** Calls a method without arguments. */
void bluez_call(struct bluez *bluez, const char *path, const char *interface, const char *method,
                double patience_s, bluez_reply *reply);

/** Starts to look for devices. Each time when a device advertises, its object tells the signal, which
 * it would not if another program has been looking for devices before. While BlueZ is busy with the scan of
 * another program it is tried again. */
void bluez_discover(struct bluez *bluez, const char *adapter, bluez_reply *reply);

/** Ends that; not before it has begun. */
void bluez_stop_discovering(struct bluez *bluez, bluez_reply *reply);

/** Asks BlueZ for nothing but an answer: what it tells behind it was told after the question. */
void bluez_ping(struct bluez *bluez, bluez_reply *reply);

/** Writes to a characteristic, with an answer of the device or (`command`) without. */
void bluez_write(struct bluez *bluez, const char *path, bool command, const void *bytes,
                 size_t size, bluez_reply *reply);

/** Ends the link to a device, on the way out: nobody waits for an answer. */
void bluez_disconnect(struct bluez *bluez, const char *device);

/** Takes a device for its own, over whatever adapter, until it is closed. False: another packgate of this host has it, or another
 * line. BlueZ would let both use the link, each would hear the other's answers, and who ends first ends it. */
bool bluez_claim(struct bluez *bluez, const char *device);

/** Makes BlueZ forget an adapter's device with all that it has cached of it. */
void bluez_remove(struct bluez *bluez, const char *adapter, const char *device);

#endif
