// SPDX-License-Identifier: MIT
/* Push: all targets of a configuration. */
#include "push.h"

#include "push_target.h"

#include <stdlib.h>

struct pushes {
    struct packs *packs;
    struct observer observer;
    struct push_target **targets;
    unsigned count;
};

static const struct source *find_source(const void *data, const char *name)
{
    return packs_find(data, name);
}

static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct pushes *pushes = data;
    for (unsigned i = 0; i < pushes->count; i++)
        push_target_values_changed(pushes->targets[i], source, now);
}

/* The target of a push, shared if it exists already; NULL: out of memory. */
static struct push_target *target_of(struct pushes *pushes, struct ev_loop *loop,
                                     const struct push_config *config, unsigned most)
{
    for (unsigned i = 0; i < pushes->count; i++)
        if (push_target_is_of(pushes->targets[i], config))
            return pushes->targets[i];
    struct push_target *target = push_target_new(loop, config, most);
    if (target)
        pushes->targets[pushes->count++] = target;
    return target;
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
    pushes->targets = calloc(config->push_count + 1, sizeof(struct push_target *));
    bool ok = pushes->targets != NULL;
    for (unsigned i = 0; ok && i < config->push_count; i++) {
        const struct push_config *push = &config->pushes[i];
        struct push_target *target = target_of(pushes, loop, push, config->push_count);
        ok = target && push_target_add(target, push, find_source, packs, packs_started_at(packs));
    }
    if (!ok) {
        pushes_free(pushes);
        return NULL;
    }
    return pushes;
}

bool pushes_state(const struct pushes *pushes, unsigned n, struct push_state_of *state)
{
    for (unsigned i = 0; i < pushes->count; i++) {
        unsigned count = push_target_count(pushes->targets[i]);
        if (n < count) {
            push_target_state(pushes->targets[i], n, state);
            return true;
        }
        n -= count;
    }
    return false;
}

void pushes_free(struct pushes *pushes)
{
    if (!pushes)
        return;
    packs_unobserve(pushes->packs, &pushes->observer);
    for (unsigned i = 0; i < pushes->count; i++)
        push_target_free(pushes->targets[i]);
    free(pushes->targets);
    free(pushes);
}
