// SPDX-License-Identifier: MIT
/* BlueZ on the system bus. */
#include "bluez.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SERVICE "org.bluez"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define MANAGER "org.freedesktop.DBus.ObjectManager"
#define AT_ONCE 32   /* messages in one turn of the loop */
#define LIST_S 10.0  /* for an answer out of BlueZ' own memory, */
#define WRITE_S 10.0 /* and for one that the radio is needed for */
#define START_S 10.0
#define BUS_ENDED "the system bus (D-Bus) ended the connection"
#define SCAN_TRIES 10
#define SCAN_AGAIN_S 1.0
#define SIGNAL_UNKNOWN 127 /* as controllers report it */

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

/* ---- messages ---- */

static unsigned read_flags(sd_bus_message *message)
{
    const char *flag;
    unsigned flags = 0;
    sd_bus_message_enter_container(message, 'a', "s");
    while (sd_bus_message_read_basic(message, 's', &flag) > 0)
        flags |= strcmp(flag, "write") == 0                    ? BLUEZ_WRITE
                 : strcmp(flag, "write-without-response") == 0 ? BLUEZ_WRITE_COMMAND
                 : strcmp(flag, "notify") == 0 || strcmp(flag, "indicate") == 0 ? BLUEZ_NOTIFY
                                                                                : 0;
    sd_bus_message_exit_container(message);
    return flags;
}

static unsigned read_services(sd_bus_message *message)
{
    static const struct {
        const char *uuid;
        enum bluez_service service;
    } known[] = {{"0000fff0-", BLUEZ_SERVICE_FFF0},
                 {"0000ff00-", BLUEZ_SERVICE_FF00},
                 {"0000ffe0-", BLUEZ_SERVICE_FFE0}};
    const char *uuid;
    unsigned services = 0;
    sd_bus_message_enter_container(message, 'a', "s");
    while (sd_bus_message_read_basic(message, 's', &uuid) > 0)
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strncasecmp(uuid, known[i].uuid, 9) == 0)
                services |= known[i].service;
    sd_bus_message_exit_container(message);
    return services;
}

static void read_manufacturers(sd_bus_message *message, struct bluez_object *object)
{
    sd_bus_message_enter_container(message, 'a', "{qv}");
    while (sd_bus_message_enter_container(message, 'e', "qv") > 0) {
        uint16_t company = 0;
        sd_bus_message_read_basic(message, 'q', &company);
        if (company == BLUEZ_VICTRON && sd_bus_message_enter_container(message, 'v', "ay") > 0) {
            sd_bus_message_read_array(message, 'y', &object->victron, &object->victron_size);
            sd_bus_message_exit_container(message);
        } else {
            sd_bus_message_skip(message, "v");
        }
        sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
}

static const char **text_of(struct bluez_object *object, const char *name)
{
    return strcmp(name, "Address") == 0 ? &object->address
           : strcmp(name, "Alias") == 0 ? &object->name
           : strcmp(name, "UUID") == 0  ? &object->uuid
                                        : NULL;
}

static int *truth_of(struct bluez_object *object, const char *name)
{
    return strcmp(name, "Connected") == 0          ? &object->connected
           : strcmp(name, "ServicesResolved") == 0 ? &object->resolved
           : strcmp(name, "Powered") == 0          ? &object->powered
           : strcmp(name, "Paired") == 0           ? &object->paired
           : strcmp(name, "Trusted") == 0          ? &object->trusted
                                                   : NULL;
}

static void read_value(sd_bus_message *message, const char *name, const char *type,
                       struct bluez_object *object)
{
    const char **text = text_of(object, name);
    int *truth = truth_of(object, name);
    int16_t number = 0;
    if (text && strcmp(type, "s") == 0) {
        sd_bus_message_read_basic(message, 's', text);
    } else if (truth && strcmp(type, "b") == 0) {
        sd_bus_message_read_basic(message, 'b', truth);
    } else if (strcmp(name, "RSSI") == 0 && strcmp(type, "n") == 0) {
        sd_bus_message_read_basic(message, 'n', &number);
        object->heard = true;
        object->signal_dbm = number == SIGNAL_UNKNOWN ? 0 : number;
    } else if (strcmp(name, "Flags") == 0 && strcmp(type, "as") == 0) {
        object->flags = read_flags(message);
    } else if (strcmp(name, "UUIDs") == 0 && strcmp(type, "as") == 0) {
        object->services = read_services(message);
    } else if (strcmp(name, "Value") == 0 && strcmp(type, "ay") == 0) {
        sd_bus_message_read_array(message, 'y', &object->value, &object->size);
    } else if (strcmp(name, "ManufacturerData") == 0 && strcmp(type, "a{qv}") == 0) {
        read_manufacturers(message, object);
    } else {
        sd_bus_message_skip(message, type);
    }
}

/* The a{sv} that comes next. */
static void read_properties(sd_bus_message *message, struct bluez_object *object)
{
    const char *name, *type;
    object->connected = object->resolved = object->powered = object->paired = object->trusted = -1;
    sd_bus_message_enter_container(message, 'a', "{sv}");
    while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        if (sd_bus_message_read_basic(message, 's', &name) <= 0 ||
            sd_bus_message_peek_type(message, NULL, &type) <= 0 ||
            sd_bus_message_enter_container(message, 'v', type) <= 0)
            return;
        read_value(message, name, type, object);
        sd_bus_message_exit_container(message);
        sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
}

/* An a{sa{sv}} with the interfaces of one object; `only` one of them, NULL: all. */
static void tell_interfaces(struct bluez *bluez, sd_bus_message *message, const char *path,
                            const char *only)
{
    sd_bus_message_enter_container(message, 'a', "{sa{sv}}");
    while (sd_bus_message_enter_container(message, 'e', "sa{sv}") > 0) {
        struct bluez_object object = {.path = path};
        if (sd_bus_message_read_basic(message, 's', &object.interface) <= 0)
            return;
        if (!only || strcmp(object.interface, only) == 0) {
            read_properties(message, &object);
            bluez->events->object(bluez->data, &object);
        } else {
            sd_bus_message_skip(message, "a{sv}");
        }
        sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
}

void bluez_choose(char path[BLUEZ_PATH], bool *powered, const struct bluez_object *adapter)
{
    const size_t size = strlen(adapter->path), before = strlen(path);
    const bool lower = size < before || (size == before && strcmp(adapter->path, path) < 0);
    if (size >= BLUEZ_PATH || (path[0] && !lower))
        return;
    memcpy(path, adapter->path, size + 1);
    *powered = adapter->powered > 0;
}

/* ---- signals ---- */

/* Every user of the bus may send us a signal that claims to be BlueZ'. */
static bool is_from_bluez(const struct bluez *bluez, sd_bus_message *message)
{
    const char *sender = sd_bus_message_get_sender(message);
    return bluez->owner[0] && sender && strcmp(sender, bluez->owner) == 0;
}

static int on_added(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct bluez *bluez = data;
    const char *path;
    if (is_from_bluez(bluez, message) && sd_bus_message_read_basic(message, 'o', &path) > 0)
        tell_interfaces(bluez, message, path, NULL);
    return 0;
}

static int on_removed(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct bluez *bluez = data;
    const char *path;
    if (is_from_bluez(bluez, message) && sd_bus_message_read_basic(message, 'o', &path) > 0)
        bluez->events->gone(bluez->data, path);
    return 0;
}

static int on_changed(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct bluez *bluez = data;
    struct bluez_object object = {.path = sd_bus_message_get_path(message)};
    if (!is_from_bluez(bluez, message) ||
        sd_bus_message_read_basic(message, 's', &object.interface) <= 0)
        return 0;
    read_properties(message, &object);
    bluez->events->object(bluez->data, &object);
    return 0;
}

static int on_owner(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    const char *sender = sd_bus_message_get_sender(message);
    if (sender && strcmp(sender, "org.freedesktop.DBus") == 0)
        bluez_fail(data, "BlueZ was stopped or started");
    return 0;
}

static void match(struct bluez *bluez, const char *rule, sd_bus_message_handler_t handler)
{
    if (sd_bus_add_match_async(bluez->bus, NULL, rule, handler, NULL, bluez) < 0)
        bluez_fail(bluez, "the system bus takes no messages");
}

/* ---- under the loop ---- */

static double monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* what sd-bus counts in */
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* What the bus waits for. Something that failed in a call of ours is looked at from the loop. */
static void arm(struct bluez *bluez)
{
    const int events = sd_bus_get_events(bluez->bus);
    uint64_t due = UINT64_MAX;
    sd_bus_get_timeout(bluez->bus, &due);
    ev_io_stop(bluez->loop, &bluez->ready);
    ev_timer_stop(bluez->loop, &bluez->due);
    if (events >= 0 && !bluez->list.answer) {
        ev_io_set(&bluez->ready, sd_bus_get_fd(bluez->bus),
                  (events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0));
        ev_io_start(bluez->loop, &bluez->ready);
    }
    const bool at_once = bluez->why[0] || events < 0 || bluez->list.answer;
    if (due == UINT64_MAX && !at_once)
        return;
    const double wait_s = at_once ? 0 : (double) due / 1e6 - monotonic_s();
    ev_timer_set(&bluez->due, wait_s > 0 ? wait_s : 0, 0);
    ev_timer_start(bluez->loop, &bluez->due);
}

static void list_on(struct bluez *bluez);

static void process(struct bluez *bluez)
{
    int more = 1;
    for (unsigned n = 0; n < AT_ONCE && more > 0 && !bluez->why[0]; n++)
        if (bluez->list.answer)
            list_on(bluez);
        else
            more = sd_bus_process(bluez->bus, NULL);
    if (more < 0)
        bluez_fail(bluez, BUS_ENDED);
    bluez->events->settled(bluez->data);
    if (bluez->bus && !bluez->why[0]) {
        arm(bluez);
    } else if (bluez->bus) { /* until it is closed */
        ev_io_stop(bluez->loop, &bluez->ready);
        ev_timer_stop(bluez->loop, &bluez->due);
    }
}

static void on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    process(io->data);
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    process(timer->data);
}

/* ---- calls ---- */

static struct bluez_call *begin_call(struct bluez *bluez, bluez_reply *reply)
{
    for (unsigned i = 0; i < BLUEZ_UNDER_WAY; i++)
        if (!bluez->calls[i].reply) {
            bluez->calls[i] = (struct bluez_call){.bluez = bluez, .reply = reply};
            return &bluez->calls[i];
        }
    return NULL;
}

static void end_call(struct bluez_call *call, sd_bus_message *message)
{
    const sd_bus_error *error = sd_bus_message_get_error(message);
    /* What is under way when the bus hangs up ends as if BlueZ had not answered. */
    if (error && sd_bus_is_open(call->bluez->bus) <= 0)
        bluez_fail(call->bluez, BUS_ENDED);
    bluez_reply *reply = call->reply;
    call->reply = NULL;
    struct bluez_error told = {0};
    if (error) {
        told.name = error->name ? error->name : "";
        told.text = error->message && error->message[0] ? error->message : told.name;
    }
    reply(call->bluez->data, error ? &told : NULL);
}

static int on_reply(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    end_call(data, message);
    return 0;
}

/* The next object of the answer. There may be thousands, which takes a while: they have their share of each turn of the loop as
 * messages have, and no message is looked at before their end, as it would be newer. */
static void list_on(struct bluez *bluez)
{
    static const char *const interfaces[] = {BLUEZ_ADAPTER, BLUEZ_DEVICE, BLUEZ_CHARACTERISTIC};
    struct bluez_list *list = &bluez->list;
    const char *path;
    if (sd_bus_message_enter_container(list->answer, 'e', "oa{sa{sv}}") > 0 &&
        sd_bus_message_read_basic(list->answer, 'o', &path) > 0) {
        tell_interfaces(bluez, list->answer, path, interfaces[list->kind]);
        sd_bus_message_exit_container(list->answer);
        return;
    }
    if (++list->kind < sizeof interfaces / sizeof *interfaces) {
        sd_bus_message_rewind(list->answer, true);
        sd_bus_message_enter_container(list->answer, 'a', "{oa{sa{sv}}}");
        return;
    }
    sd_bus_message *answer = list->answer;
    list->answer = NULL;
    end_call(list->call, answer);
    sd_bus_message_unref(answer);
}

static int on_objects(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct bluez_call *call = data;
    struct bluez *bluez = call->bluez;
    const char *sender = sd_bus_message_get_sender(message);
    if (sd_bus_message_is_method_error(message, NULL) || !sender) {
        end_call(call, message);
        return 0;
    }
    snprintf(bluez->owner, sizeof bluez->owner, "%s", sender);
    bluez->list = (struct bluez_list){.answer = sd_bus_message_ref(message), .call = call};
    sd_bus_message_enter_container(message, 'a', "{oa{sa{sv}}}");
    return 0;
}

static sd_bus_message *make_call(struct bluez *bluez, const char *path, const char *interface,
                                 const char *method)
{
    sd_bus_message *message = NULL;
    /* A Bluetooth service that its owner has stopped is not for us to start. */
    if (sd_bus_message_new_method_call(bluez->bus, &message, SERVICE, path, interface, method) <
            0 ||
        sd_bus_message_set_auto_start(message, 0) < 0) {
        sd_bus_message_unref(message);
        return NULL;
    }
    return message;
}

/* Sends a message of make_call that the caller has completed (`good`), and releases it. */
static void send_call(struct bluez *bluez, sd_bus_message *message, bool good, double patience_s,
                      sd_bus_message_handler_t handler, bluez_reply *reply)
{
    struct bluez_call *call = good && message ? begin_call(bluez, reply) : NULL;
    if (!call || sd_bus_call_async(bluez->bus, NULL, message, handler, call,
                                   (uint64_t) (patience_s * 1e6)) < 0) {
        bluez_fail(bluez, "the system bus takes no messages");
        if (call)
            call->reply = NULL;
    }
    sd_bus_message_unref(message);
    arm(bluez);
}

void bluez_call(struct bluez *bluez, const char *path, const char *interface, const char *method,
                double patience_s, bluez_reply *reply)
{
    send_call(bluez, make_call(bluez, path, interface, method), true, patience_s, on_reply, reply);
}

void bluez_list(struct bluez *bluez, bluez_reply *reply)
{
    send_call(bluez, make_call(bluez, "/", MANAGER, "GetManagedObjects"), true, LIST_S, on_objects,
              reply);
}

void bluez_watch(struct bluez *bluez, const char *path, bool below)
{
    char rule[BLUEZ_PATH + 160];
    snprintf(rule, sizeof rule,
             "type='signal',sender='" SERVICE "',interface='" PROPERTIES
             "',member='PropertiesChanged',%s='%s'",
             below ? "path_namespace" : "path", path);
    match(bluez, rule, on_changed);
    arm(bluez);
}

/* "In progress" says that the controller is busy, with the beginning or the end of another program's scan, and that nothing
 * has begun for us. */
static int on_discovering(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct bluez_call *call = data;
    struct bluez_scan *scan = &call->bluez->scan;
    if (!sd_bus_message_is_method_error(message, BLUEZ_IN_PROGRESS) || scan->tries == 0) {
        end_call(call, message);
        return 0;
    }
    scan->tries--;
    call->reply = NULL;
    ev_timer_set(&scan->again, SCAN_AGAIN_S, 0);
    ev_timer_start(call->bluez->loop, &scan->again);
    return 0;
}

static void discover(struct bluez *bluez)
{
    sd_bus_message *filter =
        make_call(bluez, bluez->scan.adapter, BLUEZ_ADAPTER, "SetDiscoveryFilter");
    const bool good = filter &&
                      sd_bus_message_append(filter, "a{sv}", 2, "Transport", "s", "le",
                                            "DuplicateData", "b", 1) >= 0 &&
                      sd_bus_message_set_expect_reply(filter, 0) >= 0 &&
                      sd_bus_send(bluez->bus, filter, NULL) >= 0;
    sd_bus_message_unref(filter);
    if (!good)
        bluez_fail(bluez, "the system bus takes no messages");
    send_call(bluez, make_call(bluez, bluez->scan.adapter, BLUEZ_ADAPTER, "StartDiscovery"), true,
              START_S, on_discovering, bluez->scan.reply);
}

void bluez_discover(struct bluez *bluez, const char *adapter, bluez_reply *reply)
{
    snprintf(bluez->scan.adapter, sizeof bluez->scan.adapter, "%s", adapter);
    bluez->scan.reply = reply;
    bluez->scan.tries = SCAN_TRIES;
    discover(bluez);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    discover(timer->data);
}

void bluez_stop_discovering(struct bluez *bluez, bluez_reply *reply)
{
    bluez_call(bluez, bluez->scan.adapter, BLUEZ_ADAPTER, "StopDiscovery", START_S, reply);
}

void bluez_ping(struct bluez *bluez, bluez_reply *reply)
{
    bluez_call(bluez, "/", "org.freedesktop.DBus.Peer", "Ping", LIST_S, reply);
}

void bluez_write(struct bluez *bluez, const char *path, bool command, const void *bytes,
                 size_t size, bluez_reply *reply)
{
    sd_bus_message *message = make_call(bluez, path, BLUEZ_CHARACTERISTIC, "WriteValue");
    const bool good = message && sd_bus_message_append_array(message, 'y', bytes, size) >= 0 &&
                      sd_bus_message_append(message, "a{sv}", 1, "type", "s",
                                            command ? "command" : "request") >= 0;
    send_call(bluez, message, good, WRITE_S, on_reply, reply);
}

/* A call without a reply. */
static void tell(struct bluez *bluez, sd_bus_message *message, bool good)
{
    if (good && message && sd_bus_message_set_expect_reply(message, 0) >= 0)
        sd_bus_send(bluez->bus, message, NULL);
    sd_bus_message_unref(message);
}

void bluez_disconnect(struct bluez *bluez, const char *device)
{
    tell(bluez, make_call(bluez, device, BLUEZ_DEVICE, "Disconnect"), true);
}

/* An abstract name of a socket belongs to one, and is free again when that one is gone, however it went. */
bool bluez_claim(struct bluez *bluez, const char *device)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *bus = NULL;
    sd_bus_get_address(bluez->bus, &bus);
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "packgate%s %s", strrchr(device, '/'),
             bus ? bus : "");
    bluez->claim = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bluez->claim < 0 ||
           bind(bluez->claim, (const struct sockaddr *) &name, sizeof name) == 0 ||
           errno != EADDRINUSE;
}

void bluez_remove(struct bluez *bluez, const char *adapter, const char *device)
{
    sd_bus_message *message = make_call(bluez, adapter, BLUEZ_ADAPTER, "RemoveDevice");
    tell(bluez, message, message && sd_bus_message_append(message, "o", device) >= 0);
}

/* ---- life ---- */

void bluez_init(struct bluez *bluez, struct ev_loop *loop, const struct bluez_events *events,
                void *data)
{
    *bluez = (struct bluez){.loop = loop, .events = events, .data = data, .claim = -1};
    ev_init(&bluez->scan.again, on_again);
    bluez->scan.again.data = bluez;
    ev_init(&bluez->ready, on_ready);
    ev_init(&bluez->due, on_due);
    bluez->ready.data = bluez->due.data = bluez;
}

bool bluez_open(struct bluez *bluez)
{
    if (sd_bus_open_system(&bluez->bus) < 0) {
        bluez->bus = NULL;
        return false;
    }
    match(bluez,
          "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
          "member='NameOwnerChanged',arg0='" SERVICE "'",
          on_owner);
    match(bluez,
          "type='signal',sender='" SERVICE "',interface='" MANAGER "',member='InterfacesAdded'",
          on_added);
    match(bluez,
          "type='signal',sender='" SERVICE "',interface='" MANAGER "',member='InterfacesRemoved'",
          on_removed);
    arm(bluez);
    return true;
}

void bluez_close(struct bluez *bluez)
{
    ev_io_stop(bluez->loop, &bluez->ready);
    ev_timer_stop(bluez->loop, &bluez->due);
    ev_timer_stop(bluez->loop, &bluez->scan.again);
    bluez->list.answer = sd_bus_message_unref(bluez->list.answer);
    bluez->bus = sd_bus_close_unref(bluez->bus);
    if (bluez->claim >= 0)
        close(bluez->claim);
    bluez->claim = -1;
    bluez->owner[0] = bluez->why[0] = '\0';
    memset(bluez->calls, 0, sizeof bluez->calls);
}
