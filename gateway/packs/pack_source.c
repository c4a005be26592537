// SPDX-License-Identifier: MIT
/* A pack as it is served. */
#include "pack_source.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

struct tm service_local_time(void)
{
    time_t wall = time(NULL);
    struct tm local;
    localtime_r(&wall, &local);
    return local;
}

struct map_status service_host_status(const struct service_host *host, const struct tm *local,
                                      double now)
{
    return (struct map_status){
        .memory_mib = host->memory_mib,
        .seconds = (uint16_t) (uint64_t) (now - host->started_at),
        .timezone_hours = (int) lround((double) local->tm_gmtoff / 3600),
    };
}

static enum map_state connection_state(const struct pack_source *source, double now)
{
    if (!line_is_open(source->line) && poller_stale(source->poller, now))
        return MAP_STATE_NO_LINE;
    if (isnan(source->poller->published_at))
        return MAP_STATE_NEVER;
    return poller_stale(source->poller, now) ? MAP_STATE_STALE : MAP_STATE_FRESH;
}

static struct map_status status_of(const struct pack_source *source, const struct tm *local,
                                   double now)
{
    const struct poller *poller = source->poller;
    struct map_status status = service_host_status(source->host, local, now);
    status.state = connection_state(source, now);
    status.age_s = now - poller->published_at;
    status.polls = poller->counters.polls;
    status.timeouts = poller->counters.timeouts;
    status.checksum_errors = poller->damaged;
    status.reconnects = poller->reconnects;
    status.implausible = poller->counters.implausible;
    status.spikes = poller->counters.spikes;
    status.driver = poller->config->driver->name;
    status.pack_name = poller->config->name;
    status.peak = soc_peak_today(source->kept, local);
    status.charged_wh = source->kept->charged_wh;
    status.discharged_wh = source->kept->discharged_wh;
    return status;
}

struct pack_source *pack_source_new(const struct service_host *host, struct poller *poller,
                                    struct line *line, struct kept_entry *kept)
{
    struct pack_source *source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    source->host = host;
    source->poller = poller;
    source->line = line;
    source->kept = kept;
    source->power_w = NAN;
    return source;
}

void pack_source_free(struct pack_source *source)
{
    if (source)
        unit_close(&source->unit);
    free(source);
}

int pack_source_open_unit(struct pack_source *source, const struct gateway_config *gateway,
                          double now)
{
    const struct pack_config *pack = source->poller->config;
    unit_close(&source->unit);
    if (unit_open(&source->unit, (uint8_t) pack->unit, pack->name, &gateway->map,
                  gateway->on_stale) < 0)
        return -1;
    source->unit.writable = pack->writable;
    struct tm local = service_local_time();
    struct map_status status = status_of(source, &local, now);
    if (isnan(source->poller->published_at))
        unit_refresh(&source->unit, &source->poller->values, &status);
    else
        unit_publish(&source->unit, &source->poller->values, &status);
    return 0;
}

/* Power by time, between two cycles that belong together. */
static void count_energy(struct pack_source *source, double now)
{
    double power = source->poller->values.value[POWER_W];
    double seconds = now - source->power_at;
    if (!isnan(power) && !isnan(source->power_w) && seconds <= poller_stale_after(source->poller)) {
        double wh = (power + source->power_w) / 2 * seconds / 3600;
        if (wh > 0)
            source->kept->charged_wh += wh;
        else
            source->kept->discharged_wh -= wh;
    }
    source->power_w = power;
    source->power_at = now;
}

static void log_summary(struct pack_source *source, double now)
{
    bool fresh = !poller_stale(source->poller, now);
    char text[SUMMARY_SIZE];
    if (summary_changed(&source->summary, &source->poller->values, fresh, text))
        log_info("pack %s: %s", source->poller->config->name, text);
}

void pack_source_publish(struct pack_source *source, double now)
{
    struct tm local = service_local_time();
    count_energy(source, now);
    soc_peak_update(source->kept, source->poller->values.value[SOC_PERCENT], &local);
    struct map_status status = status_of(source, &local, now);
    unit_publish(&source->unit, &source->poller->values, &status);
    log_summary(source, now);
}

void pack_source_tick(struct pack_source *source, double now)
{
    struct tm local = service_local_time();
    struct map_status status = status_of(source, &local, now);
    unit_refresh(&source->unit, &source->poller->values, &status);
    log_summary(source, now);
}

/* ---- switching ---- */

/* What a result is to the client, and to the log. */
static const struct {
    uint8_t exception;
    const char *text;
} outcomes[] = {
    [ORDER_DONE] = {0, "confirmed"},
    [ORDER_REFUSED] = {MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE, "refused by the BMS"},
    [ORDER_UNANSWERED] = {MODBUS_EXCEPTION_GATEWAY_TARGET, "not confirmed, the BMS did not answer"},
    [ORDER_TOO_LATE] = {MODBUS_EXCEPTION_GATEWAY_TARGET,
                        "given up, its line could not be used in time"},
    [ORDER_NOT_NOW] = {MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY,
                       "not possible, its present state is not known"},
};

static void log_order(const struct pack_source *source, const char *outcome)
{
    char text[SWITCHES_TEXT];
    log_info("pack %s: client %s orders %s: %s", source->poller->config->name, source->client,
             switches_format(&source->ordered, text), outcome);
}

static void on_switched(void *data, enum order_result result)
{
    struct pack_source *source = data;
    uint64_t ticket = source->ticket;
    source->ticket = 0;
    log_order(source, outcomes[result].text);
    server_order_over(source->host->server, ticket, outcomes[result].exception);
}

uint8_t pack_source_switch(struct pack_source *source, const struct switches *switches,
                           const struct sockaddr *client, uint64_t ticket)
{
    if (source->ticket)
        return MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY;
    address_format(client, source->client);
    source->ordered = *switches;
    source->order = (struct order){
        .poller = source->poller, .switches = *switches, .done = on_switched, .data = source};
    if (!source->line || !line_order(source->line, &source->order))
        return MODBUS_EXCEPTION_GATEWAY_TARGET;
    source->ticket = ticket;
    return 0;
}
