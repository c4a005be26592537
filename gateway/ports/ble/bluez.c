// SPDX-License-Identifier: MIT
#include "bluez.h"

#include "base/timer.h"
#include "bms/count.h"

#include <errno.h>
#include <math.h>
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
#define NO_MESSAGES "the system bus takes no messages"
#define BUS_ENDED "the system bus (D-Bus) ended the connection"
#define SCAN_TRIES 10
#define SCAN_AGAIN_S 1.0
#define SIGNAL_UNKNOWN 127 /* as controllers report it */

/* A word of a list, or how it begins, and the bit that stands for it. */
struct word {
    const char *begins;
    unsigned bit;
};

static unsigned read_words(sd_bus_message *message, const struct word *words, size_t count)
{
    const char *text;
    unsigned bits = 0;
    sd_bus_message_enter_container(message, 'a', "s");
    while (sd_bus_message_read_basic(message, 's', &text) > 0) {
        size_t i = 0;
        while (i < count && strncasecmp(text, words[i].begins, strlen(words[i].begins)) != 0)
            i++;
        bits |= i < count ? words[i].bit : 0;
    }
    sd_bus_message_exit_container(message);
    return bits;
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

/* Properties that are copied as they are: texts and truths. */
static const struct property {
    const char *name;
    char type;
    size_t offset;
} properties[] = {
    {"Address", 's', offsetof(struct bluez_object, address)},
    {"Alias", 's', offsetof(struct bluez_object, name)},
    {"UUID", 's', offsetof(struct bluez_object, uuid)},
    {"Connected", 'b', offsetof(struct bluez_object, connected)},
    {"ServicesResolved", 'b', offsetof(struct bluez_object, resolved)},
    {"Powered", 'b', offsetof(struct bluez_object, powered)},
    {"Paired", 'b', offsetof(struct bluez_object, paired)},
    {"Trusted", 'b', offsetof(struct bluez_object, trusted)},
};

static void read_value(sd_bus_message *message, const char *name, const char *type,
                       struct bluez_object *object)
{
    static const struct word flags[] = {{"write-without-response", BLUEZ_WRITE_COMMAND},
                                        {"write", BLUEZ_WRITE},
                                        {"notify", BLUEZ_NOTIFY},
                                        {"indicate", BLUEZ_NOTIFY}};
    static const struct word services[] = {{"0000fff0-", BLUEZ_SERVICE_FFF0},
                                           {"0000ff00-", BLUEZ_SERVICE_FF00},
                                           {"0000ffe0-", BLUEZ_SERVICE_FFE0}};
    for (size_t i = 0; i < COUNT(properties); i++)
        if (strcmp(name, properties[i].name) == 0 && type[0] == properties[i].type && !type[1]) {
            sd_bus_message_read_basic(message, type[0], (char *) object + properties[i].offset);
            return;
        }
    int16_t number = 0;
    if (strcmp(name, "RSSI") == 0 && strcmp(type, "n") == 0) {
        sd_bus_message_read_basic(message, 'n', &number);
        object->heard = true;
        object->signal_dbm = number == SIGNAL_UNKNOWN ? 0 : number;
    } else if (strcmp(name, "Flags") == 0 && strcmp(type, "as") == 0) {
        object->flags = read_words(message, flags, COUNT(flags));
    } else if (strcmp(name, "UUIDs") == 0 && strcmp(type, "as") == 0) {
        object->services = read_words(message, services, COUNT(services));
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
            bluez_report(bluez, &object);
        } else {
            sd_bus_message_skip(message, "a{sv}");
        }
        sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
}

/* Every user of the bus may send us a signal that claims to be BlueZ'. */
static int on_signal(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct bluez *bluez = data;
    struct bluez_object object = {.path = sd_bus_message_get_path(message)};
    const char *sender = sd_bus_message_get_sender(message), *path;
    if (!bluez->owner[0] || !sender || strcmp(sender, bluez->owner) != 0)
        return 0;
    if (sd_bus_message_read_basic(message, 's', &object.interface) > 0) {
        read_properties(message, &object);
        bluez_report(bluez, &object);
    } else if (sd_bus_message_read_basic(message, 'o', &path) > 0) {
        if (sd_bus_message_is_signal(message, MANAGER, "InterfacesAdded"))
            tell_interfaces(bluez, message, path, NULL);
        else
            bluez_report_gone(bluez, path);
    }
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
        bluez_fail(bluez, NO_MESSAGES);
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
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* what sd-bus counts in */
    const double wait_s = (double) due / 1e6 - ((double) now.tv_sec + (double) now.tv_nsec / 1e9);
    timer_restart(bluez->loop, &bluez->due, at_once ? 0 : fmax(wait_s, 0));
}

static void end_call(struct bluez_call *call, sd_bus_message *message)
{
    struct bluez *bluez = call->bluez;
    const sd_bus_error *error = sd_bus_message_get_error(message);
    /* What is under way when the bus hangs up ends as if BlueZ had not answered. */
    if (error && sd_bus_is_open(bluez->bus) <= 0)
        bluez_fail(bluez, BUS_ENDED);
    const struct bluez_call over = *call;
    *call = (struct bluez_call){0};
    struct bluez_error told = {0};
    if (error) {
        told.name = error->name ? error->name : "";
        told.text = error->message && error->message[0] ? error->message : told.name;
    }
    if (over.listed)
        bluez_end_list(bluez, error ? &told : NULL, over.listed);
    else
        over.reply(bluez->data, error ? &told : NULL);
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
    if (++list->kind < COUNT(interfaces)) {
        sd_bus_message_rewind(list->answer, true);
        sd_bus_message_enter_container(list->answer, 'a', "{oa{sa{sv}}}");
        return;
    }
    sd_bus_message *answer = list->answer;
    list->answer = NULL;
    end_call(list->call, answer);
    sd_bus_message_unref(answer);
}

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
                      sd_bus_message_handler_t handler, struct bluez_call call)
{
    unsigned n = 0;
    while (n < BLUEZ_UNDER_WAY && bluez->calls[n].bluez)
        n++;
    if (good && message && n < BLUEZ_UNDER_WAY &&
        sd_bus_call_async(bluez->bus, NULL, message, handler, &bluez->calls[n],
                          (uint64_t) (patience_s * 1e6)) >= 0) {
        bluez->calls[n] = call;
        bluez->calls[n].bluez = bluez;
    } else {
        bluez_fail(bluez, NO_MESSAGES);
    }
    sd_bus_message_unref(message);
    arm(bluez);
}

/* A call without a reply. */
static bool tell(struct bluez *bluez, sd_bus_message *message, bool good)
{
    const bool sent = good && message && sd_bus_message_set_expect_reply(message, 0) >= 0 &&
                      sd_bus_send(bluez->bus, message, NULL) >= 0;
    sd_bus_message_unref(message);
    return sent;
}

void bluez_call(struct bluez *bluez, const char *path, const char *interface, const char *method,
                double patience_s, bluez_reply *reply)
{
    send_call(bluez, make_call(bluez, path, interface, method), true, patience_s, on_reply,
              (struct bluez_call){.reply = reply});
}

void bluez_list(struct bluez *bluez, bluez_listed *listed)
{
    send_call(bluez, make_call(bluez, "/", MANAGER, "GetManagedObjects"), true, LIST_S, on_objects,
              (struct bluez_call){.listed = listed});
}

void bluez_watch(struct bluez *bluez, const char *path, bool below)
{
    char rule[BLUEZ_PATH + 160];
    snprintf(rule, sizeof rule,
             "type='signal',sender='" SERVICE "',interface='" PROPERTIES
             "',member='PropertiesChanged',%s='%s'",
             below ? "path_namespace" : "path", path);
    match(bluez, rule, on_signal);
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
    timer_restart(call->bluez->loop, &scan->again, SCAN_AGAIN_S);
    *call = (struct bluez_call){0};
    return 0;
}

static void discover(struct bluez *bluez)
{
    sd_bus_message *filter = make_call(bluez, bluez->adapter, BLUEZ_ADAPTER, "SetDiscoveryFilter");
    const bool good = filter && sd_bus_message_append(filter, "a{sv}", 2, "Transport", "s", "le",
                                                      "DuplicateData", "b", 1) >= 0;
    if (!tell(bluez, filter, good))
        bluez_fail(bluez, NO_MESSAGES);
    send_call(bluez, make_call(bluez, bluez->adapter, BLUEZ_ADAPTER, "StartDiscovery"), true,
              START_S, on_discovering, (struct bluez_call){.reply = bluez->scan.reply});
}

void bluez_discover(struct bluez *bluez, bluez_reply *reply)
{
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
    bluez_call(bluez, bluez->adapter, BLUEZ_ADAPTER, "StopDiscovery", START_S, reply);
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
    send_call(bluez, message, good, WRITE_S, on_reply, (struct bluez_call){.reply = reply});
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

void bluez_remove(struct bluez *bluez, const char *device)
{
    sd_bus_message *message = make_call(bluez, bluez->adapter, BLUEZ_ADAPTER, "RemoveDevice");
    tell(bluez, message, message && sd_bus_message_append(message, "o", device) >= 0);
}

void bluez_init(struct bluez *bluez, struct ev_loop *loop, const char *adapter,
                const struct bluez_events *events, void *data)
{
    *bluez = (struct bluez){.loop = loop, .events = events, .data = data, .claim = -1};
    snprintf(bluez->wanted, sizeof bluez->wanted, "%s", adapter);
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
    match(bluez, "type='signal',sender='" SERVICE "',interface='" MANAGER "'", on_signal);
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
    bluez->owner[0] = bluez->why[0] = bluez->adapter[0] = '\0';
    bluez->chosen = bluez->powered = false;
    memset(bluez->calls, 0, sizeof bluez->calls);
}
