// SPDX-License-Identifier: MIT
/* The running gateway. */
#include "gateway.h"

#include "modbus/pushes.h"
#include "packs/bank_source.h"
#include "packs/pack_search.h"
#include "packs/pack_source.h"
#include "packs/saver.h"
#include "lines/polling.h"
#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATE_S 1.5   /* since the last tick, of which there is one each second */
#define DOUBT_S 60.0 /* of silence until a pack that was found before is searched anew */

/* What a configuration makes of packs and banks. */
struct services {
    struct pack_source **packs; /* in the order of the configuration */
    unsigned pack_count;
    struct bank_source *banks;
    unsigned bank_count;
};

struct gateway {
    struct config *config;
    struct ev_loop *loop;
    struct polling *polling;
    struct services services;
    struct units units;
    struct service_host host;
    struct pushes *pushes;
    double searched_at; /* when the packs of the configuration were taken up */
    struct pack_search *
        *searches; /* for the packs of the configuration; NULL: not (any more) searched */
    struct kept *kept;
    char state_file[PORT_SIZE]; /* as at the start */
    struct saver saver;
    ev_timer second, found;
    ev_check woken;
    double ticked_at;
};

/* MemAvailable of /proc/meminfo, which stands in its first lines. No stdio: this is done each
 * second, and nothing is to be allocated while the gateway runs. */
static uint16_t available_memory_mib(void)
{
    char text[512] = "";
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    const char *line = size > 0 ? strstr(text, "MemAvailable:") : NULL;
    unsigned long mib = line ? strtoul(line + strlen("MemAvailable:"), NULL, 10) / 1024 : 0;
    return mib > UINT16_MAX ? UINT16_MAX : (uint16_t) mib;
}

/* ---- values come and grow old ---- */

/* The banks of one pack (NULL: all of them). */
static void update_banks(struct gateway *gateway, const struct poller *poller, double now)
{
    struct tm local = service_local_time();
    struct map_status status = service_host_status(&gateway->host, &local, now);
    for (unsigned i = 0; i < gateway->services.bank_count; i++) {
        struct bank_source *bank = &gateway->services.banks[i];
        if (!poller || bank_source_has(bank, poller))
            bank_source_update(bank, &status, &local, now);
    }
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct gateway *gateway = data;
    for (unsigned i = 0; i < gateway->services.pack_count; i++)
        if (gateway->services.packs[i]->poller == poller)
            pack_source_publish(gateway->services.packs[i], now);
    update_banks(gateway, poller, now);
    pushes_values_changed(gateway->pushes, now);
}

static const struct line_events line_events = {.published = on_published};

static void doubt_found_packs(struct gateway *gateway, double now);

static void tick(struct gateway *gateway, double now)
{
    gateway->ticked_at = now;
    gateway->host.memory_mib = available_memory_mib();
    for (unsigned i = 0; i < gateway->services.pack_count; i++)
        pack_source_tick(gateway->services.packs[i], now);
    update_banks(gateway, NULL, now);
    pushes_values_changed(gateway->pushes, now);
    doubt_found_packs(gateway, now);
}

/* After the host has slept, or the process was stopped, a client must not be answered with what was
 * fresh before, and what it ordered then is not to be switched now. */
static void catch_up(struct gateway *gateway, double late_s)
{
    double now = clock_now(), late = now - gateway->ticked_at;
    if (late <= late_s)
        return;
    tick(gateway, now);
    if (late > ORDER_VALID_S)
        server_drop_clients(gateway->host.server);
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    catch_up(timer->data, 0);
}

/* Comes first in each turn of the loop: its timers slept as well. */
static void on_woken(struct ev_loop *loop, ev_check *check, int revents)
{
    (void) loop;
    (void) revents;
    catch_up(check->data, LATE_S);
}

/* ---- what others ask of packs and banks ---- */

static uint8_t carry_out(void *data, struct unit *unit, const struct switches *switches,
                         const struct sockaddr *client, uint64_t ticket)
{
    struct gateway *gateway = data;
    for (unsigned i = 0; i < gateway->services.pack_count; i++)
        if (&gateway->services.packs[i]->unit == unit)
            return pack_source_switch(gateway->services.packs[i], switches, client, ticket);
    return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
}

static bool is_fresh(const void *poller, double now)
{
    return !poller_stale(poller, now);
}

static bool is_bank_fresh(const void *bank, double now)
{
    return bank_source_fresh(bank, now);
}

static bool find_bank(const struct gateway *gateway, const char *name, struct push_source *source)
{
    for (unsigned i = 0; i < gateway->services.bank_count; i++) {
        const struct bank_source *bank = &gateway->services.banks[i];
        if (strcmp(bank->config->name, name) != 0)
            continue;
        *source = (struct push_source){.values = &bank->values,
                                       .status = &bank->unit.status,
                                       .fresh = is_bank_fresh,
                                       .owner = bank,
                                       .settle_s = bank_source_settle_s(bank)};
        return true;
    }
    return false;
}

static bool find_source(void *data, const char *name, struct push_source *source)
{
    const struct gateway *gateway = data;
    for (unsigned i = 0; i < gateway->services.pack_count; i++) {
        const struct pack_source *service = gateway->services.packs[i];
        const struct poller *poller = service->poller;
        if (strcmp(poller->config->name, name) != 0)
            continue;
        *source = (struct push_source){.values = &poller->values,
                                       .status = &service->unit.status,
                                       .fresh = is_fresh,
                                       .owner = poller,
                                       .settle_s = poller_stale_after(poller)};
        return true;
    }
    return find_bank(gateway, name, source);
}

/* ---- from a configuration to services ---- */

/* The service of a pack: that of its poller where it goes on, else a new one. */
static struct pack_source *take_service(struct gateway *gateway, struct services *old,
                                        const struct config *config, unsigned index)
{
    struct poller *poller = gateway->polling->pollers[index];
    const struct pack_config *pack = &config->packs[index];
    for (unsigned i = 0; i < old->pack_count; i++)
        if (old->packs[i] && old->packs[i]->poller == poller) {
            struct pack_source *service = old->packs[i];
            old->packs[i] = NULL;
            return service;
        }
    struct kept_entry *kept = kept_get(gateway->kept, pack->name);
    struct line *line = gateway->polling->lines[pack->line - config->lines];
    return poller && kept ? pack_source_new(&gateway->host, poller, line, kept) : NULL;
}

static bool make_packs(struct gateway *gateway, struct services *old, const struct config *config,
                       double now)
{
    struct services *services = &gateway->services;
    services->packs = calloc(config->pack_count, sizeof *services->packs);
    for (unsigned i = 0; services->packs && i < config->pack_count; i++) {
        struct pack_source *service = take_service(gateway, old, config, i);
        if (!service)
            return false;
        services->packs[services->pack_count++] = service;
        if (pack_source_open_unit(service, &config->gateway, now) < 0)
            return false;
        units_add(&gateway->units, &service->unit);
    }
    return services->packs != NULL;
}

static bool make_banks(struct gateway *gateway, const struct config *config, double now)
{
    struct services *services = &gateway->services;
    services->banks = calloc(config->bank_count + 1, sizeof *services->banks);
    for (unsigned i = 0; services->banks && i < config->bank_count; i++) {
        const struct bank_config *settings = &config->banks[i];
        struct bank_source *bank = &services->banks[i];
        struct kept_entry *kept = kept_get(gateway->kept, settings->name);
        if (!kept || bank_source_open(bank, settings, &config->gateway, kept, now) < 0)
            return false;
        for (unsigned p = 0; p < settings->pack_count; p++) {
            const struct pack_source *service = services->packs[settings->packs[p] - config->packs];
            bank->sources[p] = (struct bank_part){service->poller, service->line, service->kept};
        }
        services->bank_count++;
        units_add(&gateway->units, &bank->unit);
    }
    return services->banks != NULL;
}

static void free_services(struct services *services)
{
    for (unsigned i = 0; i < services->pack_count; i++)
        pack_source_free(services->packs[i]);
    for (unsigned i = 0; i < services->bank_count; i++)
        bank_source_close(&services->banks[i]);
    free(services->packs);
    free(services->banks);
    *services = (struct services){0};
}

/* Everything between polling and server, from `config`; services of `old` whose pollers go on
 * are taken over. */
static bool make_services(struct gateway *gateway, struct services *old, struct config *config)
{
    double now = clock_now();
    gateway->units = (struct units){0};
    gateway->services = (struct services){0};
    if (!make_packs(gateway, old, config, now) || !make_banks(gateway, config, now))
        return false;
    /* In the place of the first pack, the first bank is what a client gets that asks for no
     * unit. */
    units_set_default(&gateway->units, gateway->services.bank_count > 0
                                           ? &gateway->services.banks[0].unit
                                           : &gateway->services.packs[0]->unit);
    gateway->config = config;
    gateway->searched_at = now;
    gateway->pushes =
        pushes_new(gateway->loop, config, find_source, gateway, gateway->host.started_at);
    update_banks(gateway, NULL, now);
    return gateway->pushes != NULL;
}

/* ---- packs with `protocol = auto` ---- */

/* Packs that were found before are what they were then. */
static void recall_packs(struct gateway *gateway, struct config *config)
{
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct kept_entry *kept = kept_get(gateway->kept, config->packs[i].name);
        if (config->packs[i].automatic && kept)
            pack_search_recall(config, &config->packs[i], kept);
    }
}

static void end_searches(struct gateway *gateway)
{
    for (unsigned i = 0; gateway->searches && i < gateway->config->pack_count; i++)
        pack_search_free(gateway->searches[i]);
    free(gateway->searches);
    gateway->searches = NULL;
}

/* The loop comes back here when the search's own call is over: the same configuration, with one
 * pack more. */
static void on_found(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct gateway *gateway = timer->data;
    gateway_reload(gateway, gateway->config);
}

static void note_found(void *data)
{
    struct gateway *gateway = data;
    ev_timer_start(gateway->loop, &gateway->found);
}

static void search_packs(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    gateway->searches = calloc(config->pack_count, sizeof *gateway->searches);
    for (unsigned i = 0; gateway->searches && i < config->pack_count; i++) {
        struct kept_entry *kept = kept_get(gateway->kept, config->packs[i].name);
        if (kept && pack_search_is_open(&config->packs[i]))
            gateway->searches[i] =
                pack_search_new(gateway->loop, &config->packs[i], kept, note_found, gateway);
    }
}

/* What was found in an earlier life does not answer in this one: the BMS may be another one now. */
static void doubt_found_packs(struct gateway *gateway, double now)
{
    for (unsigned i = 0; i < gateway->services.pack_count; i++) {
        const struct pack_source *service = gateway->services.packs[i];
        const struct pack_config *pack = &gateway->config->packs[i];
        if (!pack->automatic || pack_search_is_open(pack) || !isnan(service->poller->last_answer) ||
            now - gateway->searched_at < DOUBT_S)
            continue;
        log_warn("pack %s: %s was found before and does not answer now; searching anew", pack->name,
                 pack->driver->name);
        pack_search_forget(service->kept);
        ev_timer_start(gateway->loop, &gateway->found);
    }
}

/* ---- life ---- */

struct gateway *gateway_new(struct ev_loop *loop, struct config *config)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway)
        return NULL;
    gateway->loop = loop;
    gateway->host.started_at = clock_now();
    gateway->host.memory_mib = available_memory_mib();
    snprintf(gateway->state_file, sizeof gateway->state_file, "%s", config->gateway.state_file);
    gateway->kept = kept_load(gateway->state_file);
    ev_timer_init(&gateway->found, on_found, 0, 0);
    gateway->found.data = gateway;
    if (gateway->kept)
        recall_packs(gateway, config);
    gateway->polling =
        gateway->kept ? polling_new(loop, config, NULL, &line_events, gateway) : NULL;
    struct services none = {0};
    if (!gateway->polling || !make_services(gateway, &none, config)) {
        log_error("out of memory");
        gateway_free(gateway);
        return NULL;
    }
    gateway->host.server = server_new(loop, &config->gateway, &gateway->units);
    if (!gateway->host.server) {
        gateway_free(gateway);
        return NULL;
    }
    server_set_orders(gateway->host.server, &config->gateway.allow_write, carry_out, gateway);
    return gateway;
}

void gateway_start(struct gateway *gateway)
{
    ev_timer_init(&gateway->second, on_second, 1, 1);
    gateway->second.data = gateway;
    ev_timer_start(gateway->loop, &gateway->second);
    gateway->ticked_at = clock_now();
    ev_check_init(&gateway->woken, on_woken);
    ev_set_priority(&gateway->woken, EV_MAXPRI);
    gateway->woken.data = gateway;
    ev_check_start(gateway->loop, &gateway->woken);
    saver_start(&gateway->saver, gateway->loop, gateway->kept, gateway->state_file);
    polling_start(gateway->polling);
    search_packs(gateway);
}

/* What is set up once. */
static void warn_of_restart(const struct gateway_config *old, const struct gateway_config *fresh)
{
    const struct {
        const char *key;
        bool changed;
    } keys[] = {
        {"listen", old->listen_count != fresh->listen_count ||
                       memcmp(old->listen, fresh->listen, sizeof old->listen) != 0},
        {"max_clients", old->max_clients != fresh->max_clients},
        {"state_file", strcmp(old->state_file, fresh->state_file) != 0},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].changed)
            log_warn("the new value of '%s' needs a restart", keys[i].key);
}

bool gateway_reload(struct gateway *gateway, struct config *config)
{
    end_searches(gateway);
    recall_packs(gateway, config);
    struct polling *polling =
        polling_renew(gateway->polling, gateway->loop, config, NULL, &line_events, gateway);
    if (!polling)
        return false;
    gateway->polling = polling;
    warn_of_restart(&gateway->config->gateway, &config->gateway);
    pushes_free(gateway->pushes);
    struct services old = gateway->services;
    bool made = make_services(gateway, &old, config);
    free_services(&old);
    if (!made) {
        log_error("out of memory while the configuration was changed");
        abort(); /* half a gateway must not go on; the service manager starts a whole one */
    }
    server_set_policy(gateway->host.server, &config->gateway);
    server_set_orders(gateway->host.server, &config->gateway.allow_write, carry_out, gateway);
    polling_start(gateway->polling);
    search_packs(gateway);
    return true;
}

unsigned gateway_port(const struct gateway *gateway, unsigned index)
{
    return server_port(gateway->host.server, index);
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return;
    ev_timer_stop(gateway->loop, &gateway->second);
    ev_check_stop(gateway->loop, &gateway->woken);
    ev_timer_stop(gateway->loop, &gateway->found);
    end_searches(gateway);
    /* First the lines: an order under way ends there, and its client hears by the server. */
    polling_free(gateway->polling);
    pushes_free(gateway->pushes);
    server_free(gateway->host.server);
    free_services(&gateway->services);
    saver_stop(&gateway->saver);
    kept_free(gateway->kept);
    free(gateway);
}
