// SPDX-License-Identifier: MIT
/* All pushes of a configuration. */
#include "pushes.h"

#include <stdlib.h>

struct pushes {
    struct packs *packs;
    struct observer observer;
    struct push **list;
    unsigned count;
};

static const struct source *find_source(const void *data, const char *name)
{
    return packs_find(data, name);
}

static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    (void) changes;
    struct pushes *pushes = data;
    for (unsigned i = 0; i < pushes->count; i++)
        push_values_changed(pushes->list[i], source, now);
}

struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs)
{
    const struct config *config = packs_config(packs);
    struct pushes *pushes = calloc(1, sizeof *pushes);
    if (!pushes)
        return NULL;
    pushes->packs = packs;
    pushes->observer = (struct observer){.changed = on_changed, .data = pushes};
    packs_observe(packs, &pushes->observer);
    pushes->list = calloc(config->push_count + 1, sizeof(struct push *));
    bool ok = pushes->list != NULL;
    while (ok && pushes->count < config->push_count) {
        pushes->list[pushes->count] = push_new(loop, &config->pushes[pushes->count], find_source,
                                               packs, packs_started_at(packs));
        ok = pushes->list[pushes->count] != NULL;
        pushes->count += ok;
    }
    if (!ok) {
        pushes_free(pushes);
        return NULL;
    }
    return pushes;
}

void pushes_free(struct pushes *pushes)
{
    if (!pushes)
        return;
    packs_unobserve(pushes->packs, &pushes->observer);
    for (unsigned i = 0; i < pushes->count; i++)
        push_free(pushes->list[i]);
    free(pushes->list);
    free(pushes);
}
