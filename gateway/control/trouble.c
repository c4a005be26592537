// SPDX-License-Identifier: MIT
/* Records the last trouble of each pack and bank. */
#include "trouble.h"

#include <stdlib.h>
#include <string.h>

struct trouble_of {
    const struct source *source;
    char name[NAME_SIZE]; /* by name, because a reload creates new sources */
    struct map_status seen;
    const char *words; /* NULL: no trouble so far */
    double at;
    double told_at; /* `seen` */
};

struct troubles {
    struct packs *packs;
    struct observer observer;
    struct trouble_of *list;
    unsigned count;
};

/* The worst of what has changed; NULL: no trouble. */
static const char *name_trouble(const struct map_status *before, const struct map_status *now,
                                bool is_bank)
{
    if (now->state != before->state) {
        if (now->state == MAP_STATE_NO_LINE)
            return "its line is down";
        if (now->state == MAP_STATE_STALE)
            return is_bank ? "too few of its packs are fresh" : "no answer, its values are stale";
    }
    if (now->timeouts > before->timeouts)
        return "a request was not answered";
    if (now->checksum_errors > before->checksum_errors)
        return "a damaged frame came";
    if (now->implausible > before->implausible)
        return "a value out of range was rejected";
    if (now->spikes > before->spikes)
        return "a reading that jumped was not confirmed by the next";
    return NULL;
}

static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct troubles *troubles = data;
    for (unsigned i = 0; i < troubles->count; i++) {
        struct trouble_of *trouble = &troubles->list[i];
        if (trouble->source != source)
            continue;
        const char *words = name_trouble(&trouble->seen, &source->status, source->members != NULL);
        if (words) {
            trouble->words = words;
            trouble->at = now;
        }
        trouble->seen = source->status;
        trouble->told_at = now;
        return;
    }
}

static const struct trouble_of *find_name(const struct trouble_of *list, unsigned count,
                                          const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

/* If memory runs out, no trouble is recorded: a gap in a table, no reason to fail. */
static bool renew_troubles(struct troubles *troubles, double now)
{
    struct trouble_of *old = troubles->list;
    unsigned old_count = troubles->count, count = 0;
    while (packs_at(troubles->packs, count))
        count++;
    troubles->list = calloc(count + 1, sizeof *troubles->list);
    troubles->count = troubles->list ? count : 0;
    for (unsigned i = 0; i < troubles->count; i++) {
        const struct source *source = packs_at(troubles->packs, i);
        const struct trouble_of *before = find_name(old, old_count, source->name);
        if (before)
            troubles->list[i] = *before;
        troubles->list[i].source = source;
        troubles->list[i].seen = source->status;
        troubles->list[i].told_at = now;
        snprintf(troubles->list[i].name, NAME_SIZE, "%s", source->name);
    }
    free(old);
    return troubles->list != NULL;
}

static void on_renewed(void *data, double now)
{
    renew_troubles(data, now);
}

struct troubles *troubles_new(struct packs *packs, double now)
{
    struct troubles *troubles = calloc(1, sizeof *troubles);
    if (!troubles)
        return NULL;
    troubles->packs = packs;
    troubles->observer =
        (struct observer){.changed = on_changed, .renewed = on_renewed, .data = troubles};
    if (!renew_troubles(troubles, now)) {
        free(troubles);
        return NULL;
    }
    packs_observe(packs, &troubles->observer);
    return troubles;
}

void troubles_free(struct troubles *troubles)
{
    if (!troubles)
        return;
    packs_unobserve(troubles->packs, &troubles->observer);
    free(troubles->list);
    free(troubles);
}

const char *troubles_of(const struct troubles *troubles, const struct source *source, double *at)
{
    for (unsigned i = 0; i < troubles->count; i++)
        if (troubles->list[i].source == source) {
            *at = troubles->list[i].at;
            return troubles->list[i].words;
        }
    return NULL;
}

double troubles_age(const struct troubles *troubles, const struct source *source, double now)
{
    for (unsigned i = 0; i < troubles->count; i++)
        if (troubles->list[i].source == source)
            return source->status.age_s + (now - troubles->list[i].told_at);
    return source->status.age_s;
}
