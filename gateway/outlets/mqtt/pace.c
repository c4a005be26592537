// SPDX-License-Identifier: MIT
#include "mqtt.h"

#include "base/clock.h"
#include "base/timer.h"

#include <math.h>
#include <stdio.h>

#define SPARE_ROOM 32  /* of the queue, reserved for events and results */
#define OPEN_S 0.5     /* time after an answer of the broker in which values may be sent */
#define REPORT_TICKS 5 /* seconds */

/* Sends as much as the broker accepts, one message per pack in turn. */
static void send_queued(struct mqtt *mqtt, double now)
{
    unsigned idle = 0;
    while (connection_room(mqtt->connection) > SPARE_ROOM) {
        if (mqtt->withdrawals.count > 0 || mqtt->gateway.todo) {
            if (!(mqtt->withdrawals.count > 0 ? withdraw_step(mqtt) : send_of_gateway(mqtt, now)))
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
        if (!send_of_pack(mqtt, pack, now))
            return;
    }
}

void pace_send(struct mqtt *mqtt, double now)
{
    send_queued(mqtt, now);
    mqtt->answered_at = -INFINITY;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (mqtt->packs[i].todo & STATE) {
            connection_knock(mqtt->connection);
            return;
        }
}

/* ---- when ---- */

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
    if (!mqtt_is_device(mqtt) && outlet_hears(mqtt->outlet, now) != mqtt->heard_told)
        mqtt->gateway.todo |= STATUS;
    if (!mqtt_is_device(mqtt) && send_count_fresh(mqtt, now) != mqtt->fresh_told)
        mqtt->gateway.todo |= INFO;
    pace_send(mqtt, now);
    /* Changes that have to wait. */
    double next = INFINITY;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (mqtt->packs[i].changed && mqtt->packs[i].free_at > now)
            next = fmin(next, mqtt->packs[i].free_at);
    ev_timer_stop(outlet_loop(mqtt->outlet), &mqtt->later);
    if (next < (double) INFINITY)
        timer_restart(outlet_loop(mqtt->outlet), &mqtt->later, next - now);
}

void pace_on_flush(struct ev_loop *loop, ev_timer *timer, int revents)
{
    flush(timer->data);
}

void pace_soon(struct mqtt *mqtt)
{
    if (!ev_is_active(&mqtt->flush))
        timer_restart(outlet_loop(mqtt->outlet), &mqtt->flush, 0);
}

void pace_report(struct mqtt *mqtt)
{
    struct connection_counters counters = connection_counters(mqtt->connection);
    struct pipe_report report = {.connected = connection_is_up(mqtt->connection),
                                 .sent = counters.sent,
                                 .dropped = counters.dropped,
                                 .failed = counters.failed,
                                 .refused = mqtt->refused,
                                 .queued = counters.queued};
    snprintf(report.words, sizeof report.words, "%.127s", counters.words);
    mqtt->failed_told = counters.failed;
    outlet_report(mqtt->outlet, &report);
}

void pace_on_second(void *self, double now)
{
    struct mqtt *mqtt = self;
    flush(mqtt);
    /* With switching, knocks prove how old an order is (connection.h); old ones are not executed.
     */
    if (mqtt->config->switching)
        connection_knock(mqtt->connection);
    if (mqtt->ticks++ % REPORT_TICKS == 0 ||
        connection_counters(mqtt->connection).failed != mqtt->failed_told)
        pace_report(mqtt);
}
