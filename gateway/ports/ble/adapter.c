// SPDX-License-Identifier: MIT
/* The adapter that a connection to BlueZ uses, and why it fails. */
#include "bluez.h"

#include <stdio.h>
#include <string.h>

void bluez_fail(struct bluez *bluez, const char *why)
{
    if (!bluez->why[0])
        snprintf(bluez->why, sizeof bluez->why, "%s", why[0] ? why : "it fails");
}

const char *bluez_why(const struct bluez *bluez)
{
    return bluez->why[0] ? bluez->why : NULL;
}

const char *bluez_explain(const struct bluez_error *error)
{
    static const char prefix[] = "org.freedesktop.DBus.Error.";
    if (strncmp(error->name, prefix, sizeof prefix - 1) != 0)
        return error->text;
    const char *name = error->name + sizeof prefix - 1;
    if (strcmp(name, "ServiceUnknown") == 0 || strcmp(name, "NameHasNoOwner") == 0)
        return "BlueZ does not run (systemctl start bluetooth)";
    if (strcmp(name, "AccessDenied") == 0)
        return "this user may not use Bluetooth: the system bus does not let it";
    if (strcmp(name, "NoReply") == 0 || strcmp(name, "Timeout") == 0)
        return "BlueZ does not answer";
    return error->text;
}

/* Without a configured name: the one with the lowest number, switched on or not, so that it is
 * always the same one. */
static bool is_preferred(const struct bluez *bluez, const char *path)
{
    const char *name = strrchr(path, '/');
    const size_t size = strlen(path), before = strlen(bluez->adapter);
    if (!name || size >= BLUEZ_PATH || (bluez->wanted[0] && strcmp(name + 1, bluez->wanted) != 0))
        return false;
    return before == 0 || size < before || (size == before && strcmp(path, bluez->adapter) < 0);
}

void bluez_report(struct bluez *bluez, const struct bluez_object *object)
{
    if (strcmp(object->interface, BLUEZ_ADAPTER) != 0) {
        bluez->events->object(bluez->data, object);
        return;
    }
    if (!bluez->chosen && is_preferred(bluez, object->path)) {
        strcpy(bluez->adapter, object->path);
        bluez->powered = false;
    }
    if (object->powered < 0 || strcmp(object->path, bluez->adapter) != 0)
        return;
    bluez->powered = object->powered;
    if (!bluez->powered && bluez->chosen)
        bluez_fail(bluez, "the Bluetooth adapter was switched off");
}

void bluez_report_gone(struct bluez *bluez, const char *path)
{
    if (bluez->adapter[0] && strcmp(path, bluez->adapter) == 0)
        bluez_fail(bluez, "the Bluetooth adapter is gone");
    else if (bluez->events->gone)
        bluez->events->gone(bluez->data, path);
}

void bluez_end_list(struct bluez *bluez, const struct bluez_error *error, bluez_listed *listed)
{
    if (error) {
        bluez_fail(bluez, bluez_explain(error));
    } else if (!bluez->adapter[0]) {
        bluez_fail(bluez, bluez->wanted[0] ? "this host has no such Bluetooth adapter"
                                           : "this host has no Bluetooth adapter");
    } else if (!bluez->powered) {
        bluez_fail(bluez, "the Bluetooth adapter is off (bluetoothctl power on)");
    } else {
        if (!bluez->chosen)
            bluez_watch(bluez, bluez->adapter, false);
        bluez->chosen = true;
        listed(bluez->data);
    }
}
