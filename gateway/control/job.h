// SPDX-License-Identifier: MIT
/*
 * Processes that work for set-up in the browser, and their lines of output, each a JSON object. The gateway never blocks on
 * them. One of `packgate setup-work VERB` gets the request as its standard input, and is killed with its job.
 */
#pragma once

#include "base/child.h"

#include <stdint.h>

#define JOB_WORDS 8

struct job {
    struct child child;
    char *line; /* the last whole line of its output, NUL-terminated; NULL: none yet */
    /** A whole `line` has arrived. NULL: only the last one is of interest. */
    void (*said)(struct job *job);
    /** The output has ended or the deadline has passed, as `end` says; `line` is the last line. Not called after job_stop.
     * NULL: nobody waits for that. */
    void (*over)(struct job *job, enum child_end end);
    void *data;
    uint64_t ticket; /* the owner's */
};

/** Prepares a zeroed job that does not run. */
void job_init(struct job *job, struct ev_loop *loop,
              void (*over)(struct job *job, enum child_end end), void *data);

/** Starts `packgate WORDS…` (NULL at the end) and kills it after `most_s` seconds. `request` is its standard input. A
 * previous run is stopped. False: it cannot be started. */
bool job_start(struct job *job, const char *const *words, const char *request, double most_s);

bool job_runs(const struct job *job);

/** Kills the process and discards its output. */
void job_stop(struct job *job);

/** To be called in a child process: executes `packgate WORDS…` with these descriptors as standard input and output. Does
 * not return. */
void job_run(const char *const *words, int input, int output);
