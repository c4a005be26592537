// SPDX-License-Identifier: MIT
/* All lines and packs of a configuration, polled: for the gateway and for `packgate read`. */
#pragma once

#include "lines/line.h"

struct polling {
    const struct config *config;
    struct poller **pollers; /* one per pack of the configuration, in its order; NULL: left out */
    unsigned pack_count;
    struct line **lines; /* one per line of the configuration; NULL: none of its packs is polled */
    unsigned line_count;
};

typedef bool polling_wanted(void *data, const struct pack_config *pack);

/** Pollers and lines for the packs for which `wanted` returns true (NULL: all). `config` must
 * outlive it. What `old` (may be NULL) polls with the same settings continues without an
 * interruption, with its pollers; the rest of it ends, and new lines wait for polling_start. */
struct polling *polling_new(struct polling *old, struct ev_loop *loop, const struct config *config,
                            polling_wanted *wanted, const struct line_events *events, void *data);

void polling_free(struct polling *polling);

/** Opens all lines that are not open yet. */
void polling_start(struct polling *polling);
