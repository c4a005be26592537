// SPDX-License-Identifier: MIT
/*
 * Processes that work for set-up in the browser, and their lines of output, each a JSON object. The gateway never blocks on
 * them. One of `packgate setup-work VERB` gets the request as its standard input, and is killed with its job.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_WORDS 8

enum job_end { JOB_ENDED, JOB_SILENT, JOB_TOO_LONG };

struct job {
    struct ev_loop *loop;
    pid_t pid; /* to be killed; 0: none */
    int fd;    /* its output; -1: read to the end, or none runs */
    ev_io readable;
    ev_child ended;
    ev_timer deadline;
    char *text, *line; /* received output; its last whole line, NUL-terminated, NULL: none yet */
    size_t size;
    /** A whole `line` has arrived. NULL: only the last one is of interest. */
    void (*said)(struct job *job);
    /** The output has ended or the deadline has passed, as `end` says; `line` is the last line. Not called after job_stop.
     * NULL: nobody waits for that. */
    void (*over)(struct job *job, enum job_end end);
    void *data;
    uint64_t ticket; /* the owner's */
};

/** Prepares a zeroed job that does not run. */
void job_init(struct job *job, struct ev_loop *loop,
              void (*over)(struct job *job, enum job_end end), void *data);

/** Starts `packgate WORDS…` (NULL at the end) and kills it after `most_s` seconds. `request` is its standard input. A
 * previous run is stopped. False: it cannot be started. */
bool job_start(struct job *job, const char *const *words, const char *request, double most_s);

/** Reads the lines of a process that was started otherwise, from a non-blocking descriptor, which is closed in the end; within
 * `most_s` seconds. */
void job_adopt(struct job *job, int fd, double most_s);

/** The job is over unless it is stopped within these seconds from now. */
void job_expect(struct job *job, double most_s);
bool job_runs(const struct job *job);

/** Kills the process and discards its output. */
void job_stop(struct job *job);

/** To be called in a child process: executes `packgate WORDS…` with these descriptors as standard input and output. Does
 * not return. */
void job_run(const char *const *words, int input, int output);
