// SPDX-License-Identifier: MIT
/* All pushes of a configuration. */
#include "pushes.h"

#include <stdlib.h>

struct pushes {
    struct push **list;
    unsigned count;
};

struct pushes *pushes_new(struct ev_loop *loop, const struct config *config, push_find *find,
                          void *data, double counts_from)
{
    struct pushes *pushes = calloc(1, sizeof *pushes);
    if (!pushes)
        return NULL;
    pushes->list = calloc(config->push_count + 1, sizeof(struct push *));
    bool ok = pushes->list != NULL;
    while (ok && pushes->count < config->push_count) {
        pushes->list[pushes->count] =
            push_new(loop, &config->pushes[pushes->count], find, data, counts_from);
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
    for (unsigned i = 0; i < pushes->count; i++)
        push_free(pushes->list[i]);
    free(pushes->list);
    free(pushes);
}

void pushes_values_changed(struct pushes *pushes, double now)
{
    for (unsigned i = 0; i < pushes->count; i++)
        push_values_changed(pushes->list[i], now);
}
