// SPDX-License-Identifier: MIT
#include "packs.h"

#include "bank_source.h"
#include "limiter.h"

#include "base/alloc.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The packs and banks of a configuration. */
struct sources {
    struct pack_source **packs; /* in the order of the configuration */
    unsigned pack_count;
    struct bank_source *banks;
    unsigned bank_count;
    struct limiter *limiters;
    unsigned limiter_count;
};

struct packs {
    struct kept *kept;
    const struct config *config;
    struct sources sources;
    double started_at;
    uint16_t memory_mib; /* available on the host */
    TAILQ_HEAD(, observer) observers;
};

struct packs *packs_new(struct kept *kept, double now)
{
    struct packs *packs = alloc_zeroed(1, sizeof *packs);
    packs->kept = kept;
    packs->started_at = now;
    TAILQ_INIT(&packs->observers);
    return packs;
}

static void free_sources(struct sources *sources)
{
    for (unsigned i = 0; i < sources->pack_count; i++)
        pack_source_free(sources->packs[i]);
    free(sources->packs);
    free(sources->banks);
    free(sources->limiters);
    *sources = (struct sources){0};
}

void packs_free(struct packs *packs)
{
    free_sources(&packs->sources);
    free(packs);
}

const struct config *packs_config(const struct packs *packs)
{
    return packs->config;
}

double packs_started_at(const struct packs *packs)
{
    return packs->started_at;
}

const struct source *packs_at(const struct packs *packs, unsigned n)
{
    const struct sources *sources = &packs->sources;
    if (n < sources->pack_count)
        return &sources->packs[n]->source;
    n -= sources->pack_count;
    return n < sources->bank_count ? &sources->banks[n].source : NULL;
}

const struct source *packs_find(const void *packs, const char *name)
{
    const struct source *source;
    for (unsigned n = 0; (source = packs_at(packs, n)); n++)
        if (strcmp(source->name, name) == 0)
            return source;
    return NULL;
}

double packs_next_stale(const struct packs *packs)
{
    const struct source *source;
    double first = INFINITY;
    for (unsigned n = 0; (source = packs_at(packs, n)); n++)
        if (source->status.state == MAP_STATE_FRESH)
            first = fmin(first, source->good_until);
    return first;
}

void packs_observe(struct packs *packs, struct observer *observer)
{
    TAILQ_INSERT_TAIL(&packs->observers, observer, entry);
}

void packs_unobserve(struct packs *packs, struct observer *observer)
{
    TAILQ_REMOVE(&packs->observers, observer, entry);
}

static void notify_observers(struct packs *packs, const struct source *source, unsigned changes,
                             double now)
{
    struct observer *observer;
    TAILQ_FOREACH(observer, &packs->observers, entry)
    observer->changed(observer->data, source, changes, now);
}

/* Reads MemAvailable from the first lines of /proc/meminfo. Without stdio, because it runs every
 * second and a running gateway allocates nothing. */
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

struct map_status packs_host_status(double started_at, uint16_t memory_mib, const struct tm *local,
                                    double now)
{
    return (struct map_status){
        .memory_mib = memory_mib,
        .seconds = (uint16_t) (uint64_t) (now - started_at),
        .timezone_hours = (int) lround((double) local->tm_gmtoff / 3600),
    };
}

/* After any change of a source its limits are recomputed, so that both are of the same moment. */
static void update_limits(struct packs *packs, const struct source *source, double now)
{
    for (unsigned i = 0; i < packs->sources.limiter_count; i++)
        if (packs->sources.limiters[i].source == source)
            limiter_update(&packs->sources.limiters[i], now, time(NULL));
}

/* Updates the pack whose poller has published, and its banks; without a poller all of them, without
 * new values. `quiet`: the observers are not called. */
static void update_sources(struct packs *packs, const struct poller *poller, bool quiet, double now)
{
    const struct sources *sources = &packs->sources;
    const time_t wall = time(NULL);
    struct tm local;
    localtime_r(&wall, &local);
    if (!poller)
        packs->memory_mib = available_memory_mib();
    const struct map_status host =
        packs_host_status(packs->started_at, packs->memory_mib, &local, now);
    for (unsigned i = 0; i < sources->pack_count; i++) {
        struct pack_source *pack = sources->packs[i];
        if (poller && pack->poller != poller)
            continue;
        const unsigned changes = poller ? pack_source_publish(pack, &host, &local, now)
                                        : pack_source_tick(pack, &host, &local, now);
        update_limits(packs, &pack->source, now);
        if (!quiet)
            notify_observers(packs, &pack->source, changes, now);
    }
    for (unsigned i = 0; i < sources->bank_count; i++) {
        struct bank_source *bank = &sources->banks[i];
        if (poller && !bank_source_has(bank, poller))
            continue;
        const unsigned changes = bank_source_update(bank, poller != NULL, &host, &local, now);
        update_limits(packs, &bank->source, now);
        if (!quiet)
            notify_observers(packs, &bank->source, changes, now);
    }
}

void packs_published(struct packs *packs, const struct poller *poller, double now)
{
    update_sources(packs, poller, false, now);
}

void packs_tick(struct packs *packs, double now)
{
    update_sources(packs, NULL, false, now);
}

static void on_order_over(void *data, struct pack_source *pack, const struct order_report *report)
{
    struct packs *packs = data;
    struct observer *observer;
    TAILQ_FOREACH(observer, &packs->observers, entry)
    if (observer->ordered)
        observer->ordered(observer->data, &pack->source, report);
}

enum order_result packs_order(struct packs *packs, const struct source *source,
                              const struct order_request *request)
{
    for (unsigned i = 0; i < packs->sources.pack_count; i++) {
        struct pack_source *pack = packs->sources.packs[i];
        const bool may = request->ordered.sets ? source->settable : source->writable;
        if (&pack->source == source && may)
            return pack_source_order(pack, request);
    }
    return ORDER_NOT_ALLOWED;
}

/* The existing source of a pack if its poller continues, else a new one. */
static void make_packs(struct packs *packs, struct sources *old, const struct polling *polling)
{
    struct sources *sources = &packs->sources;
    const struct config *config = polling->config;
    sources->packs = alloc_zeroed(config->pack_count, sizeof *sources->packs);
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct pack_config *pack = &config->packs[i];
        struct poller *poller = polling->pollers[i];
        struct pack_source *source = NULL;
        for (unsigned n = 0; !source && n < old->pack_count; n++)
            if (old->packs[n] && old->packs[n]->poller == poller) {
                source = old->packs[n];
                old->packs[n] = NULL;
            }
        if (!source)
            source = pack_source_new(poller, polling->lines[pack->line - config->lines],
                                     kept_get(packs->kept, pack->name), on_order_over, packs);
        sources->packs[sources->pack_count++] = source;
    }
}

static struct pack_source *find_pack(const struct sources *sources, const char *name)
{
    for (unsigned i = 0; i < sources->pack_count; i++)
        if (strcmp(sources->packs[i]->poller->config->name, name) == 0)
            return sources->packs[i];
    return NULL;
}

static void make_banks(struct packs *packs, const struct config *config, double now)
{
    struct sources *sources = &packs->sources;
    sources->banks = alloc_zeroed(config->bank_count, sizeof *sources->banks);
    for (unsigned i = 0; i < config->bank_count; i++) {
        const struct bank_config *settings = &config->banks[i];
        struct bank_source *bank = &sources->banks[i];
        for (unsigned p = 0; p < settings->pack_count; p++)
            bank->parts[p] = sources->packs[settings->packs[p] - config->packs];
        bank->shunt_part = find_pack(sources, settings->shunt);
        bank_source_init(bank, settings, kept_get(packs->kept, settings->name), now);
        sources->bank_count++;
    }
}

static void make_limiters(struct sources *sources, const struct sources *old,
                          const struct config *config, double now)
{
    sources->limiters = alloc_zeroed(config->limits_count, sizeof *sources->limiters);
    for (unsigned i = 0; i < config->limits_count; i++) {
        const struct limits_config *limits = &config->limits[i];
        struct limiter *limiter = &sources->limiters[sources->limiter_count];
        struct pack_source *pack = find_pack(sources, limits->of);
        struct bank_source *bank = NULL;
        for (unsigned n = 0; !pack && n < sources->bank_count; n++)
            if (strcmp(sources->banks[n].config->name, limits->of) == 0)
                bank = &sources->banks[n];
        if (!pack && !bank)
            continue;
        limiter_init(limiter, limits, pack, bank, now);
        for (unsigned n = 0; n < old->limiter_count; n++)
            limiter_resume(limiter, &old->limiters[n]);
        sources->limiter_count++;
    }
}

void packs_renew(struct packs *packs, const struct polling *polling, double now)
{
    struct sources old = packs->sources;
    packs->sources = (struct sources){0};
    packs->config = polling->config;
    make_packs(packs, &old, polling);
    make_banks(packs, polling->config, now);
    make_limiters(&packs->sources, &old, polling->config, now);
    free_sources(&old);
    struct observer *observer;
    /* Observers are called only after all of them have renewed their sources. */
    update_sources(packs, NULL, true, now);
    TAILQ_FOREACH(observer, &packs->observers, entry)
    if (observer->renewed)
        observer->renewed(observer->data, now);
    /* Other settings make other values of a bank, and a pack at another address has none yet. */
    const struct source *source;
    for (unsigned n = 0; (source = packs_at(packs, n)); n++)
        if (!source_fresh(source, now))
            notify_observers(packs, source, SOURCE_AGED, now);
        else if (n >= packs->sources.pack_count)
            notify_observers(packs, source, SOURCE_PUBLISHED, now);
}
