// SPDX-License-Identifier: MIT
/* The limits of a pack or a bank while the gateway runs, from one update to the next. */
#ifndef PACKGATE_PACKS_LIMITER_H
#define PACKGATE_PACKS_LIMITER_H

#include "bank_source.h"
#include "limits.h"

struct limiter {
    struct limits_config settings;                   /* a copy: a reload compares them */
    struct source *source;                           /* whose status gets what is allowed */
    const struct bank_source *bank;                  /* NULL: a pack */
    const struct pack_source *parts[MAX_BANK_PACKS]; /* the pack, or those of the bank */
    unsigned count, needed;
    struct kept_entry *kept; /* of the pack or bank: when its cells were full */
    struct limits_state state;
};

/** For a pack or a bank; the other one is NULL. Nothing is allowed before the first update. */
void limiter_init(struct limiter *limiter, const struct limits_config *config,
                  struct pack_source *pack, struct bank_source *bank, double now);

/** After a reload: goes on where another one stopped if it has the same section and the same packs, and takes over what
 * packs of both have reported in any case. To be called with each of the old ones. */
void limiter_resume(struct limiter *limiter, const struct limiter *old);

/** Puts what is allowed now into the status of its source. To be called after each change of that, for a bank after its
 * packs. `wall`: the time of day, for what spans restarts. */
void limiter_update(struct limiter *limiter, double now, time_t wall);

#endif
