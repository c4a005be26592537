// SPDX-License-Identifier: MIT
/*
 * Work that may take long, because it reads a file or compares a password. A forked child with a copy of our memory does each job, so
 * that neither a disk nor a lock blocks the page's loop. A few jobs run at the same time, the others wait; one that exceeds its time is killed.
 */
#pragma once

#include "http/http.h"

#include <ev.h>

/* The result of a child. */
struct worker_result {
    unsigned status; /* HTTP status; 0: there is no result, as the child failed or was killed */
    char *text;      /* from malloc; the message of an error; NULL: none */
    size_t size;     /* of the text; set by the worker */
    char why[200];   /* trouble with the file; empty: none */
};

struct workers;
struct job;

/** At most `most` run at the same time, each for `longest_s`. */
struct workers *workers_new(struct ev_loop *loop, unsigned most, double longest_s);
/** Whether the next job has to wait. */
bool workers_busy(const struct workers *workers);

/* What a child does with a copy of the data; it must not log. */
typedef void worker_work(void *data, struct worker_result *result);
/* What follows in the loop, with the data as the work left them. It sets the text to NULL if it keeps it. */
typedef void worker_done(void *owner, struct worker_result *result, const void *data);

/** Calls `work` in a child, then `done`, without a text if the child failed or was killed. */
struct job *worker_start(struct workers *workers, worker_work *work, const void *data, size_t size,
                         worker_done *done, void *owner);
/** Cancels a job (struct job *), for http_hold; `done` is not called. */
void worker_cancel(void *job);
