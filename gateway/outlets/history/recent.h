// SPDX-License-Identifier: MIT
/*
 * The last rows of ten seconds of a pack, in memory, until they are in the database for certain.
 */
#ifndef PACKGATE_OUTLETS_HISTORY_RECENT_H
#define PACKGATE_OUTLETS_HISTORY_RECENT_H

#include "rows.h"

struct recent {
    struct history_series series;
    struct recent_row *rows; /* a ring, oldest first */
    unsigned first, count, room;
    bool means_only; /* set after recent_init: whoever has no use for extremes saves two thirds */
};

/** For as long as `span_s`. False: out of memory. */
bool recent_init(struct recent *recent, double span_s);
void recent_free(struct recent *recent);

void recent_add(struct recent *recent, const struct pack *pack, const struct map_status *status,
                double wall);
/** The pack is silent. */
void recent_silent(struct recent *recent, double wall);

/** Gives back the memory of rows that begin before a time, up to the first that does not. */
void recent_forget(struct recent *recent, int64_t before);

/** Calls `each` for the rows that begin at `from` or later, the oldest first; the last one is what
 * the ten seconds of now have so far. */
void recent_walk(const struct recent *recent, int64_t from,
                 void (*each)(void *data, const struct history_row *row), void *data);

/** Adds a part to a row of a longer interval; parts come the oldest first. */
void recent_join(struct history_row *row, const struct history_row *part);

/** A row with nothing in it. */
struct history_row recent_empty(int64_t from);

#endif
