// SPDX-License-Identifier: MIT
/* Which Bluetooth devices are in reach. */
#include "scan.h"

#include "bluez.h"
#include "module.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_S 20.0 /* until BlueZ has begun */

struct scan {
    struct ev_loop *loop;
    const struct scan_events *events;
    void *data;
    struct bluez bluez;
    ev_timer end;
    char wanted[8]; /* adapter; empty: the first */
    char adapter[BLUEZ_PATH];
    bool powered, begun;
    struct found {
        struct scan_device device;
        char path[BLUEZ_PATH];
        unsigned services; /* enum bluez_service */
        bool heard;
    } found[SCAN_DEVICES];
    unsigned count;
    struct scan_device devices[SCAN_DEVICES]; /* in the end */
};

static struct found *find(struct scan *scan, const char *path)
{
    for (unsigned i = 0; i < scan->count; i++)
        if (strcmp(scan->found[i].path, path) == 0)
            return &scan->found[i];
    return NULL;
}

/* Any device can send a name, and names are printed on a terminal. */
static void take_name(char out[BLUETOOTH_NAME], const char *name)
{
    size_t size = 0;
    for (; *name && size + 1 < BLUETOOTH_NAME; name++)
        out[size++] = isprint((unsigned char) *name) ? *name : '?';
    out[size] = '\0';
}

/* BlueZ derives a name from the address if the device has none. */
static bool is_no_name(const char *name, const char *address)
{
    for (size_t i = 0; i < BLUETOOTH_ADDRESS - 1; i++)
        if (name[i] != (address[i] == ':' ? '-' : address[i]))
            return false;
    return true;
}

static void take(const struct scan *scan, struct found *found, const struct bluez_object *object)
{
    struct scan_device *device = &found->device;
    if (object->address && bluetooth_is_address(object->address))
        snprintf(device->address, sizeof device->address, "%.17s", object->address);
    if (object->name)
        take_name(device->name, object->name);
    if (is_no_name(device->name, device->address))
        device->name[0] = '\0';
    if (object->connected >= 0)
        device->connected = object->connected;
    found->heard |= object->heard && scan->begun;
    if (object->signal_dbm != 0 && scan->begun)
        device->signal_dbm = object->signal_dbm;
    found->services |= object->services | (object->victron ? BLUEZ_SERVICE_VICTRON : 0);
    device->guess = module_guess(device->address, device->name, found->services);
    snprintf(device->adapter, sizeof device->adapter, "%.7s", strrchr(scan->adapter, '/') + 1);
}

/* In a crowd those are kept that are likely to be looked for: what may be a BMS, then what is near. */
static bool is_rather_wanted(const struct found *found, const struct found *than)
{
    const bool there = found->heard || found->device.connected,
               other_there = than->heard || than->device.connected;
    if (!found->device.guess != !than->device.guess)
        return found->device.guess != NULL;
    if (there != other_there)
        return there;
    return found->device.signal_dbm > than->device.signal_dbm;
}

static void note_device(struct scan *scan, const struct bluez_object *object)
{
    const size_t length = strlen(scan->adapter);
    if (length == 0 || strncmp(object->path, scan->adapter, length) != 0 ||
        object->path[length] != '/' || strlen(object->path) >= BLUEZ_PATH)
        return;
    struct found *known = find(scan, object->path);
    if (known) {
        take(scan, known, object);
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
            if (is_rather_wanted(place, &scan->found[i]))
                place = &scan->found[i];
        if (!is_rather_wanted(&found, place))
            return;
    }
    *place = found;
}

static void on_object(void *data, const struct bluez_object *object)
{
    struct scan *scan = data;
    if (strcmp(object->interface, BLUEZ_DEVICE) == 0) {
        note_device(scan, object);
    } else if (strcmp(object->interface, BLUEZ_ADAPTER) == 0 && scan->begun) {
        if (object->powered == 0 && strcmp(object->path, scan->adapter) == 0)
            bluez_fail(&scan->bluez, "the Bluetooth adapter was switched off");
    } else if (strcmp(object->interface, BLUEZ_ADAPTER) == 0) {
        const char *name = strrchr(object->path, '/');
        if (name && (!scan->wanted[0] || strcmp(name + 1, scan->wanted) == 0))
            bluez_choose(scan->adapter, &scan->powered, object);
    }
}

static void on_gone(void *data, const char *path)
{
    struct scan *scan = data;
    if (scan->begun && strcmp(path, scan->adapter) == 0)
        bluez_fail(&scan->bluez, "the Bluetooth adapter is gone");
}

static void finish(struct scan *scan, const char *why);

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
    ev_timer_stop(scan->loop, &scan->end);
    ev_timer_set(&scan->end, SCAN_S, 0);
    ev_timer_start(scan->loop, &scan->end);
}

static void on_listed(void *data, const struct bluez_error *error)
{
    struct scan *scan = data;
    if (error) {
        bluez_fail(&scan->bluez, bluez_explain(error));
    } else if (!scan->adapter[0]) {
        bluez_fail(&scan->bluez, scan->wanted[0] ? "this host has no such Bluetooth adapter"
                                                 : "this host has no Bluetooth adapter");
    } else if (!scan->powered) {
        bluez_fail(&scan->bluez, "the Bluetooth adapter is off (bluetoothctl power on)");
    } else {
        scan->begun = true;
        bluez_watch(&scan->bluez, scan->adapter, true);
        bluez_discover(&scan->bluez, scan->adapter, on_begun);
    }
}

static int compare(const void *a, const void *b)
{
    const struct scan_device *left = a, *right = b;
    if (!left->guess != !right->guess)
        return left->guess ? -1 : 1;
    if (left->signal_dbm != right->signal_dbm)
        return left->signal_dbm > right->signal_dbm ? -1 : 1;
    return strcmp(left->address, right->address);
}

/* Those that BlueZ only remembers are left out. */
static unsigned sort_out(struct scan *scan)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < scan->count; i++) {
        const struct found *found = &scan->found[i];
        if (found->device.address[0] && (found->heard || found->device.connected))
            scan->devices[kept++] = found->device;
    }
    qsort(scan->devices, kept, sizeof *scan->devices, compare);
    return kept;
}

static void finish(struct scan *scan, const char *why)
{
    char text[BLUEZ_WHY];
    snprintf(text, sizeof text, "%s", why ? why : "");
    ev_timer_stop(scan->loop, &scan->end);
    bluez_close(&scan->bluez);
    const unsigned count = why ? 0 : sort_out(scan);
    scan->events->done(scan->data, scan->devices, count, why ? text : NULL);
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct scan *scan = timer->data;
    if (!scan->bluez.bus)
        finish(scan, "the system bus (D-Bus) does not run");
    else
        finish(scan, scan->begun ? NULL : "the system bus (D-Bus) does not answer");
}

struct scan *scan_new(struct ev_loop *loop, const char *adapter, const struct scan_events *events,
                      void *data)
{
    static const struct bluez_events bluez_events = {
        .object = on_object, .gone = on_gone, .settled = on_settled};
    struct scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return NULL;
    scan->loop = loop;
    scan->events = events;
    scan->data = data;
    snprintf(scan->wanted, sizeof scan->wanted, "%.7s", adapter);
    bluez_init(&scan->bluez, loop, &bluez_events, scan);
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
    if (!scan)
        return;
    ev_timer_stop(scan->loop, &scan->end);
    bluez_close(&scan->bluez);
    free(scan);
}
