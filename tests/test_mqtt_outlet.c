// SPDX-License-Identifier: MIT
/*
 * The outlet mqtt when something fails: a connection, memory, a response. This file implements the
 * gateway's pipe and the connection to the broker (all of outlet.h and connection.h), so that each
 * can fail on demand.
 */
#include "outlets/outlet.h"
#include "outlets/mqtt/connection.h"
#include "outlets/mqtt/mqtt.h"

#include "base/clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

extern const struct outlet_kind outlet_mqtt;

#define NOTES 16
#define SENT 512
#define ORDERS 40

struct outlet {
    struct pipe_config config;
    struct outlet_pack pack;
    struct pipe_note notes[NOTES];
    bool fresh, over;
    struct {
        void (*done)(void *data, uint64_t ticket, enum order_result result);
        void *data;
        uint64_t ticket;
    } orders[ORDERS];
    unsigned order_count, most_orders;
};

struct ev_loop *outlet_loop(const struct outlet *outlet)
{
    return ev_default_loop(0);
}

const struct pipe_config *outlet_config(const struct outlet *outlet)
{
    return &outlet->config;
}

struct outlet_pack *outlet_pack(struct outlet *outlet, unsigned n)
{
    return n < 1 ? &outlet->pack : NULL;
}

const char *outlet_title(const struct outlet *outlet)
{
    return "mqtt home";
}

bool outlet_fresh(const struct outlet *outlet, const struct outlet_pack *pack, double now)
{
    return outlet->fresh;
}

double outlet_age(const struct outlet_pack *pack, double now)
{
    return 0;
}

bool outlet_hears(const struct outlet *outlet, double now)
{
    return true;
}

bool outlet_order(struct outlet *outlet, const struct outlet_pack *pack,
                  const struct switches *what,
                  void (*done)(void *data, uint64_t ticket, enum order_result result), void *data,
                  uint64_t ticket)
{
    if (outlet->order_count == outlet->most_orders)
        return false;
    outlet->orders[outlet->order_count].done = done;
    outlet->orders[outlet->order_count].data = data;
    outlet->orders[outlet->order_count++].ticket = ticket;
    return true;
}

static struct pipe_note *find_note(const struct outlet *outlet, const char *key)
{
    for (int i = 0; i < NOTES; i++)
        if (strcmp(outlet->notes[i].key, key) == 0)
            return (struct pipe_note *) (uintptr_t) &outlet->notes[i];
    return NULL;
}

const char *outlet_note(const struct outlet *outlet, const char *key)
{
    const struct pipe_note *note = find_note(outlet, key);
    return note ? note->text : NULL;
}

const char *outlet_note_at(const struct outlet *outlet, unsigned n, const char **key)
{
    for (int i = 0; i < NOTES; i++)
        if (outlet->notes[i].key[0] && n-- == 0) {
            *key = outlet->notes[i].key;
            return outlet->notes[i].text;
        }
    return NULL;
}

void outlet_keep(struct outlet *outlet, const char *key, const char *text)
{
    struct pipe_note *note = find_note(outlet, key);
    if (!note)
        note = find_note(outlet, "");
    assert_non_null(note);
    memset(note, 0, sizeof *note);
    if (!text)
        return;
    snprintf(note->key, sizeof note->key, "%s", key);
    snprintf(note->text, sizeof note->text, "%s", text);
}

bool outlet_ask(struct outlet *outlet, const char *what, void (*done)(void *data, const char *text),
                void *data)
{
    return false;
}

void outlet_report(struct outlet *outlet)
{
}

struct outlet_pack *outlet_find(struct outlet *outlet, const char *name, size_t size)
{
    struct outlet_pack *pack = NULL;
    for (unsigned i = 0; (pack = outlet_pack(outlet, i)) && strcmp(pack->source.name, name) != 0;
         i++)
        ;
    return pack;
}

void outlet_over(struct outlet *outlet)
{
    outlet->over = true;
}

static struct connection {
    struct connection_settings settings;
    bool up, no_memory, unconfirmed;
    int mid;
    struct {
        char topic[200], payload[200];
    } sent[SENT];
    unsigned sent_count;
} broker;

struct connection *connection_new(struct ev_loop *loop, const struct connection_settings *settings)
{
    broker = (struct connection){.settings = *settings};
    return &broker;
}

void connection_free(struct connection *connection)
{
}

bool connection_is_up(const struct connection *connection)
{
    return connection->up;
}

unsigned connection_room(const struct connection *connection)
{
    return connection->up ? CONNECTION_QUEUE_MAX : 0;
}

bool connection_publish(struct connection *connection, const char *topic, const void *payload,
                        size_t size, int qos, bool retained, int *mid)
{
    if (!connection->up || connection->no_memory)
        return false;
    assert_true(connection->sent_count < SENT);
    snprintf(connection->sent[connection->sent_count].topic, 200, "%s", topic);
    snprintf(connection->sent[connection->sent_count++].payload, 200, "%.*s", (int) size,
             size ? (const char *) payload : "");
    if (mid)
        *mid = ++connection->mid;
    return true;
}

void connection_drop(struct connection *connection)
{
}

void connection_knock(struct connection *connection)
{
}

void connection_subscribe(struct connection *connection, const char *topic, const char *what)
{
}

struct connection_counters connection_counters(const struct connection *connection)
{
    return (struct connection_counters){.words = "", .queued = connection->unconfirmed};
}

static struct mqtt_config settings;
static struct outlet gateway;
static void *self;

static void start(void)
{
    settings = (struct mqtt_config){.topic = "packgate",
                                    .discovery_prefix = "homeassistant",
                                    .interval_s = 1,
                                    .switching = true};
    gateway.config = (struct pipe_config){.version = "1",
                                          .pack_count = 1,
                                          .section = "home",
                                          .id = "3f9a0c11",
                                          .id_kept = true,
                                          .settings = &settings};
    pack_clear(&gateway.pack.values);
    gateway.pack.last.whole = true;
    gateway.pack.source = (struct source){.name = "shed",
                                          .title = "shed",
                                          .writable = true,
                                          .values = &gateway.pack.values,
                                          .status.pack_name = "shed"};
    self = outlet_mqtt.start(&gateway);
    assert_non_null(self);
}

static void finish(void)
{
    struct mqtt *mqtt = self;
    struct ev_loop *loop = outlet_loop(&gateway);
    ev_timer_stop(loop, &mqtt->flush);
    ev_timer_stop(loop, &mqtt->birth);
    ev_timer_stop(loop, &mqtt->farewell);
    outlet_mqtt.end(mqtt);
    withdraw_free(mqtt);
    free(mqtt->packs);
    free(mqtt->room);
    free(mqtt);
    gateway = (struct outlet){0};
}

/* Runs everything that is due at this moment. */
static void turn(void)
{
    for (int i = 0; i < 3; i++)
        ev_run(outlet_loop(&gateway), EVRUN_NOWAIT);
}

static void change(unsigned changes)
{
    outlet_mqtt.changed(self, &gateway.pack, changes, clock_now());
    turn();
}

static void set_up(bool up)
{
    broker.up = up;
    if (up)
        broker.settings.up(broker.settings.data);
    else
        broker.settings.down(broker.settings.data);
    turn();
}

/* The number of messages on a topic, and the last of them. */
static unsigned count(const char *topic, const char **last)
{
    unsigned found = 0;
    for (unsigned i = 0; i < broker.sent_count; i++)
        if (strcmp(broker.sent[i].topic, topic) == 0) {
            found++;
            if (last)
                *last = broker.sent[i].payload;
        }
    return found;
}

static void set_alarm(bool on)
{
    pack_clear_alarms(&gateway.pack.values);
    pack_alarm(&gateway.pack.values, SOC_LOW, on ? ALARM_WARNING : 0);
}

static void begin_alarm_while_away(void)
{
    start();
    gateway.fresh = true;
    set_alarm(false);
    set_up(true);
    change(SOURCE_PUBLISHED);
    set_up(false);
    set_alarm(true);
    change(SOURCE_PUBLISHED | SOURCE_ALARMS);
}

/* An alarm was reported while the broker was away, and its pack has been silent since: whether the alarm is still
 * active is unknown, so it is published with the next values, not with the connection. */
TEST(alarm_is_fresh_after_reconnect)
{
    const char *last = NULL;
    begin_alarm_while_away();
    gateway.fresh = false;
    change(SOURCE_STATE);
    set_up(true);
    assert_int_equal(count("packgate/shed/event", NULL), 0);
    gateway.fresh = true;
    change(SOURCE_PUBLISHED | SOURCE_STATE);
    assert_int_equal(count("packgate/shed/event", &last), 1);
    assert_non_null(strstr(last, "\"active\":true"));
    finish();
}

/* If the pack is still fresh, the alarm is published once, with the connection. */
TEST(alarm_is_told_at_reconnect)
{
    begin_alarm_while_away();
    set_up(true);
    change(SOURCE_PUBLISHED);
    assert_int_equal(count("packgate/shed/event", NULL), 1);
    finish();
}

/* The end of an alarm of another BMS, which the new one cannot report, is published as soon as that is possible. */
TEST(another_bms_while_away)
{
    const char *last = NULL;
    start();
    gateway.fresh = true;
    set_up(true);
    gateway.pack.source.status.bms = 7;
    set_alarm(true);
    change(SOURCE_PUBLISHED | SOURCE_ALARMS);
    assert_int_equal(count("packgate/shed/event", NULL), 1);
    assert_string_equal(outlet_note(&gateway, "alarms.shed"), "4000 0 7");
    broker.settings.sent(broker.settings.data, broker.mid);
    broker.no_memory = true;
    pack_clear_alarms(&gateway.pack.values);
    gateway.pack.source.status.bms = 8;
    change(SOURCE_PUBLISHED);
    assert_string_equal(outlet_note(&gateway, "alarms.shed"), "4000 0 7");
    broker.no_memory = false;
    change(SOURCE_PUBLISHED);
    assert_int_equal(count("packgate/shed/event", &last), 2);
    assert_non_null(strstr(last, "\"active\":false"));
    /* It was not confirmed, so it is sent again. */
    set_up(false);
    assert_string_equal(outlet_note(&gateway, "alarms.shed"), "4000 0 7");
    set_up(true);
    assert_int_equal(count("packgate/shed/event", NULL), 3);
    broker.settings.sent(broker.settings.data, broker.mid);
    set_up(false);
    assert_null(outlet_note(&gateway, "alarms.shed"));
    finish();
}

/* It was stored by a version that did not store of which BMS it is: it is of this one. */
TEST(alarm_of_a_version_before)
{
    outlet_keep(&gateway, "alarms.shed", "4000 0");
    start();
    gateway.fresh = true;
    set_up(true);
    gateway.pack.source.status.bms = 7;
    change(SOURCE_PUBLISHED);
    assert_string_equal(outlet_note(&gateway, "alarms.shed"), "4000 0 7");
    assert_int_equal(count("packgate/shed/event", NULL), 0);
    gateway.pack.source.status.bms = 8;
    change(SOURCE_PUBLISHED);
    assert_int_equal(count("packgate/shed/event", NULL), 1);
    finish();
}

/* A withdrawal that cannot be sent because memory ran out stays recorded until the broker has confirmed it. */
TEST(withdrawal_without_memory)
{
    const char *topic = "homeassistant/device/packgate_3f9a0c11_gone/config", *last = NULL;
    outlet_keep(&gateway, "topic", "packgate");
    outlet_keep(&gateway, "prefix", "homeassistant");
    outlet_keep(&gateway, "form", "device");
    outlet_keep(&gateway, "pack.gone", "daly 1234 -");
    start();
    broker.no_memory = true;
    set_up(true);
    assert_int_equal(broker.sent_count, 0);
    assert_non_null(outlet_note(&gateway, "pack.gone"));
    broker.no_memory = false;
    broker.unconfirmed = true;
    broker.settings.sent(broker.settings.data, 0);
    turn();
    assert_int_equal(count(topic, &last), 1);
    assert_string_equal(last, "");
    assert_int_equal(count("packgate/gone/status", NULL), 1);
    assert_int_equal(count("packgate/gone/info", NULL), 1);
    assert_non_null(outlet_note(&gateway, "pack.gone"));
    set_up(false);
    assert_non_null(outlet_note(&gateway, "pack.gone"));
    /* After a reconnect it is sent again. */
    set_up(true);
    assert_int_equal(count(topic, NULL), 2);
    broker.unconfirmed = false;
    broker.settings.sent(broker.settings.data, 0);
    turn();
    assert_null(outlet_note(&gateway, "pack.gone"));
    assert_non_null(outlet_note(&gateway, "topic"));
    finish();
}

static const char *announced(double now)
{
    outlet_mqtt.changed(self, &gateway.pack, SOURCE_PUBLISHED, now);
    const char *note = outlet_note(&gateway, "pack.shed");
    assert_non_null(note);
    return strrchr(note, ' ');
}

/* Serial number, model and counts that become known later do not make it another battery, nor does a long failure to
 * read one; another serial number does. */
TEST(identity_is_completed)
{
    const double now = clock_now();
    char all[PIPE_NOTE_SIZE];
    struct pack *values = &gateway.pack.values;
    start();
    gateway.fresh = true;
    set_up(true);
    pack_set(values, VOLTAGE_V, 53);
    pack_set(values, SOC_PERCENT, 50);
    announced(now);
    pack_set_text(values, SERIAL, (const uint8_t *) "A1", 2);
    pack_set_text(values, MODEL, (const uint8_t *) "M", 1);
    pack_set(values, CELL_COUNT, 16);
    pack_set(values, TEMP_COUNT, 4);
    snprintf(all, sizeof all, "%s", announced(now + 1));
    pack_unset(values, SOC_PERCENT);
    assert_string_equal(announced(now + 700), all);
    values->text[SERIAL][0] = '\0';
    assert_string_equal(announced(now + 800), all);
    assert_string_equal(announced(now + 1500), all);
    pack_set_text(values, SERIAL, (const uint8_t *) "B2", 2);
    assert_string_equal(announced(now + 1600), all);
    assert_string_not_equal(announced(now + 2300), all);
    finish();
}

static void order(void)
{
    broker.settings.message(broker.settings.data, "packgate/shed/set/charge_mos", "0", 1, false,
                            clock_now());
}

/* An order that the gateway does not take is answered at once, the others when they are over. */
TEST(orders_are_answered)
{
    const char *topic = "packgate/shed/set/result", *last = NULL;
    start();
    gateway.fresh = true;
    set_up(true);
    gateway.most_orders = 32;
    for (int i = 0; i < 33; i++)
        order();
    assert_int_equal(gateway.order_count, 32);
    assert_int_equal(count(topic, &last), 1);
    assert_non_null(strstr(last, "\"busy\""));
    for (int i = 0; i < 32; i++)
        gateway.orders[i].done(gateway.orders[i].data, gateway.orders[i].ticket, ORDER_UNANSWERED);
    assert_int_equal(count(topic, &last), 33);
    assert_non_null(strstr(last, "\"no answer\""));
    gateway.most_orders = ORDERS;
    order();
    assert_int_equal(gateway.order_count, 33);
    finish();
}
