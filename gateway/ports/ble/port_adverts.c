// SPDX-License-Identifier: MIT
/*
 * Receives Victron's advertisements. BlueZ scans as long as the port is open; each new record is
 * decrypted and passed on as a frame. Records from before the scan, which BlueZ remembers, are
 * ignored. The port counts as open after the first valid record, so that until then the line can
 * report the reason.
 *
 * Radio records are lost, often several in a row, but never delayed. A stalled bus or BlueZ does
 * delay them. So this pings BlueZ each second: messages after a reply were sent after the ping, and
 * only records that are young by this rule are accepted.
 */
#include "ports/port_kind.h"

#include "bluez.h"
#include "turn.h"
#include "victron.h"

#include "base/bluetooth.h"
#include "base/clock.h"
#include "base/timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LOOK_S 12.0
#define HEAR_S 30.0 /* until a first record; they come about once a second */
#define ASK_S 1.0
#define OLD_S 3.0  /* younger is taken */
#define AGREED 3   /* valid records until the key is accepted */
#define ODD_MOST 5 /* in a row that are ignored afterwards: anything can send them */
#define NEAR 100   /* voltages, in 0.01 V */
#define RECORD_TYPE 4
#define BATTERY_MONITOR 2

struct adverts {
    struct port port;
    struct bluetooth_device wanted;
    struct bluez bluez;
    struct turn turn; /* to begin a scan; it does not keep others from theirs */
    ev_timer limit, ask;
    double asked_at, answered_at; /* time of the last ping that was answered */
    bool asking;
    uint8_t key[VICTRON_KEY];
    char device[BLUEZ_PATH]; /* empty: not known yet */
    bool scanning, good;
    uint8_t record[VICTRON_RECORD_MAX]; /* the last one that was its */
    size_t size;
    unsigned agreed, odd; /* odd: others since then */
    int voltage;
    uint8_t first[VICTRON_FRAME_MAX];
    size_t first_size;
};

static void pass_over(struct adverts *adverts, const char *why)
{
    if (!adverts->good || ++adverts->odd == ODD_MOST)
        bluez_fail(&adverts->bluez, why);
}

static void take_record(struct adverts *adverts, const uint8_t *record, size_t size)
{
    uint8_t frame[VICTRON_FRAME_MAX];
    if (size > VICTRON_RECORD_MAX || size < VICTRON_RECORD_LEAST || record[0] != VICTRON_PRODUCT)
        return;
    if (!(clock_now() - adverts->answered_at < OLD_S))
        return; /* its time is unknown */
    if (size == adverts->size && memcmp(record, adverts->record, size) == 0) {
        adverts->odd = 0;
        return; /* repeated, without new values */
    }
    if (!victron_fits(record, size, adverts->key)) {
        pass_over(adverts, "the key in its key_file is not the one of this device");
        return;
    }
    if (record[RECORD_TYPE] != BATTERY_MONITOR) {
        pass_over(adverts, "it is no battery monitor");
        return;
    }
    int voltage;
    const size_t length = victron_decrypt(record, size, adverts->key, frame);
    if (!victron_voltage(frame, length, &voltage)) {
        pass_over(
            adverts,
            "the key in its key_file is not the one of this device, or it measures no voltage");
        return;
    }
    memcpy(adverts->record, record, size);
    adverts->size = size;
    adverts->odd = 0;
    /* A wrong key may begin like the right one. What it makes of the records is noise, which is
     * found out by its unused bits, and as long as the key has not proved to be right by its
     * voltage, which is another one each time. */
    const bool near = abs(voltage - adverts->voltage) <= NEAR;
    adverts->voltage = voltage;
    if (adverts->agreed < AGREED)
        adverts->agreed = near ? adverts->agreed + 1 : 1;
    if (adverts->agreed < AGREED)
        return;
    if (adverts->port.far >= 0 && send(adverts->port.far, frame, length, MSG_NOSIGNAL) < 0)
        return; /* not read: lost, as on a wire */
    if (!adverts->good) {
        memcpy(adverts->first, frame, length);
        adverts->first_size = length;
    }
    adverts->good = length > 0;
}

static void on_object(void *data, const struct bluez_object *object)
{
    struct adverts *adverts = data;
    if (!adverts->scanning || strcmp(object->path, adverts->device) != 0)
        return;
    if (object->signal_dbm != 0)
        adverts->port.signal_dbm = object->signal_dbm;
    if (object->victron)
        take_record(adverts, object->victron, object->victron_size);
}

static void on_settled(void *data)
{
    struct adverts *adverts = data;
    if (bluez_why(&adverts->bluez) && adverts->port.fd >= 0) {
        port_end_pair(&adverts->port);
    } else if (bluez_why(&adverts->bluez)) {
        port_failed(&adverts->port, bluez_why(&adverts->bluez));
    } else if (adverts->good && adverts->port.fd < 0) {
        ev_timer_stop(adverts->port.loop, &adverts->limit);
        if (!port_make_pair(&adverts->port))
            return;
        if (send(adverts->port.far, adverts->first, adverts->first_size, MSG_NOSIGNAL) < 0)
            port_end_pair(&adverts->port);
        port_opened(&adverts->port, adverts->port.fd);
    }
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct adverts *adverts = timer->data;
    bluez_fail(&adverts->bluez, adverts->scanning
                                    ? "it is not heard: too far away, or Instant Readout is "
                                      "switched off in VictronConnect"
                                    : "the system bus (D-Bus) does not answer");
    on_settled(adverts);
}

static void on_scanning(void *data, const struct bluez_error *error)
{
    struct adverts *adverts = data;
    turn_end(&adverts->turn);
    /* Where two programs begin at the same moment BlueZ looks for both, and answers one of them only. */
    if (error && !adverts->good)
        bluez_fail(&adverts->bluez, bluez_explain(error));
}

static void on_answer(void *data, const struct bluez_error *error)
{
    struct adverts *adverts = data;
    adverts->asking = false;
    if (error)
        bluez_fail(&adverts->bluez, bluez_explain(error));
    else
        adverts->answered_at = adverts->asked_at;
}

static void on_ask(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct adverts *adverts = timer->data;
    if (adverts->asking)
        return;
    adverts->asking = true;
    adverts->asked_at = clock_now();
    bluez_ping(&adverts->bluez, on_answer);
}

static void on_turn(void *data)
{
    struct adverts *adverts = data;
    adverts->scanning = true;
    timer_restart(adverts->port.loop, &adverts->limit, HEAR_S);
    ev_timer_set(&adverts->ask, 0, ASK_S);
    ev_timer_start(adverts->port.loop, &adverts->ask);
    bluez_discover(&adverts->bluez, on_scanning);
}

static void on_listed(void *data)
{
    struct adverts *adverts = data;
    snprintf(adverts->device, sizeof adverts->device, "%.100s/dev_%s", adverts->bluez.adapter,
             adverts->wanted.address);
    for (char *c = adverts->device; *c; c++)
        if (*c == ':')
            *c = '_';
    bluez_watch(&adverts->bluez, adverts->device, false);
    ev_timer_stop(adverts->port.loop, &adverts->limit);
    turn_want(&adverts->turn, adverts->bluez.adapter);
}

static const struct bluez_events events = {.object = on_object, .settled = on_settled};

static bool create(struct port *port, const struct port_simulated *simulated)
{
    struct adverts *adverts = (struct adverts *) port;
    if (!bluetooth_parse(port->address, &adverts->wanted))
        return false;
    adverts->answered_at = -INFINITY;
    bluez_init(&adverts->bluez, port->loop, adverts->wanted.adapter, &events, adverts);
    turn_init(&adverts->turn, port->loop, on_turn, adverts);
    ev_init(&adverts->limit, on_limit);
    ev_init(&adverts->ask, on_ask);
    adverts->limit.data = adverts->ask.data = adverts;
    return true;
}

static void destroy(struct port *port)
{
    explicit_bzero(((struct adverts *) port)->key, VICTRON_KEY);
}

static void open_adverts(struct port *port)
{
    struct adverts *adverts = (struct adverts *) port;
    char why[BLUEZ_WHY];
    if (!victron_read_key(adverts->port.settings.key_file, adverts->key, why, sizeof why)) {
        port_failed(&adverts->port, why);
    } else if (!bluez_open(&adverts->bluez)) {
        port_failed(&adverts->port, "the system bus (D-Bus) does not run");
    } else {
        timer_restart(adverts->port.loop, &adverts->limit, LOOK_S);
        bluez_list(&adverts->bluez, on_listed);
    }
}

static void close_adverts(struct port *port)
{
    struct adverts *adverts = (struct adverts *) port;
    ev_timer_stop(adverts->port.loop, &adverts->limit);
    ev_timer_stop(adverts->port.loop, &adverts->ask);
    bluez_close(&adverts->bluez); /* ends the scan as well */
    turn_end(&adverts->turn);
    adverts->device[0] = '\0';
    adverts->scanning = adverts->good = adverts->asking = false;
    adverts->answered_at = -INFINITY;
    adverts->size = 0;
    adverts->agreed = adverts->odd = 0;
}

const struct port_kind port_adverts_kind = {
    .prefix = "ble:",
    .size = sizeof(struct adverts),
    .traits = {.forgets = true, .prompt = true},
    .create = create,
    .destroy = destroy,
    .open = open_adverts,
    .close = close_adverts,
};
