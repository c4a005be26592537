// SPDX-License-Identifier: MIT
#include "mqtt.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <math.h>

#define SPARE_ROOM 32 /* of the queue, reserved for events and results */
#define OPEN_S 0.5    /* time after an answer of the broker in which values may be sent */
/* Between two messages of on_change: so that polls of once a second are not delayed for ever after
 * an early one. After a pause a second one may follow at once, as a cycle can have two parts. */
#define CHANGE_PAUSE_S 0.9

struct text mqtt_text(struct mqtt *mqtt)
{
    return text_in(mqtt->room, ROOM_SIZE);
}

/* A message that was cut off is logged and counts as sent. */
static bool publish(struct mqtt *mqtt, const char *topic, const struct text *text, int qos,
                    bool retained)
{
    if (text->cut) {
        log_error("%s: a message for %s is too large", mqtt->name, topic);
        return true;
    }
    return connection_publish(mqtt->connection, topic, text->bytes, text->size, qos, retained,
                              NULL);
}

bool mqtt_publish_below(struct mqtt *mqtt, const char *pack, const char *leaf,
                        const struct text *text, int qos, bool retained)
{
    char topic[TOPIC_SIZE];
    return publish(mqtt, topic_of(mqtt->place.topic, pack, leaf, topic), text, qos, retained);
}

/* Sends the next message of an announcement: of the device, or of a component. */
static bool announce(struct mqtt *mqtt, struct mqtt_pack *who)
{
    char topic[TOPIC_SIZE];
    const struct announcer *announcer = &mqtt->announcer;
    const struct source *source = who->pack ? &who->pack->source : NULL;
    const struct entity_set none = {{0}};
    const bool wanted = mqtt_announces(mqtt) && who->was_fresh;
    struct text text = mqtt_text(mqtt);
    while (wanted && announce_topic(announcer, source ? source->name : NULL, who->row, topic)) {
        if (!announcer->single) {
            announce_device(&text, announcer, source, who->set, who->gone);
        } else if (entity_in(&who->set, who->row)) {
            announce_single(&text, announcer, source, who->row);
        } else if (!entity_in(&who->gone, who->row)) {
            who->row++;
            continue;
        }
        if (!publish(mqtt, topic, &text, 1, true))
            return false;
        if (!announcer->single)
            break;
        who->row++;
        return true;
    }
    /* Home Assistant has to see removed components once, and then no longer. */
    if (!wanted || announcer->single || entity_same(who->gone, none))
        who->todo &= ~(unsigned) ANNOUNCE;
    if (wanted)
        who->gone = none;
    who->row = 0;
    return true;
}

static bool say_status(struct mqtt *mqtt, const char *pack, bool online, int qos, bool retained)
{
    struct text text = mqtt_text(mqtt);
    text_add(&text, online ? "online" : "offline");
    return mqtt_publish_below(mqtt, pack, "status", &text, qos, retained);
}

static bool is_fresh(const struct mqtt *mqtt, const struct mqtt_pack *pack, double now)
{
    return outlet_fresh(mqtt->outlet, pack->pack, now) && !mqtt->ending;
}

/* Of a pack the broker retains "offline" only, because a retained message remains after our end, even after a
 * power cut. "online" is sent again with each state, for new subscribers. */
static bool send_status(struct mqtt *mqtt, struct mqtt_pack *who, double now)
{
    bool online = outlet_hears(mqtt->outlet, now) && !mqtt->ending;
    if (who->pack) {
        const char *name = who->pack->source.name;
        online = is_fresh(mqtt, who, now);
        if ((!online || !who->offline_kept) && !say_status(mqtt, name, false, 1, true))
            return false;
        who->offline_kept = true;
        if (online && !say_status(mqtt, name, true, 1, false))
            return false;
    } else {
        if (!say_status(mqtt, NULL, online, 1, true))
            return false;
        mqtt->echoes[online]++;
    }
    who->online = online;
    return true;
}

static unsigned count_fresh(const struct mqtt *mqtt, double now)
{
    unsigned count = 0;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        count += is_fresh(mqtt, &mqtt->packs[i], now);
    return count;
}

static bool send_info(struct mqtt *mqtt, struct mqtt_pack *who, double now)
{
    struct text text = mqtt_text(mqtt);
    if (who->pack) {
        message_info(&text, &who->pack->source);
    } else {
        mqtt->fresh_told = count_fresh(mqtt, now);
        message_gateway(&text, outlet_config(mqtt->outlet)->version, mqtt->pack_count,
                        mqtt->fresh_told);
    }
    return mqtt_publish_below(mqtt, who->pack ? who->pack->source.name : NULL, "info", &text, 1,
                              true);
}

static bool send_smartbms(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct source *source = &pack->pack->source;
    const bool fresh = is_fresh(mqtt, pack, now);
    const char *name;
    struct text text = mqtt_text(mqtt);
    smartbms_status(&text, fresh, time(NULL), source->status.seconds,
                    source->status.memory_mib * 1048576.0);
    if (!publish(mqtt, mqtt->place.topic, &text, 0, false) || !fresh)
        return !fresh;
    text = mqtt_text(mqtt);
    if (mqtt->config->layout == LAYOUT_SMARTBMS_FLAT) {
        for (unsigned n = 0; (name = smartbms_flat(&text, source, n)); n++) {
            if (text.size > 0 && !mqtt_publish_below(mqtt, NULL, name, &text, 0, false))
                return false;
            text = mqtt_text(mqtt);
        }
        return true;
    }
    smartbms_extremes(&text, source);
    if (!publish(mqtt, mqtt->place.topic, &text, 0, false))
        return false;
    text = mqtt_text(mqtt);
    smartbms_values(&text, source, mqtt->config->layout);
    return publish(mqtt, mqtt->place.topic, &text, 0, false);
}

/* When the values become stale: sends what may still be discharged as long as on_stale permits it,
 * then once that nothing is allowed, then nothing, so that the reader drops its battery. */
static bool send_venus(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct source *source = &pack->pack->source;
    const bool fresh = is_fresh(mqtt, pack, now);
    struct text text = mqtt_text(mqtt);
    pack->sent_fresh = fresh;
    if (fresh && venus_values(&text, source, true, NULL)) {
        pack->online = true;
        return publish(mqtt, mqtt->place.topic, &text, 0, false);
    }
    if (!pack->online || !venus_values(&text, source, fresh, &pack->sent))
        return true;
    if (!publish(mqtt, mqtt->place.topic, &text, 1, false))
        return false;
    const struct map_allowed allowed = map_allowed(&source->status, false);
    pack->online = !fresh && allowed.configured && allowed.discharge_current_a > 0;
    return true;
}

/* Values that became stale while they waited for the broker are not sent. */
static bool send_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    if (mqtt->config->layout == LAYOUT_VENUS) {
        if (!send_venus(mqtt, pack, now))
            return false;
    } else if (mqtt_is_device(mqtt)) {
        if (!send_smartbms(mqtt, pack, now))
            return false;
    } else if (is_fresh(mqtt, pack, now)) {
        const char *name = pack->pack->source.name;
        if (pack->online && !say_status(mqtt, name, true, 0, false))
            return false;
        struct text text = mqtt_text(mqtt);
        message_state(&text, &pack->pack->source, outlet_age(pack->pack, now), clock_wall());
        if (!mqtt_publish_below(mqtt, name, "state", &text, 0, mqtt->config->retain))
            return false;
    }
    pack->free_at = fmax(pack->free_at, now - CHANGE_PAUSE_S) + CHANGE_PAUSE_S;
    pack->changed = false;
    pack->sent = *pack->pack->source.values;
    pack->sent_allowed = pack->pack->source.status.allowed;
    return true;
}

/* Sends one due message of a pack or the gateway; false: it was not accepted. */
static bool send_due(struct mqtt *mqtt, struct mqtt_pack *who, double now)
{
    if (who->todo & ANNOUNCE)
        return announce(mqtt, who);
    const unsigned what = who->todo & STATUS ? STATUS : who->todo & INFO ? INFO : STATE;
    const bool sent = what == STATUS ? send_status(mqtt, who, now)
                      : what == INFO ? send_info(mqtt, who, now)
                                     : send_values(mqtt, who, now);
    if (sent)
        who->todo &= ~what;
    return sent;
}

/* Sends as much as the broker accepts, one message per pack in turn. */
static void send_queued(struct mqtt *mqtt, double now)
{
    unsigned idle = 0;
    while (connection_room(mqtt->connection) > SPARE_ROOM) {
        if (mqtt->withdrawals.count > 0 || mqtt->gateway.todo) {
            if (!(mqtt->withdrawals.count > 0 ? withdraw_step(mqtt)
                                              : send_due(mqtt, &mqtt->gateway, now)))
                return;
            continue;
        }
        if (idle >= mqtt->pack_count)
            return;
        struct mqtt_pack *pack = &mqtt->packs[mqtt->turn];
        mqtt->turn = (mqtt->turn + 1) % mqtt->pack_count;
        idle++;
        if (!(now - mqtt->answered_at < OPEN_S ? pack->todo : pack->todo & ~(unsigned) STATE))
            continue;
        idle = 0;
        if (!send_due(mqtt, pack, now))
            return;
    }
}

void send_now(struct mqtt *mqtt, double now)
{
    send_queued(mqtt, now);
    mqtt->answered_at = -INFINITY;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (mqtt->packs[i].todo & STATE) {
            connection_knock(mqtt->connection);
            return;
        }
}

static void schedule_pack(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    double interval = mqtt->config->interval_s;
    bool fresh = outlet_fresh(mqtt->outlet, pack->pack, now);
    if (!mqtt_is_device(mqtt) && fresh != pack->online)
        pack->todo |= STATUS;
    /* That less is allowed now is sent at once; what stays the same is repeated by the interval. */
    const struct map_allowed *sent = &pack->sent_allowed,
                             *allowed = &pack->pack->source.status.allowed;
    if (mqtt->config->layout == LAYOUT_VENUS && !fresh && pack->online &&
        (pack->sent_fresh || allowed->discharges_stale != sent->discharges_stale ||
         allowed->discharge_current_a < sent->discharge_current_a))
        pack->todo |= STATE;
    if (!fresh && !mqtt_is_device(mqtt))
        return;
    if (now >= pack->due) {
        /* The previous values have not been sent: these replace them. */
        if (pack->todo & STATE)
            connection_drop(mqtt->connection);
        pack->todo |= STATE;
        pack->due = now - pack->due > interval ? now + interval : pack->due + interval;
    }
    if (pack->changed && now >= pack->free_at)
        pack->todo |= STATE;
}

static void flush(struct mqtt *mqtt)
{
    double now = clock_now();
    if (!connection_is_up(mqtt->connection) || mqtt->ending)
        return;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        schedule_pack(mqtt, &mqtt->packs[i], now);
    if (!mqtt_is_device(mqtt) && outlet_hears(mqtt->outlet, now) != mqtt->gateway.online)
        mqtt->gateway.todo |= STATUS;
    if (!mqtt_is_device(mqtt) && count_fresh(mqtt, now) != mqtt->fresh_told)
        mqtt->gateway.todo |= INFO;
    send_now(mqtt, now);
    /* Changes that have to wait. */
    double next = INFINITY;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (mqtt->packs[i].changed && mqtt->packs[i].free_at > now)
            next = fmin(next, mqtt->packs[i].free_at);
    if (next < (double) INFINITY && !ev_is_active(&mqtt->flush))
        timer_restart(outlet_loop(mqtt->outlet), &mqtt->flush, next - now);
}

void send_on_flush(struct ev_loop *loop, ev_timer *timer, int revents)
{
    flush(timer->data);
}

void send_soon(struct mqtt *mqtt)
{
    struct ev_loop *loop = outlet_loop(mqtt->outlet);
    if (!ev_is_active(&mqtt->flush) || ev_timer_remaining(loop, &mqtt->flush) > 0)
        timer_restart(loop, &mqtt->flush, 0);
}

void send_report(void *self, struct pipe_report *report)
{
    const struct mqtt *mqtt = self;
    const struct connection_counters counters = connection_counters(mqtt->connection);
    report->connected = connection_is_up(mqtt->connection);
    report->sent = counters.sent;
    report->dropped = counters.dropped;
    report->failed = counters.failed;
    report->refused = mqtt->refused;
    report->queued = counters.queued;
    snprintf(report->words, sizeof report->words, "%.127s", counters.words);
}

void send_on_second(void *self, double now)
{
    struct mqtt *mqtt = self;
    flush(mqtt);
    /* Knocks prove how old an order is (connection.h); old ones are not executed. */
    if (mqtt->config->switching)
        connection_knock(mqtt->connection);
}
