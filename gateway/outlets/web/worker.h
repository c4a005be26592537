// SPDX-License-Identifier: MIT
/*
 * What takes long, as it is read from a file: each job is done by a child process, which has all that memory has, so that no disk and
 * no lock keeps the page's loop waiting. A few run at a time, the others wait; one that is not through in time is ended.
 */
#ifndef PACKGATE_OUTLETS_WEB_WORKER_H
#define PACKGATE_OUTLETS_WEB_WORKER_H

#include "http.h"

#include <ev.h>

#define WORKER_WHY 200

/* The result of a child. */
struct worker_result {
    unsigned status;      /* of HTTP */
    char *text;           /* from malloc; of an error its words; NULL: there is none */
    char why[WORKER_WHY]; /* what is to be told of the file; empty: all is well */
};

struct workers;
struct job;

/** `told` is called with the `why` of each result. NULL: out of memory. */
struct workers *workers_new(struct ev_loop *loop, void (*told)(void *data, const char *why),
                            void *data);
/** NULL is fine. */
void workers_free(struct workers *workers);

/** Does `work` in the child with a copy of `data`; it must not log. Then calls `done`, never from within, with the result and the data
 * as `work` left them; without a text if the child failed or was ended. A `done` that keeps the text sets it to NULL. NULL: out of
 * memory. */
struct job *worker_start(struct workers *workers,
                         void (*work)(void *data, struct worker_result *result), const void *data,
                         size_t size,
                         void (*done)(void *owner, struct worker_result *result, const void *data),
                         void *owner);
/** Cancels a job; `done` is not called. */
void worker_cancel(struct job *job);

/** Holds a request and answers it with the JSON that `work` makes. */
void worker_answer(struct workers *workers, struct http_request *request,
                   void (*work)(void *data, struct worker_result *result), const void *data,
                   size_t size);

#endif
