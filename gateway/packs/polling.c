// SPDX-License-Identifier: MIT
#include "polling.h"

#include "config/keys.h"
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Where the old one has the poller of the same pack on its line `from`; NULL: it has none. */
static struct poller **find_same(const struct polling *old, unsigned from,
                                 const struct pack_config *pack)
{
    for (unsigned i = 0; i < old->pack_count; i++) {
        const struct pack_config *other = &old->config->packs[i];
        /* The driver that it runs with: `auto` changes the configuration in place. */
        bool runs = old->pollers[i] && old->pollers[i]->bms.driver == pack->driver;
        if (runs && other->line == &old->config->lines[from] &&
            config_same(&pack_section, other, pack, CHANGE_LINE))
            return &old->pollers[i];
    }
    return NULL;
}

/* Whether line `l` of the new configuration is line `from` of the old one, with the same packs. */
static bool is_unchanged(const struct polling *old, unsigned from, const struct config *config,
                         unsigned l)
{
    if (!old->lines[from] || config->lines[l].searching ||
        !config_same(&line_section, &old->config->lines[from], &config->lines[l], CHANGE_LINE))
        return false;
    unsigned left = 0;
    for (unsigned i = 0; i < old->pack_count; i++)
        left += old->pollers[i] && old->config->packs[i].line == &old->config->lines[from];
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct pack_config *pack = &config->packs[i];
        if (pack->line == &config->lines[l] && !find_same(old, from, pack))
            return false;
        left -= pack->line == &config->lines[l];
    }
    return left == 0;
}

static void take_options(struct bms *bms, const struct pack_config *pack)
{
    bms->options.map = pack->options.map;
    memcpy(bms->options.password, pack->options.password, sizeof pack->options.password);
}

/* Moves a line and its pollers over. */
static void move_line(struct polling *old, unsigned from, struct polling *renewed, unsigned l)
{
    for (unsigned i = 0; i < renewed->pack_count; i++) {
        const struct pack_config *pack = &renewed->config->packs[i];
        if (pack->line != &renewed->config->lines[l])
            continue;
        struct poller **same = find_same(old, from, pack), *poller = *same;
        poller->config = pack;
        /* The old map goes, also from what a reply in doubt puts back. */
        take_options(&poller->bms, pack);
        take_options(&poller->before, pack);
        renewed->pollers[i] = poller;
        *same = NULL;
    }
    renewed->lines[l] = old->lines[from];
    line_rebind(renewed->lines[l], &renewed->config->lines[l]);
    old->lines[from] = NULL;
}

struct polling *polling_new(struct polling *old, struct ev_loop *loop, const struct config *config,
                            polling_wanted *wanted, const struct line_events *events, void *data)
{
    struct polling *polling = alloc_zeroed(1, sizeof *polling);
    *polling = (struct polling){
        .config = config,
        .pollers = alloc_zeroed(config->pack_count, sizeof(struct poller *)),
        .pack_count = config->pack_count,
        .lines = alloc_zeroed(config->line_count, sizeof(struct line *)),
        .line_count = config->line_count,
    };
    for (unsigned l = 0; l < config->line_count; l++)
        for (unsigned from = 0; old && from < old->line_count && !polling->lines[l]; from++)
            if (is_unchanged(old, from, config, l))
                move_line(old, from, polling, l);
    for (unsigned i = 0; i < config->pack_count; i++)
        if (!polling->pollers[i] && (!wanted || wanted(data, &config->packs[i])))
            polling->pollers[i] = poller_new(&config->packs[i]);
    /* Lines for the pollers on those that have none. */
    struct poller **members = alloc_zeroed(config->pack_count, sizeof(struct poller *));
    for (unsigned l = 0; l < config->line_count; l++) {
        const struct line_config *line = &config->lines[l];
        unsigned count = 0;
        for (unsigned p = 0; p < config->pack_count; p++)
            /* The line of a pack that is still to be found belongs to its search. */
            if (polling->pollers[p] && config->packs[p].line == line && !line->searching &&
                config->packs[p].driver != &automatic_driver)
                members[count++] = polling->pollers[p];
        if (count == 0 || polling->lines[l])
            continue;
        polling->lines[l] = line_new(loop, line, members, count, events, data);
        /* A serial server may pass on the answers to the line that used it until now. */
        for (unsigned from = 0; old && from < old->line_count; from++)
            if (old->lines[from] && strcmp(old->config->lines[from].port, line->port) == 0)
                line_follow(polling->lines[l], old->lines[from]);
    }
    free(members);
    polling_free(old);
    return polling;
}

void polling_free(struct polling *polling)
{
    if (!polling)
        return;
    for (unsigned i = 0; i < polling->line_count; i++)
        line_free(polling->lines[i]);
    for (unsigned i = 0; i < polling->pack_count; i++)
        poller_free(polling->pollers[i]);
    free(polling->lines);
    free(polling->pollers);
    free(polling);
}

void polling_start(struct polling *polling)
{
    for (unsigned i = 0; i < polling->line_count; i++)
        if (polling->lines[i])
            line_start(polling->lines[i]);
}
