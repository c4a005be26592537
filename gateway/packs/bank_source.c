// SPDX-License-Identifier: MIT
/* A bank, from the pollers of its packs to its unit. */
#include "bank_source.h"

#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAMES_SIZE (MAX_BANK_PACKS * (NAME_SIZE + 2))

_Static_assert(MAX_BANK_PACKS <= 32, "told_missing has a bit for each");

int bank_source_open(struct bank_source *service, const struct bank_config *config,
                     const struct gateway_config *gateway, struct kept_entry *kept, double now)
{
    *service = (struct bank_source){
        .config = config,
        .kept = kept,
        .extras = {.needed = config->min_packs,
                   .missing = config->pack_count,
                   .temp_max_c = NAN,
                   .temp_min_c = NAN},
        .published_at = NAN,
        .started_at = now,
    };
    pack_clear(&service->values);
    return unit_open(&service->unit, (uint8_t) config->unit, config->name, &gateway->map,
                     gateway->on_stale);
}

void bank_source_close(struct bank_source *service)
{
    unit_close(&service->unit);
}

bool bank_source_has(const struct bank_source *service, const struct poller *poller)
{
    for (unsigned i = 0; i < service->config->pack_count; i++)
        if (service->sources[i].poller == poller)
            return true;
    return false;
}

/* Bit n: place n + 1. */
static uint32_t find_missing(const struct bank_source *service, double now)
{
    uint32_t missing = 0;
    for (unsigned i = 0; i < service->config->pack_count; i++)
        if (poller_stale(service->sources[i].poller, now))
            missing |= 1u << i;
    return missing;
}

static unsigned count_present(const struct bank_source *service, uint32_t missing)
{
    return service->config->pack_count - (unsigned) __builtin_popcount(missing);
}

bool bank_source_fresh(const struct bank_source *service, double now)
{
    return count_present(service, find_missing(service, now)) >= service->config->min_packs;
}

double bank_source_settle_s(const struct bank_source *service)
{
    double longest = 0;
    for (unsigned i = 0; i < service->config->pack_count; i++)
        longest = fmax(longest, poller_stale_after(service->sources[i].poller));
    return longest;
}

/* ---- what is said of the packs ---- */

static void list_missing(const struct bank_source *service, uint32_t missing, char out[NAMES_SIZE])
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < service->config->pack_count; i++)
        if (missing >> i & 1)
            used += (size_t) snprintf(out + used, NAMES_SIZE - used, "%s%s", used > 0 ? ", " : "",
                                      service->config->packs[i]->name);
}

static void report_missing(struct bank_source *service, uint32_t missing, double now)
{
    const struct bank_config *config = service->config;
    if (missing == service->told_missing ||
        (missing && now - service->started_at < bank_source_settle_s(service)))
        return;
    service->told_missing = missing;
    if (!missing) {
        log_info("bank %s: all %u packs are there", config->name, config->pack_count);
        return;
    }
    char names[NAMES_SIZE], verdict[100] = "its values are those of the others";
    unsigned present = service->extras.present;
    list_missing(service, missing, names);
    if (present < config->min_packs)
        snprintf(verdict, sizeof verdict, "it is not served with fewer than %u (min_packs)",
                 config->min_packs);
    log_warn("bank %s: %u of %u packs, %s missing; %s", config->name, present, config->pack_count,
             names, verdict);
}

static void report_summary(struct bank_source *service)
{
    char text[SUMMARY_SIZE];
    if (summary_changed(&service->summary, &service->values, service->fresh, text))
        log_info("bank %s: %s", service->config->name, text);
}

/* ---- an update ---- */

static void gather(const struct bank_source *service, uint32_t missing,
                   struct bank_member members[MAX_BANK_PACKS])
{
    for (unsigned i = 0; i < service->config->pack_count; i++) {
        const struct poller *poller = service->sources[i].poller;
        members[i] = (struct bank_member){.pack = &poller->values,
                                          .capacity_ah = poller->config->options.capacity_ah,
                                          .fresh = !(missing >> i & 1)};
    }
}

static double oldest(const struct bank_source *service, uint32_t missing)
{
    double at = NAN;
    for (unsigned i = 0; i < service->config->pack_count; i++)
        if (!(missing >> i & 1))
            at = fmin(at, service->sources[i].poller->published_at);
    return at;
}

/* Old values stay as they were published; how many packs there are is told all the same. */
static void combine(struct bank_source *service, uint32_t missing)
{
    struct bank_member members[MAX_BANK_PACKS];
    unsigned count = service->config->pack_count;
    service->extras.present = count_present(service, missing);
    service->extras.missing = count - service->extras.present;
    service->fresh = service->extras.present >= service->config->min_packs;
    if (!service->fresh)
        return;
    gather(service, missing, members);
    bank_combine(members, count, &service->values, &service->extras);
    service->published_at = oldest(service, missing);
}

static enum map_state connection_state(const struct bank_source *service)
{
    if (service->fresh)
        return MAP_STATE_FRESH;
    for (unsigned i = 0; i < service->config->pack_count; i++)
        if (line_is_open(service->sources[i].line))
            return isnan(service->published_at) ? MAP_STATE_NEVER : MAP_STATE_STALE;
    return MAP_STATE_NO_LINE;
}

static struct map_status status_of(const struct bank_source *service, const struct map_status *host,
                                   const struct tm *local, double now)
{
    struct map_status status = *host;
    status.state = connection_state(service);
    status.age_s = now - service->published_at;
    status.driver = "bank";
    status.pack_name = service->config->name;
    status.peak = soc_peak_today(service->kept, local);
    status.bank = &service->extras;
    status.charged_wh = status.discharged_wh = 0;
    for (unsigned i = 0; i < service->config->pack_count; i++) {
        const struct bank_part *source = &service->sources[i];
        status.polls += source->poller->counters.polls;
        status.timeouts += source->poller->counters.timeouts;
        status.checksum_errors += source->poller->damaged;
        status.reconnects += source->poller->reconnects;
        status.implausible += source->poller->counters.implausible;
        status.spikes += source->poller->counters.spikes;
        status.charged_wh += source->kept->charged_wh;
        status.discharged_wh += source->kept->discharged_wh;
    }
    return status;
}

void bank_source_update(struct bank_source *service, const struct map_status *host,
                        const struct tm *local, double now)
{
    uint32_t missing = find_missing(service, now);
    combine(service, missing);
    if (service->fresh)
        soc_peak_update(service->kept, service->values.value[SOC_PERCENT], local);
    struct map_status status = status_of(service, host, local, now);
    if (service->fresh)
        unit_publish(&service->unit, &service->values, &status);
    else
        unit_refresh(&service->unit, &service->values, &status);
    report_missing(service, missing, now);
    report_summary(service);
}
