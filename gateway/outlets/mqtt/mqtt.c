// SPDX-License-Identifier: MIT
/*
 * The outlet `mqtt`: its connection to the broker, messages from the broker, start and end.
 *
 * Nothing is queued except as bits of a pack that say what is to be sent. A message is composed
 * when the broker accepts one, from the values of that moment. A slow broker therefore gets fewer
 * messages but never old values, and after a lost connection everything is simply sent again.
 */
#include "mqtt.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BIRTH_MIN_S 1.0 /* delay after Home Assistant's birth message */
#define BIRTH_SPREAD_S 4.0
#define MEMORY_MAX (256 * 1024 * 1024) /* enough for the largest MQTT message */

struct mqtt_pack *mqtt_find_pack(struct mqtt *mqtt, const char *name)
{
    const struct outlet_pack *pack = outlet_find(mqtt->outlet, name, strlen(name));
    return pack ? &mqtt->packs[pack->index] : NULL;
}

static void on_changed(void *self, struct outlet_pack *known, unsigned changes, double now)
{
    struct mqtt *mqtt = self;
    struct mqtt_pack *pack = &mqtt->packs[known->index];
    const struct source *source = &known->source;
    bool fresh = outlet_fresh(mqtt->outlet, pack->pack, now);
    if (fresh && pack->pack->last.whole && !mqtt->ending) {
        if (!mqtt_is_device(mqtt))
            learn_values(mqtt, pack, now);
        alarms_tell(mqtt, pack, now);
        const struct pack *values = source->values, *sent = &pack->sent;
        const struct map_allowed *allowed = &source->status.allowed, *before = &pack->sent_allowed;
        const bool differs = memcmp(values->value, sent->value, sizeof sent->value) != 0 ||
                             values->alarms_known != sent->alarms_known ||
                             values->alarms_warning != sent->alarms_warning ||
                             values->alarms_protection != sent->alarms_protection;
        const bool fallen = allowed->charge_current_a < before->charge_current_a ||
                            allowed->discharge_current_a < before->discharge_current_a ||
                            allowed->charge_voltage_v < before->charge_voltage_v ||
                            isnan(allowed->charge_voltage_v) > isnan(before->charge_voltage_v);
        /* Lower limits, results of orders and alarms are sent at once. */
        pack->changed |= (mqtt->config->on_change && differs) || (allowed->configured && fallen) ||
                         changes & (SOURCE_SWITCHES | SOURCE_ALARMS);
    }
    /* What the gateway has long known is new to a restarted outlet. */
    if (!mqtt_is_device(mqtt))
        pack->todo |= changes & SOURCE_IDENTITY ? INFO | ANNOUNCE : pack->heard ? 0 : INFO;
    pack->heard = true;
    send_soon(mqtt);
}

/* A message on our own status topic that we have not sent is from another gateway, whose end is not ours. */
static void hear_status(struct mqtt *mqtt, bool online)
{
    if (mqtt->echoes[online] > 0) {
        mqtt->echoes[online]--;
        return;
    }
    if (!mqtt->shared_told)
        log_warn(
            "%s: another gateway publishes below '%s' at this broker: give each its own topic, "
            "such as %s-%%h",
            mqtt->name, mqtt->place.topic, mqtt->place.topic);
    mqtt->shared_told = true;
    /* Two gateways that answered each other's "online" would do so for ever. */
    if (online)
        return;
    mqtt->gateway.todo |= STATUS;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        mqtt->packs[i].todo |= STATUS;
    send_soon(mqtt);
}

static void on_message(void *data, const char *topic, const void *payload, size_t size,
                       bool retained, double since)
{
    struct mqtt *mqtt = data;
    char birth[TOPIC_SIZE];
    const bool online = size == strlen("online") && memcmp(payload, "online", size) == 0;
    topic_of(mqtt->place.prefix, NULL, "status", birth);
    if (mqtt->ending)
        return;
    if (!mqtt_is_device(mqtt) && strcmp(topic, mqtt->will_topic) == 0) {
        if (!retained && size > 0)
            hear_status(mqtt, online);
    } else if (mqtt_announces(mqtt) && strcmp(topic, birth) == 0) {
        /* Retained ones are ignored: they are as old as our own announcements. */
        if (online && !retained && !ev_is_active(&mqtt->birth))
            timer_restart(outlet_loop(mqtt->outlet), &mqtt->birth,
                          BIRTH_MIN_S + BIRTH_SPREAD_S * (double) random() / (double) RAND_MAX);
    } else if (mqtt->config->switching) {
        orders_take(mqtt, topic, payload, size, retained, since);
    }
}

static void do_everything(struct mqtt *mqtt)
{
    mqtt->gateway.todo = mqtt_is_device(mqtt) ? 0 : ANNOUNCE | STATUS | INFO;
    mqtt->gateway.row = 0;
    for (unsigned i = 0; i < mqtt->pack_count; i++) {
        struct mqtt_pack *pack = &mqtt->packs[i];
        pack->todo = mqtt_is_device(mqtt) ? 0 : ANNOUNCE | STATUS | (pack->heard ? INFO : 0);
        pack->row = 0;
        pack->due = 0;
    }
    send_soon(mqtt);
}

static void on_birth(struct ev_loop *loop, ev_timer *timer, int revents)
{
    do_everything(timer->data);
}

static void on_up(void *data)
{
    static const char *const of_device[] = {"CMS", "DMS"};
    struct mqtt *mqtt = data;
    char topic[TOPIC_SIZE];
    const bool device = mqtt_is_device(mqtt);
    double now = clock_now();
    withdraw_again(mqtt);
    if (mqtt->ending)
        return;
    memset(mqtt->echoes, 0, sizeof mqtt->echoes);
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        mqtt->packs[i].offline_kept = false;
    for (int i = 0; mqtt->config->switching && i < (device ? 2 : 1); i++)
        connection_subscribe(mqtt->connection,
                             device ? topic_of(mqtt->place.topic, NULL, of_device[i], topic)
                                    : topic_of(mqtt->place.topic, "+", "set/+", topic),
                             "orders");
    if (!device)
        connection_subscribe(mqtt->connection, mqtt->will_topic, "gateways with the same topic");
    if (mqtt_announces(mqtt))
        connection_subscribe(mqtt->connection, topic_of(mqtt->place.prefix, NULL, "status", topic),
                             "the start of Home Assistant");
    do_everything(mqtt);
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (outlet_fresh(mqtt->outlet, mqtt->packs[i].pack, now))
            alarms_tell(mqtt, &mqtt->packs[i], now);
    mqtt->retained_told = mqtt->foreign_told = mqtt->forbidden_told = mqtt->stale_told = false;
}

static void on_down(void *data)
{
    struct mqtt *mqtt = data;
    alarms_undo(mqtt);
    mqtt->answered_at = -INFINITY;
    if (mqtt->ending && mqtt->withdrawals.count == 0)
        outlet_over(mqtt->outlet);
}

static void on_sent(void *data, int mid)
{
    struct mqtt *mqtt = data;
    alarms_confirmed(mqtt, mid);
    send_soon(mqtt);
}

/* Values are composed in the next turn of the loop, in which the library also sends them. */
static void on_answered(void *data)
{
    struct mqtt *mqtt = data;
    mqtt->answered_at = clock_now();
    send_soon(mqtt);
}

/* Sends the last messages until all have left. */
static void on_farewell(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct mqtt *mqtt = timer->data;
    bool left = mqtt->withdrawals.count == 0 && !mqtt->gateway.todo;
    send_now(mqtt, clock_now());
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        left &= mqtt->packs[i].todo == 0;
    /* Withdrawals wait for the broker for as long as permitted. */
    if ((!connection_is_up(mqtt->connection) && mqtt->withdrawals.count == 0) ||
        (left && connection_counters(mqtt->connection).queued == 0))
        outlet_over(mqtt->outlet);
}

static void stop_mqtt(void *self, bool gone)
{
    struct mqtt *mqtt = self;
    mqtt->ending = true;
    ev_timer_stop(outlet_loop(mqtt->outlet), &mqtt->birth);
    mqtt->gateway.todo = gone || mqtt_is_device(mqtt) ? 0 : STATUS | INFO;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        mqtt->packs[i].todo = mqtt->config->layout == LAYOUT_VENUS ? STATE
                              : gone                               ? 0
                              : mqtt_is_device(mqtt)               ? STATE
                                                                   : STATUS;
    withdraw_free(mqtt);
    if (gone && !mqtt_is_device(mqtt))
        withdraw_noted(mqtt, true);
    ev_timer_set(&mqtt->farewell, 0, 0.02);
    ev_timer_start(outlet_loop(mqtt->outlet), &mqtt->farewell);
}

static void end_mqtt(void *self)
{
    struct mqtt *mqtt = self;
    if (mqtt->ending && mqtt->withdrawals.count > 0)
        log_warn("%s: the broker cannot be reached: its retained messages stay there", mqtt->name);
    connection_free(mqtt->connection);
}

/* Without a state file two gateways have the id of their host: their topics differ. FNV-1a. */
static void make_id(struct mqtt *mqtt)
{
    const struct pipe_config *config = outlet_config(mqtt->outlet);
    uint32_t id = 2166136261u;
    snprintf(mqtt->id, sizeof mqtt->id, "%s", config->id);
    if (config->id_kept)
        return;
    for (const char *c = config->id; *c; c++)
        id = (id ^ (uint8_t) *c) * 16777619u;
    for (const char *c = mqtt->place.topic; *c; c++)
        id = (id ^ (uint8_t) *c) * 16777619u;
    snprintf(mqtt->id, sizeof mqtt->id, "%08x", (unsigned) id);
    log_warn(
        "%s: state_file = none: what is announced to Home Assistant now cannot be withdrawn later",
        mqtt->name);
}

static void make_place(struct mqtt *mqtt)
{
    char host[HOST_NAME_SIZE];
    host_own_name(host);
    topic_expand(mqtt->config->topic, host, mqtt->place.topic, sizeof mqtt->place.topic);
    topic_expand(mqtt->config->discovery_prefix, host, mqtt->place.prefix,
                 sizeof mqtt->place.prefix);
    mqtt->place.form = mqtt_is_device(mqtt) ? DISCOVERY_OFF : mqtt->config->discovery;
    mqtt->place.retain = mqtt->config->retain;
    /* Without a state file each section is a separate gateway for Home Assistant. */
    mqtt->gateway.was_fresh = !mqtt->config->second || !outlet_config(mqtt->outlet)->id_kept;
    mqtt->gateway.set.bits[0] = (1 << GATEWAY_COMPONENTS) - 1;
    make_id(mqtt);
    mqtt->announcer = (struct announcer){
        .id = mqtt->id,
        .prefix = mqtt->place.prefix,
        .topic = mqtt->place.topic,
        .version = outlet_config(mqtt->outlet)->version,
        .url = outlet_config(mqtt->outlet)->page,
        .title = outlet_config(mqtt->outlet)->gateway,
        .expire_s = mqtt->config->retain ? 0 : announce_expiry(mqtt->config->interval_s),
        .single = mqtt->place.form == DISCOVERY_SINGLE,
    };
}

static void connect_broker(struct mqtt *mqtt)
{
    const struct connection_settings settings = {
        .config = mqtt->config,
        .name = mqtt->name,
        .client_id = mqtt->client_id,
        .will_topic = mqtt->will_topic,
        .will_payload = mqtt->will,
        .will_retained = !mqtt_is_device(mqtt),
        .data = mqtt,
        .up = on_up,
        .down = on_down,
        .message = on_message,
        .sent = on_sent,
        .answered = on_answered,
    };
    struct text text = text_in(mqtt->will, sizeof mqtt->will);
    snprintf(mqtt->client_id, sizeof mqtt->client_id, "packgate-%s-%s", mqtt->id,
             outlet_config(mqtt->outlet)->section);
    if (mqtt_is_device(mqtt) && mqtt->config->layout != LAYOUT_VENUS) {
        smartbms_status(&text, false, time(NULL), 0, 0);
        snprintf(mqtt->will_topic, sizeof mqtt->will_topic, "%s", mqtt->place.topic);
    } else {
        text_add(&text, "offline");
        topic_of(mqtt->place.topic, NULL, "status", mqtt->will_topic);
    }
    mqtt->connection = alloc_checked(connection_new(outlet_loop(mqtt->outlet), &settings));
}

static void *start_mqtt(struct outlet *outlet)
{
    struct mqtt *mqtt = alloc_zeroed(1, sizeof *mqtt);
#ifndef __SANITIZE_ADDRESS__
    setrlimit(RLIMIT_DATA, &(struct rlimit){MEMORY_MAX, MEMORY_MAX});
#endif
    mqtt->outlet = outlet;
    mqtt->answered_at = -INFINITY;
    mqtt->config = outlet_config(outlet)->settings;
    mqtt->room = alloc_zeroed(1, ROOM_SIZE);
    mqtt->name = outlet_title(outlet);
    note_read_place(mqtt);
    make_place(mqtt);
    if (mqtt->config == &mqtt->former)
        mqtt->place = mqtt->before;
    ev_init(&mqtt->flush, send_on_flush);
    ev_init(&mqtt->birth, on_birth);
    ev_init(&mqtt->farewell, on_farewell);
    mqtt->flush.data = mqtt->birth.data = mqtt->farewell.data = mqtt;
    mqtt->pack_count = outlet_config(outlet)->pack_count;
    mqtt->packs = alloc_zeroed(mqtt->pack_count, sizeof *mqtt->packs);
    for (unsigned i = 0; i < mqtt->pack_count; i++) {
        struct mqtt_pack *pack = &mqtt->packs[i];
        pack->pack = outlet_pack(outlet, i);
        pack->strange_since = NAN;
        pack->free_at = -INFINITY;
        pack_clear(&pack->sent);
        pack->alarms = outlet_alarms(outlet, pack->pack->source.name);
        /* What an earlier process has announced remains announced. */
        note_read_pack(mqtt, pack);
    }
    withdraw_noted(mqtt, !note_same_place(mqtt));
    connect_broker(mqtt);
    if (mqtt->withdrawals.count == 0 || note_same_place(mqtt))
        note_place(mqtt);
    return mqtt;
}

const struct outlet_kind outlet_mqtt = {
    .name = "mqtt",
    .test = mqtt_test,
    .network = true,
    .connects = true,
    .settings_size = sizeof(struct mqtt_config),
    .start = start_mqtt,
    .changed = on_changed,
    .second = send_on_second,
    .report = send_report,
    .stop = stop_mqtt,
    .end = end_mqtt,
};
