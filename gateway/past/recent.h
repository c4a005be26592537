// SPDX-License-Identifier: MIT
/*
 * The last rows of ten seconds of a pack, in memory, until they are in the database for certain.
 */
#pragma once

#include "query.h"

struct recent {
    struct history_series series;
    struct recent_row *rows; /* a ring, oldest first */
    unsigned first, count, room;
    bool means_only; /* without extremes, two thirds of the memory are saved */
};

/** Keeps rows for `span_s`. */
void recent_init(struct recent *recent, double span_s, bool means_only);

/** A poll cycle was published at `wall`, or the pack is silent (NULL). */
void recent_add(struct recent *recent, const struct pack *pack, const struct map_status *status,
                double wall);

/** Frees rows that begin before a time, up to the first that does not. */
void recent_forget(struct recent *recent, int64_t before);

/* Rows in order, the oldest first: from the database, then those that only memory has. Those of one step come once, joined. */
struct recent_reader {
    const struct query_ask *ask;
    struct query *query; /* NULL: its rows are read */
    struct query_rows file;
    const struct recent *recent;
    unsigned n;         /* the next one of memory */
    int64_t from, step; /* as in recent_begin */
    struct history_row row, next;
    bool more, failed; /* there is a next one; the database could not be read */
};

/** Begins to read rows of a pack; `query` NULL: only those of memory. `from`: of the first that is only in memory. `step`: seconds of
 * the rows that are joined; 0: those of the level. All must outlive it. */
void recent_begin(struct recent_reader *reader, const struct recent *recent, struct query *query,
                  const struct query_ask *ask, int64_t from, int64_t step);
/** The next row, valid until the call after it; NULL: no more, or `failed`. The last one may be the current ten seconds so far. */
const struct history_row *recent_next(struct recent_reader *reader);
