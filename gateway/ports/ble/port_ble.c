// SPDX-License-Identifier: MIT
/*
 * Bluetooth Low Energy: the serial line of a BMS's Bluetooth module, through BlueZ. Bytes arrive as
 * notifications and are sent as writes; a socket pair makes one descriptor of both. The sheet `ble`
 * describes BlueZ and the modules; `enum step` has the steps of opening.
 *
 * Each port has its own bus connection. It searches for a device before it connects, because JK
 * modules accept only hosts that have just received their advertisements, and because connecting to
 * an absent device blocks the adapter for much longer than a search.
 */
#include "ports/port_kind.h"

#include "bluez.h"
#include "module.h"
#include "turn.h"
#include "victron.h"

#include "base/bluetooth.h"
#include "base/clock.h"
#include "base/timer.h"

#include <math.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEEK_S 12.0    /* modules advertise at least each few seconds */
#define LOOK_S 12.0    /* into BlueZ' memory */
#define CONNECT_S 15.0 /* it was seen a moment ago; BlueZ itself takes longer to give up */
#define RESOLVE_S 15.0 /* reading all services over a bad radio link */
#define SUBSCRIBE_S 10.0
#define LEAVE_S 3.0  /* a link that was given up takes 2 s to end; until then it looks alive */
#define LATE_S 1.0   /* what could not be written for so long would come as an old request */
#define CHUNK_MAX 20 /* what fits into the smallest packet */
#define PENDING_MAX 256
#define UNANSWERED_MOST 2 /* requests, until the other kind of writing is tried */
#define REQUEST_GAP_S 0.2 /* between bytes of two requests, at least */
#define SERVICELESS 3     /* openings without a serial line, before BlueZ' cache is cleared */
#define REPLY_MS 1500
#define LINK_LOST "the Bluetooth connection is lost"

enum step {
    CLOSED,
    LOOKING,  /* requests BlueZ' objects */
    LEAVING,  /* the device is connected, perhaps for a moment only */
    WAITING,  /* for our turn at the adapter */
    SCANNING, /* until it is seen */
    SEEN,     /* the scan is being stopped */
    CONNECTING,
    RESOLVING,   /* BlueZ reads the services */
    EXPLORING,   /* which characteristics has it? */
    SUBSCRIBING, /* to one pair after another */
    OPEN
};

struct ble {
    struct port port;
    struct bluetooth_device wanted;
    struct bluez bluez;
    struct turn turn;
    enum step step;
    ev_io readable;
    ev_timer limit; /* of this step */

    /* Its properties in BlueZ. */
    char device[BLUEZ_PATH]; /* empty: not there */
    char watched[BLUEZ_PATH];
    bool connected, resolved, seen, waited;
    bool scans;   /* BlueZ has said so */
    bool early;   /* the link was lost, or not to be had, before the line was open, */
    bool again;   /* and this is another try */
    bool victron; /* it is advertised as a product of Victron's */
    bool bonded;  /* paired or trusted: what BlueZ keeps of it is its owner's */
    struct module module;
    unsigned pair; /* of the module, that is used or tried */
    char refused[BLUEZ_WHY];

    /* What goes out. */
    uint8_t pending[PENDING_MAX];
    size_t pending_size;
    bool writing;
    bool heard;                   /* something came since it was opened */
    double written_at;            /* last begun */
    unsigned unanswered, in_vain; /* in_vain: times that the kind of writing was changed */

    /* What outlives closing. */
    double left_at;       /* BlueZ was told to disconnect then; -infinity: never */
    unsigned first_pair;  /* to begin with: those before said nothing */
    bool proven;          /* that one has brought something */
    bool other_kind;      /* of writing than the usual one */
    unsigned serviceless; /* times in a row that it had no serial line */
};

static bool is_wanted(const struct ble *ble, const struct bluez_object *object)
{
    const size_t length = strlen(ble->bluez.adapter);
    if (length == 0 || strncmp(object->path, ble->bluez.adapter, length) != 0 ||
        object->path[length] != '/')
        return false;
    if (ble->wanted.address[0])
        return object->address && strcasecmp(object->address, ble->wanted.address) == 0;
    return object->name && strcmp(object->name, ble->wanted.name) == 0;
}

/* Links fail most often while they are made. */
static void lose_link(struct ble *ble, const char *why)
{
    ble->early = ble->step < OPEN;
    bluez_fail(&ble->bluez, why);
}

static void note_device(struct ble *ble, const struct bluez_object *object)
{
    if (!ble->device[0] && is_wanted(ble, object) && strlen(object->path) < sizeof ble->device) {
        strcpy(ble->device, object->path);
        if (strcmp(ble->watched, ble->device) != 0) /* else everything would arrive twice */
            bluez_watch(&ble->bluez, ble->device, true);
        memcpy(ble->watched, ble->device, sizeof ble->watched);
    }
    if (strcmp(object->path, ble->device) != 0)
        return;
    if (object->connected == 0 && ble->connected && ble->step == RESOLVING)
        lose_link(ble, LINK_LOST);
    if (object->connected >= 0)
        ble->connected = object->connected;
    if (object->resolved >= 0)
        ble->resolved = object->resolved;
    ble->victron |=
        object->victron_size > 0 && *(const uint8_t *) object->victron == VICTRON_PRODUCT;
    ble->bonded |= object->paired > 0 || object->trusted > 0;
    if (object->signal_dbm != 0)
        ble->port.signal_dbm = object->signal_dbm;
    ble->seen |= object->heard && ble->step == SCANNING; /* what a list has may be of long ago */
}

static void receive(struct ble *ble, const struct bluez_object *object)
{
    if (ble->step != OPEN || !object->value || object->size == 0 ||
        strcmp(object->path, ble->module.pairs[ble->pair].receive) != 0)
        return;
    ble->heard = ble->proven = true;
    ble->first_pair = ble->pair;
    ble->unanswered = 0;
    if (ble->port.far >= 0 &&
        send(ble->port.far, object->value, object->size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* not read: lost, as on a wire */
}

static void on_object(void *data, const struct bluez_object *object)
{
    struct ble *ble = data;
    if (strcmp(object->interface, BLUEZ_DEVICE) == 0) {
        note_device(ble, object);
    } else if (strcmp(object->interface, BLUEZ_CHARACTERISTIC) == 0 && ble->device[0] &&
               strncmp(object->path, ble->device, strlen(ble->device)) == 0) {
        module_note(&ble->module, object);
        receive(ble, object);
    }
}

static void on_gone(void *data, const char *path)
{
    struct ble *ble = data;
    if (!ble->device[0] || strcmp(path, ble->device) != 0)
        return;
    if (ble->step > SCANNING)
        bluez_fail(&ble->bluez, "BlueZ has forgotten the device");
    else
        ble->device[0] = '\0';
}

static void go(struct ble *ble, enum step step, double limit_s)
{
    ble->step = step;
    if (limit_s > 0)
        timer_restart(ble->port.loop, &ble->limit, limit_s);
    else
        ev_timer_stop(ble->port.loop, &ble->limit);
}

static void on_connected(void *data, const struct bluez_error *error)
{
    struct ble *ble = data;
    if (error) {
        char why[BLUEZ_WHY];
        snprintf(why, sizeof why, "it does not let us connect: %s", bluez_explain(error));
        lose_link(ble, why);
    } else if (ble->step == CONNECTING) {
        go(ble, RESOLVING, RESOLVE_S);
    }
}

static void connect_device(struct ble *ble)
{
    if (ble->victron) {
        bluez_fail(&ble->bluez, "it is a Victron device, which is heard and not connected to: "
                                "protocol victron-ble, and a key_file");
        return;
    }
    if (!bluez_claim(&ble->bluez, ble->device)) {
        bluez_fail(&ble->bluez, "another packgate of this host uses it");
        return;
    }
    go(ble, CONNECTING, CONNECT_S);
    ble->resolved &= ble->connected;
    bluez_call(&ble->bluez, ble->device, BLUEZ_DEVICE, "Connect", 2 * CONNECT_S, on_connected);
}

static void on_scanning(void *data, const struct bluez_error *error)
{
    struct ble *ble = data;
    /* Where two programs begin at the same moment BlueZ looks for both, and answers one of them only. */
    if (error && !ble->seen)
        bluez_fail(&ble->bluez, bluez_explain(error));
    ble->scans = true;
}

static void on_scan_stopped(void *data, const struct bluez_error *error)
{
    struct ble *ble = data;
    /* Other errors mean that no scan was running, which is fine. But BlueZ never ends a scan whose
     * start it has not confirmed, until the connection that requested it is closed. */
    if (error && strcmp(error->name, BLUEZ_IN_PROGRESS) == 0)
        bluez_fail(&ble->bluez, "BlueZ is busy with the scan of another program");
    else if (ble->step == SEEN)
        connect_device(ble);
}

static void on_turn(void *data)
{
    struct ble *ble = data;
    if (ble->step != WAITING)
        return;
    if (ble->connected) { /* it does not advertise */
        connect_device(ble);
        return;
    }
    go(ble, SCANNING, SEEK_S);
    bluez_discover(&ble->bluez, on_scanning);
}

static void on_listed(void *data)
{
    struct ble *ble = data;
    const double ending_s = ble->left_at + LEAVE_S - clock_now();
    if (ending_s > 0 || (ble->connected && !ble->waited)) {
        ble->waited = true;
        go(ble, LEAVING, ending_s > 0 ? ending_s : LEAVE_S);
    } else {
        go(ble, WAITING, 0);
        turn_want(&ble->turn, ble->bluez.adapter);
    }
}

static void look(struct ble *ble)
{
    go(ble, LOOKING, LOOK_S);
    ble->connected = ble->resolved = ble->seen = ble->scans = false;
    bluez_list(&ble->bluez, on_listed);
}

static void subscribe(struct ble *ble);

static void on_subscribed(void *data, const struct bluez_error *error)
{
    struct ble *ble = data;
    if (ble->step != SUBSCRIBING)
        return;
    if (!error) {
        go(ble, OPEN, 0);
        return;
    }
    snprintf(ble->refused, sizeof ble->refused, "it refuses to notify: %s", error->text);
    ble->pair++;
    subscribe(ble);
}

static void subscribe(struct ble *ble)
{
    ble->pair = module_next(&ble->module, ble->pair);
    if (ble->pair == MODULE_PAIRS && ble->first_pair > 0) {
        ble->first_pair = 0;
        ble->pair = module_next(&ble->module, 0);
    }
    if (ble->pair == MODULE_PAIRS) {
        /* Once its firmware has changed, BlueZ may remember services that a device no longer has, or none. What
         * was paired is left alone: its owner would have to pair it again. */
        if (++ble->serviceless >= SERVICELESS && !ble->bonded) {
            bluez_remove(&ble->bluez, ble->device);
            ble->serviceless = 0;
        }
        bluez_fail(&ble->bluez,
                   ble->refused[0]
                       ? ble->refused
                       : "it has none of the serial lines that are known (if it was paired: "
                         "bluetoothctl remove, then pair it again)");
        return;
    }
    go(ble, SUBSCRIBING, SUBSCRIBE_S);
    bluez_call(&ble->bluez, ble->module.pairs[ble->pair].receive, BLUEZ_CHARACTERISTIC,
               "StartNotify", 2 * SUBSCRIBE_S, on_subscribed);
}

static void on_explored(void *data)
{
    struct ble *ble = data;
    ble->pair = ble->first_pair;
    subscribe(ble);
}

/* What was waited for may have come. */
static void go_on(struct ble *ble)
{
    if (ble->step == SCANNING && ble->scans && ble->seen && ble->device[0]) {
        go(ble, SEEN, 0);
        bluez_stop_discovering(&ble->bluez, on_scan_stopped);
    } else if (ble->step == RESOLVING && ble->resolved) {
        go(ble, EXPLORING, LOOK_S);
        memset(&ble->module, 0, sizeof ble->module);
        bluez_list(&ble->bluez, on_explored);
    } else if (ble->step > RESOLVING && !ble->connected) {
        lose_link(ble, LINK_LOST);
    }
}

/* The line sees the end, and closes. */
static void end_line(struct ble *ble)
{
    ev_io_stop(ble->port.loop, &ble->readable);
    port_end_pair(&ble->port);
}

static void open_ble(struct port *port)
{
    struct ble *ble = (struct ble *) port;
    if (bluez_open(&ble->bluez))
        look(ble);
    else
        port_failed(&ble->port, "the system bus (D-Bus) does not run");
}

/* BlueZ would keep the link, and the device would stay away from everybody else. */
static void close_ble(struct port *port)
{
    struct ble *ble = (struct ble *) port;
    ev_timer_stop(ble->port.loop, &ble->limit);
    if (ble->bluez.bus && ble->step >= CONNECTING && ble->device[0]) {
        bluez_disconnect(&ble->bluez, ble->device);
        ble->left_at = clock_now();
    }
    if (ble->step == OPEN && !ble->proven && ble->unanswered > 0)
        ble->first_pair = ble->pair + 1;
    bluez_close(&ble->bluez);
    turn_end(&ble->turn);
    end_line(ble);
    ble->step = CLOSED;
    ble->device[0] = ble->watched[0] = ble->refused[0] = '\0';
    ble->early = ble->again = false;
    ble->waited = ble->bonded = ble->writing = ble->heard = ble->victron = false;
    ble->pending_size = 0;
    ble->unanswered = ble->in_vain = 0;
}

static void on_settled(void *data)
{
    struct ble *ble = data;
    if (!bluez_why(&ble->bluez))
        go_on(ble);
    if (bluez_why(&ble->bluez) && ble->port.fd >= 0) {
        end_line(ble);
    } else if (bluez_why(&ble->bluez) && ble->early && !ble->again) {
        /* Once, before this is reported; other lines get the adapter in between. */
        close_ble(&ble->port);
        ble->again = true;
        open_ble(&ble->port);
    } else if (bluez_why(&ble->bluez)) {
        port_failed(&ble->port, bluez_why(&ble->bluez));
    } else if (ble->step == OPEN && ble->port.fd < 0) {
        turn_end(&ble->turn);
        ble->serviceless = 0;
        if (!port_make_pair(&ble->port))
            return;
        ev_io_set(&ble->readable, ble->port.far, EV_READ);
        ev_io_start(ble->port.loop, &ble->readable);
        port_opened(&ble->port, ble->port.fd);
    }
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct ble *ble = timer->data;
    if (ble->step == LEAVING) {
        look(ble);
        return;
    }
    bluez_fail(&ble->bluez,
               ble->step == SCANNING
                   ? "it is not in reach: asleep, too far away, or its app is connected to it"
               : ble->step == LOOKING    ? "the system bus (D-Bus) does not answer"
               : ble->step == CONNECTING ? "it does not let us connect"
                                         : "it does not complete the connection");
    on_settled(ble);
}

static void write_on(struct ble *ble);

static void on_written(void *data, const struct bluez_error *error)
{
    struct ble *ble = data;
    ble->writing = false;
    /* In progress: another program writes just now. This request is lost, the next one may not be. */
    if (error && strcmp(error->name, BLUEZ_IN_PROGRESS) == 0) {
        ble->pending_size = 0;
    } else if (error) {
        /* Perhaps it takes the other kind only, whatever it says of itself. */
        ble->other_kind ^= ble->connected && !ble->heard;
        bluez_fail(&ble->bluez, bluez_explain(error));
    } else if (ble->step == OPEN) {
        write_on(ble);
    }
}

static void write_on(struct ble *ble)
{
    if (ble->writing || ble->pending_size == 0)
        return;
    const struct module_pair *pair = &ble->module.pairs[ble->pair];
    const size_t size = ble->pending_size < CHUNK_MAX ? ble->pending_size : CHUNK_MAX;
    const bool command = pair->flags & BLUEZ_WRITE_COMMAND;
    /* Most devices take both; a few take one and do nothing. */
    const bool both = command && pair->flags & BLUEZ_WRITE;
    ble->writing = true; /* one at a time: BlueZ refuses a second */
    ble->written_at = clock_now();
    bluez_write(&ble->bluez, pair->send, both ? !ble->other_kind : command, ble->pending, size,
                on_written);
    ble->pending_size -= size;
    memmove(ble->pending, ble->pending + size, ble->pending_size);
}

static void note_request(struct ble *ble, double now)
{
    if (now - ble->written_at < REQUEST_GAP_S)
        return;
    if (ble->unanswered++ < UNANSWERED_MOST)
        return;
    ble->unanswered = 1;
    ble->other_kind = !ble->other_kind;
    ble->in_vain++;
    const bool other_pair = module_next(&ble->module, 0) != ble->pair ||
                            module_next(&ble->module, ble->pair + 1) < MODULE_PAIRS;
    if (!ble->proven && ble->in_vain == 2 && other_pair) {
        bluez_fail(&ble->bluez, "nothing comes on this serial line of the module");
        on_settled(ble);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct ble *ble = io->data;
    uint8_t bytes[PENDING_MAX];
    const double now = clock_now();
    const ssize_t size = read(ble->port.far, bytes, sizeof bytes);
    if (size <= 0)
        return;
    note_request(ble, now);
    if (bluez_why(&ble->bluez))
        return;
    /* A bus or a radio that stands still would deliver old requests in a heap. */
    const bool stuck = ble->writing && now - ble->written_at > LATE_S;
    if (stuck || (size_t) size > sizeof ble->pending - ble->pending_size) {
        ble->pending_size = 0;
        return;
    }
    memcpy(ble->pending + ble->pending_size, bytes, (size_t) size);
    ble->pending_size += (size_t) size;
    write_on(ble);
}

static const struct bluez_events events = {
    .object = on_object, .gone = on_gone, .settled = on_settled};

static bool create(struct port *port, const struct port_simulated *simulated)
{
    struct ble *ble = (struct ble *) port;
    if (!bluetooth_parse(port->address, &ble->wanted))
        return false;
    ble->left_at = ble->written_at = -INFINITY;
    bluez_init(&ble->bluez, port->loop, ble->wanted.adapter, &events, ble);
    turn_init(&ble->turn, port->loop, on_turn, ble);
    ev_init(&ble->readable, on_readable);
    ev_init(&ble->limit, on_limit);
    ble->readable.data = ble->limit.data = ble;
    return true;
}

const struct port_kind port_ble_kind = {
    .prefix = "ble:",
    .size = sizeof(struct ble),
    .traits.least_reply_ms = REPLY_MS,
    .create = create,
    .open = open_ble,
    .close = close_ble,
};
