// SPDX-License-Identifier: MIT
/*
 * What was: the database of [history], read only, and what is not written there yet, from memory, so
 * that a chart ends now. Rows come as JSON by columns, with a step and null where there is none, or
 * as CSV.
 */
#ifndef PACKGATE_OUTLETS_WEB_PAST_H
#define PACKGATE_OUTLETS_WEB_PAST_H

#include "http.h"
#include "worker.h"

#include "past/query.h"
#include "outlets/outlet.h"

struct past;

/** For so many packs; the database at `file` is written every `commit_s`. NULL: out of memory. */
struct past *past_new(struct ev_loop *loop, unsigned count, const char *file, double commit_s);
void past_free(struct past *past);

/** The workers that read the history. */
struct workers *past_workers(struct past *past);

/** A poll cycle of a pack was published at `wall`, or it is silent (`values` NULL). */
void past_add(struct past *past, unsigned pack, const struct pack *values,
              const struct map_status *status, double wall);

/* ---- for what a worker does ---- */

/** Opens the database; NULL: it cannot be read, and `why` says so. What memory has is read without it as well. */
struct query *past_open(const struct past *past, char *why, size_t size);
/** Calls `each` for the rows of the database (NULL: none) and then of memory, the oldest first; it returns false to stop. An hour or
 * day that is in both comes once, joined. False: `why` has the error. */
bool past_rows(const struct past *past, unsigned pack, struct query *query,
               const struct query_ask *ask, bool (*each)(void *data, const struct history_row *row),
               void *data, char *why, size_t size);
/** Calls `each` for the rows of ten seconds that only memory has. */
void past_recent(const struct past *past, unsigned pack, struct query *query, const char *name,
                 void (*each)(void *data, const struct history_row *row), void *data);

/* ---- answers ---- */

/** Answers `…/history`. */
void past_answer_json(struct past *past, struct http_request *request,
                      const struct outlet_pack *pack, double wall);
/** Answers `…/history.csv`. */
void past_answer_csv(struct past *past, struct http_request *request,
                     const struct outlet_pack *pack, double wall);

#endif
