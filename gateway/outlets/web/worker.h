// SPDX-License-Identifier: MIT
/*
 * Answers that take long to make, as they are read from a file: each is made in a child process, which has all that memory has,
 * so that no disk and no lock keeps the others waiting. A few run at a time, the others wait; one that is not through in time is
 * ended.
 */
#ifndef PACKGATE_OUTLETS_WEB_WORKER_H
#define PACKGATE_OUTLETS_WEB_WORKER_H

#include "http.h"

#include <ev.h>

#define WORKER_WHY 200

/* What a child has made. */
struct worker_result {
    unsigned status;      /* of HTTP */
    char *text;           /* JSON from malloc; of an error its words; NULL: out of memory */
    char why[WORKER_WHY]; /* what is to be told of the file; empty: all is well */
};

struct workers;

/** `told` is called with the `why` of each result. NULL: out of memory. */
struct workers *workers_new(struct ev_loop *loop, void (*told)(void *data, const char *why),
                            void *data);
/** NULL is fine. */
void workers_free(struct workers *workers);

/** Holds a request and answers it later by what `work` makes in the child, of a copy of `data`; it must not log. */
void worker_answer(struct workers *workers, struct http_request *request,
                   void (*work)(void *data, struct worker_result *result), const void *data,
                   size_t size);

#endif
