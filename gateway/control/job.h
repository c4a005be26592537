// SPDX-License-Identifier: MIT
/*
 * Runs `packgate setup-work VERB` for set-up in the browser: the request is the standard input of the process, and each
 * line of its standard output is a JSON object. The gateway never blocks on it.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_WORDS 8

struct job {
    struct ev_loop *loop;
    pid_t pid; /* 0: none runs */
    int fd;    /* its output; -1: read to the end */
    ev_io readable;
    ev_child ended;
    ev_timer deadline;
    char *text, *line; /* received output; its last whole line, NUL-terminated, NULL: none yet */
    size_t size;
    /** The output has ended or the deadline has passed; `line` is the last line. Not called after job_stop. NULL: nobody
     * waits for that. */
    void (*over)(struct job *job);
    void *data;
    uint64_t ticket; /* the owner's */
};

/** Prepares a zeroed job that does not run. */
void job_init(struct job *job, struct ev_loop *loop, void (*over)(struct job *job), void *data);

/** Starts `packgate WORDS…` (NULL at the end) and kills it after `most_s` seconds. `request` is its standard input. A
 * previous run is stopped. False: it cannot be started. */
bool job_start(struct job *job, const char *const *words, const char *request, double most_s);
bool job_runs(const struct job *job);

/** Kills the process and discards its output. */
void job_stop(struct job *job);

/** To be called in a child process: executes `packgate WORDS…` with these descriptors as standard input and output. Does
 * not return. */
void job_run(const char *const *words, int input, int output);
