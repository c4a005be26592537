// SPDX-License-Identifier: MIT
/* Turns a pack into a source. */
#include "pack_source.h"

#include "base/clock.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>

struct pack_source *pack_source_new(struct poller *poller, struct line *line,
                                    struct kept_entry *kept,
                                    void (*over)(void *data, struct pack_source *source,
                                                 const struct order_report *report),
                                    void *data)
{
    struct pack_source *source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    source->poller = poller;
    source->line = line;
    source->kept = kept;
    source->power_w = NAN;
    outlook_init(&source->outlook);
    source->over = over;
    source->data = data;
    source->source.values = &poller->values;
    return source;
}

void pack_source_free(struct pack_source *source)
{
    if (source)
        order_log_end(&source->orders, source->source.name);
    free(source);
}

static enum map_state connection_state(const struct pack_source *source, double now)
{
    if (!line_is_open(source->line) && poller_stale(source->poller, now))
        return MAP_STATE_NO_LINE;
    if (isnan(source->poller->published_at))
        return MAP_STATE_NEVER;
    return poller_stale(source->poller, now) ? MAP_STATE_STALE : MAP_STATE_FRESH;
}

static void take_configuration(struct pack_source *source)
{
    const struct pack_config *config = source->poller->config;
    source->source.name = config->name;
    source->source.title = config->title[0] ? config->title : config->name;
    source->source.line = config->line->name;
    source->source.unit = (uint8_t) config->unit;
    source->source.writable = pack_is_writable(config);
    source->source.settable = pack_is_settable(config);
    source->source.capacity_ah = config->options.capacity_ah;
}

static void refresh_status(struct pack_source *source, const struct map_status *host,
                           const struct tm *local, double now)
{
    const struct poller *poller = source->poller;
    struct map_status *status = &source->source.status;
    const struct map_status before = *status;
    *status = *host;
    status->state = connection_state(source, now);
    status->age_s = now - poller->published_at;
    status->polls = poller->counters.polls;
    status->timeouts = poller->counters.timeouts;
    status->checksum_errors = poller->counters.damaged;
    status->reconnects = poller->counters.reconnects;
    status->implausible = poller->counters.implausible;
    status->spikes = poller->counters.spikes;
    const struct bms_driver *driver = poller->config->driver;
    status->driver = driver->name;
    /* `auto` and `modbus`, which are not in the list, have no make. */
    status->driver_title = bms_driver_find(driver->name) ? driver->title : NULL;
    status->pack_name = poller->config->name;
    status->peak = soc_peak_today(source->kept, local);
    status->charged_wh = source->kept->charged_wh;
    status->discharged_wh = source->kept->discharged_wh;
    const double capacity_ah = poller->config->options.capacity_ah;
    status->time_to_full_s = outlook_full_s(&source->outlook, &poller->values, capacity_ah);
    status->time_to_empty_s = outlook_empty_s(&source->outlook, &poller->values, capacity_ah);
    source->source.good_until = poller->published_at + poller_stale_after(poller);
    source->source.settle_s = poller_stale_after(poller);
    source->source.read_at = poller->published_at;
    kept_note_trouble(source->kept, &before, status, now);
    source->source.trouble = source->kept->trouble;
    source->source.trouble_at = source->kept->trouble_at;
}

/* Trapezoidal rule, separately for each direction: between +300 A and -150 A the current counts as
 * reversed half-way. */
static double directed_wh(double before_w, double after_w, double seconds)
{
    return (fmax(before_w, 0) + fmax(after_w, 0)) / 2 * seconds / 3600;
}

/* Counts the energy between two consecutive poll cycles. */
static void count_energy(struct pack_source *source, double now)
{
    double power = source->poller->values.value[POWER_W];
    double seconds = now - source->power_at;
    if (!isnan(power) && !isnan(source->power_w) && seconds <= poller_stale_after(source->poller)) {
        source->kept->charged_wh += directed_wh(source->power_w, power, seconds);
        source->kept->discharged_wh += directed_wh(-source->power_w, -power, seconds);
    }
    source->power_w = power;
    source->power_at = now;
}

static unsigned refresh_source(struct pack_source *source, const struct map_status *host,
                               const struct tm *local, double now)
{
    take_configuration(source);
    refresh_status(source, host, local, now);
    /* Values of an incomplete first cycle are not reported: the rest follows. */
    if (!source->summary.told && !source->poller->complete)
        return 0;
    return summary_update(&source->summary, "pack", &source->source, now);
}

/* Stores the counts for client files, which list each cell and sensor. */
static void keep_counts(struct kept_entry *kept, const struct pack *pack)
{
    if (pack_known(pack, CELL_COUNT))
        kept->cells = (int) pack->value[CELL_COUNT];
    if (pack_known(pack, TEMP_COUNT))
        kept->sensors = (int) pack->value[TEMP_COUNT];
}

/* A BMS that hangs can repeat its last measurements for days. Without a current, values may be
 * constant anyway. */
static void watch_frozen(struct pack_source *source, double now)
{
    const struct pack_config *config = source->poller->config;
    struct pack *values = &source->poller->values;
    const double amps = values->value[CURRENT_A];
    if (!(config->frozen_after_s > 0)) {
        /* A reload removed the key: nothing would end the alarm otherwise. */
        if (source->watched)
            pack_alarm_at(values, COMMUNICATION_FAULT, ALARM_PROTECTION, false);
        source->frozen = false;
        return;
    }
    source->watched = true;
    if (!(fabs(amps) > 0) || !pack_same(values, &source->before))
        source->changed_at = now;
    source->before = *values;
    const bool frozen = now - source->changed_at >= config->frozen_after_s;
    if (frozen && !source->frozen)
        log_warn(
            "pack %s: all values have been the same for %.0f s, although %+.1f A flow: its BMS "
            "seems to hang (frozen_after)",
            config->name, now - source->changed_at, amps);
    if (!frozen && source->frozen)
        log_info("pack %s: its values change again", config->name);
    source->frozen = frozen;
    pack_alarm_at(values, COMMUNICATION_FAULT, ALARM_PROTECTION, frozen);
}

unsigned pack_source_publish(struct pack_source *source, const struct map_status *host,
                             const struct tm *local, double now)
{
    watch_frozen(source, now);
    count_energy(source, now);
    outlook_add(&source->outlook, &source->poller->values, now);
    soc_peak_update(source->kept, source->poller->values.value[SOC_PERCENT], local);
    keep_counts(source->kept, &source->poller->values);
    return SOURCE_PUBLISHED | refresh_source(source, host, local, now);
}

unsigned pack_source_tick(struct pack_source *source, const struct map_status *host,
                          const struct tm *local, double now)
{
    order_log_tick(&source->orders, source->source.name, now);
    return SOURCE_AGED | refresh_source(source, host, local, now);
}

/* ---- switching ---- */

static void on_switched(void *data, enum order_result result)
{
    struct pack_source *source = data;
    struct pack_order *order = &source->order;
    order->request.ordered.before = order->order.switches.before;
    order_log_add(&source->orders, source->source.name, order->from, &order->request.ordered,
                  result, clock_now());
    order->pending = false;
    const struct order_report report = {
        .ordered = order->request.ordered, .from = order->from, .result = result};
    order->request.done(order->request.data, order->request.ticket, result);
    source->over(source->data, source, &report);
}

enum order_result pack_source_order(struct pack_source *source, const struct order_request *request)
{
    struct pack_order *order = &source->order;
    if (order->pending)
        return ORDER_BUSY;
    struct switches ordered = request->ordered;
    const enum order_result checked = order_check(source->poller->config->driver, &ordered);
    if (checked != ORDER_PENDING)
        return checked;
    ordered.before = NAN;
    snprintf(order->from, sizeof order->from, "%s", request->from);
    order->request = *request;
    order->request.ordered = ordered;
    order->request.from = order->from;
    order->order = (struct order){
        .poller = source->poller, .switches = ordered, .done = on_switched, .data = source};
    if (!source->line || !line_order(source->line, &order->order))
        return ORDER_NO_LINE;
    order->pending = true;
    return ORDER_PENDING;
}
