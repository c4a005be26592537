// SPDX-License-Identifier: MIT
/*
 * Past values: from the database of [history], read-only, and from memory for those that are not
 * written yet, so that a chart ends now. As JSON in columns with regular steps, null where a row is
 * missing, or as CSV.
 */
#pragma once

#include "render.h"
#include "worker.h"

#include "past/recent.h"

struct past;

/** For `count` packs; the history writes the database at `file` every `commit_s`. */
struct past *past_new(struct ev_loop *loop, unsigned count, const char *file, double commit_s);

/** The workers that read the history, and what to call with each result of theirs: it logs whether the file can be read. */
struct workers *past_workers(struct past *past);
void past_worked(struct past *past, const struct worker_result *result);

/** A poll cycle of a pack was published at `wall`, or it is silent (`values` NULL). */
void past_add(struct past *past, unsigned pack, const struct pack *values,
              const struct map_status *status, double wall);

/** Begins to read rows of a pack (recent_next): from the database, unless `query` is NULL, then from memory. All must outlive it. */
void past_begin(struct recent_reader *rows, const struct past *past, unsigned pack,
                struct query *query, const struct query_ask *ask);
/** The time from which on memory has rows of this level that are not in the database. */
int64_t past_memory_from(struct query *query, const struct query_ask *ask);

#define ASK_POINTS 1500
#define ASK_POINTS_MAX 20000

struct ask {
    struct query_ask query; /* its level is valid only with `level_given` */
    bool level_given;
    unsigned points; /* maximum number of steps */
    bool all;        /* no value was named */
};

/** Parses the arguments from, to, day, level, values, points, extremes; `wall` is now. False: one
 * of them is wrong, and the request was answered. Keeps `pack` by reference. */
bool ask_parse(struct http_request *request, const char *pack, double wall, struct ask *ask);

struct past_asked;

/* Makes the JSON of an answer, in a worker, whose end frees the rest. `query` NULL: only memory can be read. NULL: it cannot be read, or the result
 * has another status and a message. */
typedef char *past_work(struct past_asked *asked, struct query *query,
                        struct worker_result *result);

/* A request for past values. */
struct past_asked {
    struct past *past;
    past_work *work;
    struct http_request *request;
    double wall;                    /* now */
    const struct outlet_pack *pack; /* of this pack or bank, or of all: */
    const struct render_pack *packs;
    unsigned count;
    struct ask ask; /* of a pack */
};

/** Answers with what `work` makes. */
void past_answer(struct past_asked *asked);
/** Answers `…/history.csv`. */
void past_answer_csv(struct past_asked *asked);

past_work past_json;   /* `…/history` */
past_work past_alarms; /* `…/alarms`: when alarms of a pack were active */
past_work past_health; /* `…/health`: columns of the last `days`, 186 by default, and findings */
past_work past_today;  /* `api/v1/today`: the values of today of each pack and bank */
