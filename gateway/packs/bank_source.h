// SPDX-License-Identifier: MIT
/* A bank as a source: combined anew when one of its packs has new values or turns stale, published
 * whole, and stale itself if too few of its packs are fresh. */
#pragma once

#include "bank.h"
#include "pack_source.h"

struct bank_source {
    struct source source;
    const struct bank_config *config;
    const struct pack_source *parts[MAX_BANK_PACKS]; /* config->pack_count packs, in its order */
    const struct source *members[MAX_BANK_PACKS];    /* their sources */
    struct kept_entry *kept; /* the bank's own entry, for the day's highest SOC */
    struct pack values;      /* published last */
    struct map_bank extras;
    uint32_t missing; /* packs that do not count: bit n is position n + 1 */
    struct outlook outlook;
    const struct pack_source
        *shunt_part; /* measures the bank's current and state of charge; NULL: none does */
    struct shunt shunt;
    bool told_shunt_missing, told_shunt_differs;
    struct summary summary;
    uint32_t told_missing;
    double started_at;
};

/** Prepares a bank that is zero but for `parts`, in the order of `config`, and `shunt_part`. */
void bank_source_init(struct bank_source *bank, const struct bank_config *config,
                      struct kept_entry *kept, double now);

/** Whether its values depend on that pack. */
bool bank_source_has(const struct bank_source *bank, const struct poller *poller);

/** Combines its packs after one of them has `published`, and once a second; logs what has changed.
 * `host`: the gateway's own values; `local`: the local time. Returns enum source_change. */
unsigned bank_source_update(struct bank_source *bank, bool published, const struct map_status *host,
                            const struct tm *local, double now);
