// SPDX-License-Identifier: MIT
/*
 * A process that works for set-up in the browser: `packgate setup-work VERB`, with a request on its standard input and one
 * JSON object a line on its standard output. The gateway waits for none of them.
 */
#ifndef PACKGATE_CONTROL_JOB_H
#define PACKGATE_CONTROL_JOB_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_WORDS 8

struct job {
    struct ev_loop *loop;
    pid_t pid; /* 0: it has ended */
    int fd;    /* its output; -1: it has been read to the end */
    ev_io readable;
    ev_child ended;
    ev_timer deadline;
    char *text, *line; /* received; the last whole line of it, NUL-terminated, NULL: none yet */
    size_t size;
    /** All output has been read; `line` is the last one. Not called after job_stop. */
    void (*over)(struct job *job);
    void *data;
    uint64_t ticket; /* the owner's */
};

/** Prepares a zeroed job that does not run. */
void job_init(struct job *job, struct ev_loop *loop, void (*over)(struct job *job), void *data);

/** Starts `packgate WORDS…` (NULL at the end), which is killed after `most_s`. `request` is its standard input. False: it
 * cannot be started. */
bool job_start(struct job *job, const char *const *words, const char *request, double most_s);
bool job_runs(const struct job *job);

/** Kills it, and forgets what it has said. */
void job_stop(struct job *job);

/** In a new process: runs `packgate WORDS…` with these descriptors as input and output. Does not return. */
void job_run(const char *const *words, int input, int output);

#endif
