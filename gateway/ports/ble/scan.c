// SPDX-License-Identifier: MIT
#include "scan.h"

#include "bluez.h"
#include "module.h"

#include "base/alloc.h"
#include "base/timer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_S 20.0 /* until BlueZ has begun */

struct scan {
    struct ev_loop *loop;
    scan_done *done;
    void *data;
    struct bluez bluez;
    ev_timer end;
    bool begun;
    struct found {
        struct scan_device device;
        char path[BLUEZ_PATH];
        unsigned services; /* enum bluez_service */
        bool heard;
    } found[SCAN_DEVICES];
    unsigned count;
    struct scan_device devices[SCAN_DEVICES]; /* in the end */
};

static void take(const struct scan *scan, struct found *found, const struct bluez_object *object)
{
    struct scan_device *device = &found->device;
    if (object->address && bluetooth_is_address(object->address))
        snprintf(device->address, sizeof device->address, "%.17s", object->address);
    if (object->name)
        snprintf(device->name, sizeof device->name, "%s", object->name);
    /* Any device can send a name, and names are printed on a terminal. */
    for (char *c = device->name; *c; c++)
        *c = isprint((unsigned char) *c) ? *c : '?';
    /* BlueZ derives a name from the address if the device has none. */
    char no_name[BLUETOOTH_ADDRESS];
    for (size_t i = 0; i < sizeof no_name; i++)
        no_name[i] = device->address[i] == ':' ? '-' : device->address[i];
    if (strncmp(device->name, no_name, sizeof no_name - 1) == 0)
        device->name[0] = '\0';
    if (object->connected >= 0)
        device->connected = object->connected;
    found->heard |= object->heard && scan->begun;
    if (object->signal_dbm != 0 && scan->begun)
        device->signal_dbm = object->signal_dbm;
    found->services |= object->services | (object->victron ? BLUEZ_SERVICE_VICTRON : 0);
    device->guess = module_guess(device->address, device->name, found->services);
    snprintf(device->adapter, sizeof device->adapter, "%.7s",
             strrchr(scan->bluez.adapter, '/') + 1);
}

/* The order of the list, and in a crowd who is kept: what may be a BMS, then what is near. */
static int compare(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    const bool there = left->heard || left->device.connected,
               other_there = right->heard || right->device.connected;
    if (!left->device.guess != !right->device.guess)
        return left->device.guess ? -1 : 1;
    if (there != other_there)
        return there ? -1 : 1;
    if (left->device.signal_dbm != right->device.signal_dbm)
        return left->device.signal_dbm > right->device.signal_dbm ? -1 : 1;
    return strcmp(left->device.address, right->device.address);
}

static void note_device(struct scan *scan, const struct bluez_object *object)
{
    const size_t length = strlen(scan->bluez.adapter);
    if (length == 0 || strncmp(object->path, scan->bluez.adapter, length) != 0 ||
        object->path[length] != '/' || strlen(object->path) >= BLUEZ_PATH)
        return;
    for (unsigned i = 0; i < scan->count; i++)
        if (strcmp(scan->found[i].path, object->path) == 0) {
            take(scan, &scan->found[i], object);
            return;
        }
    struct found found = {0};
    strcpy(found.path, object->path);
    take(scan, &found, object);
    struct found *place = &scan->found[scan->count];
    if (scan->count < SCAN_DEVICES) {
        scan->count++;
    } else {
        place = scan->found;
        for (unsigned i = 1; i < SCAN_DEVICES; i++)
            if (compare(place, &scan->found[i]) < 0)
                place = &scan->found[i];
        if (compare(&found, place) > 0)
            return;
    }
    *place = found;
}

static void on_object(void *data, const struct bluez_object *object)
{
    if (strcmp(object->interface, BLUEZ_DEVICE) == 0)
        note_device(data, object);
}

static void finish(struct scan *scan, const char *why)
{
    char text[BLUEZ_WHY];
    snprintf(text, sizeof text, "%s", why ? why : "");
    ev_timer_stop(scan->loop, &scan->end);
    bluez_close(&scan->bluez);
    unsigned count = 0;
    qsort(scan->found, scan->count, sizeof *scan->found, compare);
    for (unsigned i = 0; i < scan->count && !why; i++) {
        const struct found *found = &scan->found[i];
        /* Those that BlueZ only remembers are left out. */
        if (found->device.address[0] && (found->heard || found->device.connected))
            scan->devices[count++] = found->device;
    }
    scan->done(scan->data, scan->devices, count, why ? text : NULL);
}

static void on_settled(void *data)
{
    struct scan *scan = data;
    if (bluez_why(&scan->bluez))
        finish(scan, bluez_why(&scan->bluez));
}

static void on_begun(void *data, const struct bluez_error *error)
{
    struct scan *scan = data;
    if (error)
        bluez_fail(&scan->bluez, bluez_explain(error));
    timer_restart(scan->loop, &scan->end, SCAN_S);
}

static void on_listed(void *data)
{
    struct scan *scan = data;
    scan->begun = true;
    bluez_watch(&scan->bluez, scan->bluez.adapter, true);
    bluez_discover(&scan->bluez, on_begun);
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct scan *scan = timer->data;
    if (!scan->bluez.bus)
        finish(scan, "the system bus (D-Bus) does not run");
    else
        finish(scan, scan->begun ? NULL : "the system bus (D-Bus) does not answer");
}

struct scan *scan_new(struct ev_loop *loop, const char *adapter, scan_done *done, void *data)
{
    static const struct bluez_events bluez_events = {.object = on_object, .settled = on_settled};
    struct scan *scan = alloc_zeroed(1, sizeof *scan);
    scan->loop = loop;
    scan->done = done;
    scan->data = data;
    bluez_init(&scan->bluez, loop, adapter, &bluez_events, scan);
    const bool open = bluez_open(&scan->bluez);
    if (open)
        bluez_list(&scan->bluez, on_listed);
    ev_timer_init(&scan->end, on_end, open ? START_S : 0, 0);
    scan->end.data = scan;
    ev_timer_start(loop, &scan->end);
    return scan;
}

void scan_free(struct scan *scan)
{
    ev_timer_stop(scan->loop, &scan->end);
    bluez_close(&scan->bluez);
    free(scan);
}
