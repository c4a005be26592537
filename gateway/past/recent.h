// SPDX-License-Identifier: MIT
/*
 * The last rows of ten seconds of a pack, in memory, until they are in the database for certain.
 */
#pragma once

#include "rows.h"

struct recent {
    struct history_series series;
    struct recent_row *rows; /* a ring, oldest first */
    unsigned first, count, room;
    /* set after recent_init: without extremes, two thirds of the memory are saved */
    bool means_only;
};

/** Keeps rows for `span_s`. False: out of memory. */
bool recent_init(struct recent *recent, double span_s);
void recent_free(struct recent *recent);

void recent_add(struct recent *recent, const struct pack *pack, const struct map_status *status,
                double wall);
/** The pack is silent. */
void recent_silent(struct recent *recent, double wall);

/** Frees rows that begin before a time, up to the first that does not. */
void recent_forget(struct recent *recent, int64_t before);

/** The n-th row, the oldest first; the last one is the current ten seconds so far. False: no more. */
bool recent_row(const struct recent *recent, unsigned n, struct history_row *row);

/** Adds a part to a row of a longer interval; call it in the order of time. */
void recent_join(struct history_row *row, const struct history_row *part);
