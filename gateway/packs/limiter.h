// SPDX-License-Identifier: MIT
/* The limits of a pack or a bank in a running gateway, updated from its values. */
#pragma once

#include "bank_source.h"
#include "limits.h"

struct limiter {
    struct limits_config settings;                   /* a copy: a reload compares them */
    struct source *source;                           /* its status receives the limits */
    const struct bank_source *bank;                  /* NULL: a pack */
    const struct pack_source *parts[MAX_BANK_PACKS]; /* the pack, or those of the bank */
    unsigned count, needed;
    struct kept_entry *kept; /* entry of the pack or bank: when its cells were full */
    struct limits_state state;
};

/** For a pack or a bank; the other one is NULL. Nothing is allowed before the first update. */
void limiter_init(struct limiter *limiter, const struct limits_config *config,
                  struct pack_source *pack, struct bank_source *bank, double now);

/** After a reload, call this with each old limiter: continues its state if section and packs are
 * the same. In any case takes over what packs of both have reported. */
void limiter_resume(struct limiter *limiter, const struct limiter *old);

/** Computes the limits and stores them in the status of the source. Call it after each change of
 * the source; for a bank after its packs. `wall`: the time of day, for what lasts over a restart.
 */
void limiter_update(struct limiter *limiter, double now, time_t wall);
