// SPDX-License-Identifier: MIT
/* Sends the health figures and findings of past days (docs/health.md), a few days in each request. */
#pragma once

#include "backlog.h"

struct daily {
    struct batch batch;
    int64_t at; /* midnight of the last day in it */
    bool waits; /* there are more days */
};

/** Empties the batch. */
void daily_clear(struct daily *daily);

/** Appends the days of all packs after `confirmed`, up to `current`. */
void daily_write(struct daily *daily, struct query *query, const struct influx_pack *packs,
                 unsigned count, int64_t current, int64_t confirmed, enum influx_layout layout);

/** Midnight of the last day that is complete in the database once the batch is confirmed. */
int64_t daily_done(const struct daily *daily);
