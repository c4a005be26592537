// SPDX-License-Identifier: MIT
/*
 * A bank as a source: combined anew when one of its packs has new values or becomes stale, published
 * whole, stale itself when fewer of its packs are fresh than it needs.
 */
#ifndef PACKGATE_PACKS_BANK_SOURCE_H
#define PACKGATE_PACKS_BANK_SOURCE_H

#include "bank.h"
#include "pack_source.h"

struct bank_source {
    struct source source;
    const struct bank_config *config;
    const struct pack_source *parts[MAX_BANK_PACKS]; /* config->pack_count of them, in its order */
    const struct source *members[MAX_BANK_PACKS];    /* the same */
    struct kept_entry *kept;                         /* the bank's own, for the day's highest SOC */
    struct pack values;                              /* published last */
    struct map_bank extras;
    double published_at; /* when the oldest of the values was read; NaN: never */
    double good_until;   /* of the values */
    uint32_t missing;    /* packs that are not counted in: bit n is place n + 1 */
    struct summary summary;
    uint32_t told_missing;
    double started_at;
};

/** Takes up a bank; the caller fills `parts` in the order of `config` and then calls
 * bank_source_join. All pointers are kept. */
void bank_source_init(struct bank_source *bank, const struct bank_config *config,
                      struct kept_entry *kept, double now);
void bank_source_join(struct bank_source *bank);

bool bank_source_has(const struct bank_source *bank, const struct pack_source *pack);

/** Combines its packs and says in the log what has changed. To be called after a pack has
 * published (`published`), and once a second. `host` has what the gateway itself knows filled in;
 * `local` is the local time. Returns enum source_change. */
unsigned bank_source_update(struct bank_source *bank, bool published, const struct map_status *host,
                            const struct tm *local, double now);

#endif
