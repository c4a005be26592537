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
        .timezone_hours = (int) (local->tm_gmtoff / 3600),
    };
}

static enum map_state connection_state(const struct service *service, double now)
{
    if (!line_is_open(service->line) && poller_stale(service->poller, now))
        return MAP_STATE_NO_LINE;
    if (isnan(service->poller->published_at))
        return MAP_STATE_NEVER;
    return poller_stale(service->poller, now) ? MAP_STATE_STALE : MAP_STATE_FRESH;
}

static struct map_status status_of(const struct service *service, const struct tm *local,
                                   double now)
{
    const struct poller *poller = service->poller;
    struct map_status status = service_host_status(service->host, local, now);
    status.state = connection_state(service, now);
    status.age_s = now - poller->published_at;
    status.polls = poller->counters.polls;
    status.timeouts = poller->counters.timeouts;
    status.checksum_errors = poller->damaged;
    status.reconnects = poller->reconnects;
    status.implausible = poller->counters.implausible;
    status.spikes = poller->counters.spikes;
    status.driver = poller->config->driver->name;
    status.pack_name = poller->config->name;
    status.peak = soc_peak_today(service->kept, local);
    status.charged_wh = service->kept->charged_wh;
    status.discharged_wh = service->kept->discharged_wh;
    return status;
}

struct service *service_new(const struct service_host *host, struct poller *poller,
                            struct line *line, struct kept_entry *kept)
{
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return NULL;
    service->host = host;
    service->poller = poller;
    service->line = line;
    service->kept = kept;
    service->power_w = NAN;
    return service;
}

void service_free(struct service *service)
{
    if (service)
        unit_close(&service->unit);
    free(service);
}

int service_open_unit(struct service *service, const struct gateway_config *gateway, double now)
{
    const struct pack_config *pack = service->poller->config;
    unit_close(&service->unit);
    if (unit_open(&service->unit, (uint8_t) pack->unit, pack->name, &gateway->map,
                  gateway->on_stale) < 0)
        return -1;
    service->unit.writable = pack->writable;
    struct tm local = service_local_time();
    struct map_status status = status_of(service, &local, now);
    if (isnan(service->poller->published_at))
        unit_refresh(&service->unit, &service->poller->values, &status);
    else
        unit_publish(&service->unit, &service->poller->values, &status);
    return 0;
}

/* Power by time, between two cycles that belong together. */
static void count_energy(struct service *service, double now)
{
    double power = service->poller->values.value[POWER_W];
    double seconds = now - service->power_at;
    if (!isnan(power) && !isnan(service->power_w) &&
        seconds <= poller_stale_after(service->poller)) {
        double wh = (power + service->power_w) / 2 * seconds / 3600;
        if (wh > 0)
            service->kept->charged_wh += wh;
        else
            service->kept->discharged_wh -= wh;
    }
    service->power_w = power;
    service->power_at = now;
}

static void log_summary(struct service *service, double now)
{
    bool fresh = !poller_stale(service->poller, now);
    char text[SUMMARY_SIZE];
    if (summary_changed(&service->summary, &service->poller->values, fresh, text))
        log_info("pack %s: %s", service->poller->config->name, text);
}

void service_publish(struct service *service, double now)
{
    struct tm local = service_local_time();
    count_energy(service, now);
    soc_peak_update(service->kept, service->poller->values.value[SOC_PERCENT], &local);
    struct map_status status = status_of(service, &local, now);
    unit_publish(&service->unit, &service->poller->values, &status);
    log_summary(service, now);
}

void service_tick(struct service *service, double now)
{
    struct tm local = service_local_time();
    struct map_status status = status_of(service, &local, now);
    unit_refresh(&service->unit, &service->poller->values, &status);
    log_summary(service, now);
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

static void log_order(const struct service *service, const char *outcome)
{
    char text[SWITCHES_TEXT];
    log_info("pack %s: client %s orders %s: %s", service->poller->config->name, service->client,
             switches_format(&service->ordered, text), outcome);
}

static void on_switched(void *data, enum order_result result)
{
    struct service *service = data;
    uint64_t ticket = service->ticket;
    service->ticket = 0;
    log_order(service, outcomes[result].text);
    server_order_over(service->host->server, ticket, outcomes[result].exception);
}

uint8_t service_switch(struct service *service, const struct switches *switches,
                       const struct sockaddr *client, uint64_t ticket)
{
    if (service->ticket)
        return MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY;
    address_format(client, service->client);
    service->ordered = *switches;
    service->order = (struct order){
        .poller = service->poller, .switches = *switches, .done = on_switched, .data = service};
    if (!service->line || !line_order(service->line, &service->order))
        return MODBUS_EXCEPTION_GATEWAY_TARGET;
    service->ticket = ticket;
    return 0;
}
