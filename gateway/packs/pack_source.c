// SPDX-License-Identifier: MIT
#include "pack_source.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bms/checksum.h"
#include "bms/modbus/modbus.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* The same for the same driver, variant and map of registers; above 0. */
static int32_t protocol_number(const struct pack_config *config)
{
    const char *const *variants = config->driver->variants;
    const struct modbus_user *map = config->options.map;
    char text[3 * NAME_SIZE];
    const int size =
        snprintf(text, sizeof text, "%s %s %" PRIx64, config->driver->name,
                 variants ? variants[config->options.variant] : "", map ? map->contents : 0);
    return crc16_modbus((const uint8_t *) text, (size_t) size) + 1;
}

struct pack_source *pack_source_new(struct poller *poller, struct line *line,
                                    struct kept_entry *kept, pack_source_over *over, void *data)
{
    struct pack_source *source = alloc_zeroed(1, sizeof *source);
    source->poller = poller;
    source->line = line;
    source->kept = kept;
    source->power_w = NAN;
    outlook_init(&source->outlook);
    source->over = over;
    source->data = data;
    source->source.values = &poller->values;
    source->bms = protocol_number(poller->config);
    return source;
}

#define MINUTE_S 60
/* Orders in a minute: a client that sends them without end must not fill the log. */
#define LOGGED_MOST 10

static void end_minute(struct pack_source *source)
{
    if (source->others > 0)
        log_info("pack %s: %u other orders within a minute", source->source.name, source->others);
    source->orders = source->others = 0;
}

static void log_order(struct pack_source *source, const char *from, const struct switches *ordered,
                      enum order_result result, double now)
{
    static const char *const words[] = {
        [ORDER_DONE] = "confirmed",
        [ORDER_REFUSED] = "refused by the BMS",
        [ORDER_UNANSWERED] = "not confirmed, neither by a reply nor by the state read back",
        [ORDER_TOO_LATE] = "discarded, its line was busy for too long",
        [ORDER_NOT_NOW] = "not possible, its present state is unknown",
    };
    char text[SWITCHES_TEXT];
    if (now - source->logs_since >= MINUTE_S)
        end_minute(source);
    if (source->orders == LOGGED_MOST) {
        source->others++;
        return;
    }
    if (source->orders++ == 0)
        source->logs_since = now;
    log_info("pack %s: %s orders %s: %s", source->source.name, from, switches_format(ordered, text),
             words[result]);
}

void pack_source_free(struct pack_source *source)
{
    if (source)
        end_minute(source);
    free(source);
}

static void refresh_status(struct pack_source *source, const struct map_status *host,
                           const struct tm *local, double now)
{
    const struct poller *poller = source->poller;
    struct map_status *status = &source->source.status;
    const struct map_status before = *status;
    *status = *host;
    const bool stale = poller_stale(poller, now);
    status->state = stale && !line_is_open(source->line) ? MAP_STATE_NO_LINE
                    : isnan(poller->published_at)        ? MAP_STATE_NEVER
                    : stale                              ? MAP_STATE_STALE
                                                         : MAP_STATE_FRESH;
    status->age_s = now - poller->published_at;
    status->polls = poller->counters.polls;
    status->timeouts = poller->counters.timeouts;
    status->checksum_errors = poller->counters.damaged;
    status->reconnects = poller->counters.reconnects;
    status->implausible = poller->counters.implausible;
    status->spikes = poller->counters.spikes;
    const struct bms_driver *driver = poller->config->driver;
    status->driver = driver->name;
    const bool is_read = poller->complete && !isnan(poller->published_at);
    status->bms = is_read ? source->bms : -source->bms;
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
    kept_note_trouble(source->kept, &before, &source->source, now);
}

static unsigned refresh_source(struct pack_source *source, const struct map_status *host,
                               const struct tm *local, double now)
{
    const struct pack_config *config = source->poller->config;
    source->source.name = config->name;
    source->source.title = config->title[0] ? config->title : config->name;
    source->source.line = config->line->name;
    source->source.unit = (uint8_t) config->unit;
    source->source.writable = pack_is_writable(config);
    source->source.settable = pack_is_settable(config);
    source->source.capacity_ah = config->options.capacity_ah;
    refresh_status(source, host, local, now);
    source->alarms = alarms_after(source->alarms, source->source.values, source->source.status.bms);
    /* Values of an incomplete first cycle are not reported: the rest follows. */
    if (!source->summary.told && !source->poller->complete)
        return 0;
    return summary_update(&source->summary, "pack", &source->source, now);
}

/* A BMS that hangs can repeat its values for days. Without a current any BMS may. */
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
    const struct pack *values = &source->poller->values;
    const double watts = values->value[POWER_W], seconds = now - source->power_at;
    watch_frozen(source, now);
    /* Energy between two consecutive poll cycles: trapezoidal rule, separately for each direction.
     * Between +300 A and -150 A the current counts as reversed half-way. */
    if (!isnan(watts) && !isnan(source->power_w) && seconds <= poller_stale_after(source->poller)) {
        source->kept->charged_wh +=
            (fmax(source->power_w, 0) + fmax(watts, 0)) / 2 * seconds / 3600;
        source->kept->discharged_wh +=
            (fmax(-source->power_w, 0) + fmax(-watts, 0)) / 2 * seconds / 3600;
    }
    source->power_w = watts;
    source->power_at = now;
    seen_add(&source->seen, values, source->poller->devices);
    outlook_add(&source->outlook, values, now);
    soc_peak_update(source->kept, values->value[SOC_PERCENT], local);
    /* For client files, which list each cell and sensor. */
    if (pack_known(values, CELL_COUNT))
        source->kept->cells = (int) values->value[CELL_COUNT];
    if (pack_known(values, TEMP_COUNT))
        source->kept->sensors = (int) values->value[TEMP_COUNT];
    return SOURCE_PUBLISHED | refresh_source(source, host, local, now);
}

unsigned pack_source_tick(struct pack_source *source, const struct map_status *host,
                          const struct tm *local, double now)
{
    if (now - source->logs_since >= MINUTE_S)
        end_minute(source);
    return SOURCE_AGED | refresh_source(source, host, local, now);
}

static void on_switched(void *data, enum order_result result)
{
    struct pack_source *source = data;
    struct pack_order *order = &source->order;
    order->request.ordered.before = order->order.switches.before;
    log_order(source, order->from, &order->request.ordered, result, clock_now());
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
