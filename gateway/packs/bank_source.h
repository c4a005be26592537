// SPDX-License-Identifier: MIT
/*
 * A bank as it is served: combined anew when one of its packs has new values or becomes stale,
 * published whole, stale itself when fewer of its packs are fresh than it needs.
 */
#ifndef PACKGATE_PACKS_BANK_SOURCE_H
#define PACKGATE_PACKS_BANK_SOURCE_H

#include "bank.h"
#include "kept.h"
#include "summary.h"

#include "modbus/units.h"
#include "lines/line.h"

/* A pack, as far as its banks look at it. */
struct bank_part {
    const struct poller *poller;
    const struct line *line;
    const struct kept_entry *kept;
};

struct bank_source {
    const struct bank_config *config;
    struct bank_part sources[MAX_BANK_PACKS]; /* config->pack_count of them */
    struct unit unit;
    struct kept_entry *kept; /* the bank's own, for the day's highest SOC */
    struct pack values;      /* published last */
    struct map_bank extras;
    double published_at; /* when the oldest of the values was read; NaN: never */
    bool fresh;
    struct summary summary; /* what the log last said */
    uint32_t told_missing;  /* of which packs: bit n is place n + 1 */
    double started_at;
};

/** Gets the registers; the caller fills `sources` in the order of `config` before the first
 * update. All pointers are kept by reference. 0, or -1 with errno. */
int bank_source_open(struct bank_source *service, const struct bank_config *config,
                     const struct gateway_config *gateway, struct kept_entry *kept, double now);
void bank_source_close(struct bank_source *service);

/** Whether enough of its packs are fresh. */
bool bank_source_fresh(const struct bank_source *service, double now);

/** How long after the start a pack that is missing is not yet worth a word. */
double bank_source_settle_s(const struct bank_source *service);

bool bank_source_has(const struct bank_source *service, const struct poller *poller);

/** Combines, publishes and says in the log what has changed. To be called for new values of a
 * pack, and once a second. `host` has what the gateway itself knows filled in; `local` is the
 * local time. */
void bank_source_update(struct bank_source *service, const struct map_status *host,
                        const struct tm *local, double now);

#endif
