// SPDX-License-Identifier: MIT
#include "limiter.h"

#include "base/log.h"

#include <string.h>

void limiter_init(struct limiter *limiter, const struct limits_config *config,
                  struct pack_source *pack, struct bank_source *bank, double now)
{
    *limiter = (struct limiter){.settings = *config, .bank = bank, .count = 1, .needed = 1};
    limiter->parts[0] = pack;
    limiter->kept = bank ? bank->kept : pack->kept;
    limiter->source = bank ? &bank->source : &pack->source;
    if (bank) {
        limiter->count = bank->config->pack_count;
        limiter->needed = bank->config->min_packs;
        memcpy(limiter->parts, bank->parts, sizeof limiter->parts);
    }
    limits_init(&limiter->state, config, now);
}

void limiter_resume(struct limiter *limiter, const struct limiter *old)
{
    for (unsigned i = 0; i < limiter->count; i++)
        for (unsigned n = 0; n < old->count; n++)
            if (limiter->parts[i] == old->parts[n]) {
                limiter->state.members[i].alarms = old->state.members[n].alarms;
                limiter->state.members[i].seen = old->state.members[n].seen;
            }
    if (memcmp(&limiter->settings, &old->settings, sizeof limiter->settings) == 0 &&
        limiter->count == old->count &&
        memcmp(limiter->parts, old->parts, sizeof limiter->parts) == 0)
        limiter->state = old->state;
}

void limiter_update(struct limiter *limiter, double now, time_t wall)
{
    struct limits_pack packs[MAX_BANK_PACKS];
    const bool fresh = source_fresh(limiter->source, now);
    /* A bank that waits for its packs allows nothing, even if enough of them are fresh. */
    const unsigned needed = fresh ? limiter->needed : limiter->count + 1;
    for (unsigned i = 0; i < limiter->count; i++) {
        const struct poller *poller = limiter->parts[i]->poller;
        const struct map_allowed *own = &limiter->parts[i]->source.status.allowed;
        packs[i] = (struct limits_pack){.values = &poller->values,
                                        .fresh = limiter->bank ? !(limiter->bank->missing >> i & 1)
                                                               : fresh,
                                        .begins = !poller->complete,
                                        .age_s = now - poller->published_at,
                                        .stale_after_s = poller_stale_after(poller),
                                        .own = limiter->bank && own->configured ? own : NULL,
                                        .device = poller->devices};
    }
    const struct limits_config *settings = &limiter->settings;
    struct limits_state *state = &limiter->state;
    if (settings->full_every_s > 0 && !state->fills &&
        full_charge_due(limiter->kept, settings->full_every_s, wall)) {
        state->fills = true;
        log_info("limits %s: soc_ceiling is lifted until the cells are full", settings->name);
    }
    limiter->source->status.allowed =
        limits_update(settings, packs, limiter->count, needed, state, now);
    if (!state->full)
        return;
    full_charge_reached(limiter->kept, wall);
    if (state->fills)
        log_info("limits %s: the cells are full, soc_ceiling applies again", settings->name);
    state->fills = false;
}
