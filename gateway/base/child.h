// SPDX-License-Identifier: MIT
/*
 * Child processes for work that may block: name look-ups, writes to a worn SD card; and what they write for their parent.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

/** To be called in the child, right after fork: closes all inherited descriptors except the first
 * three and `keep` (-1: none). Without this the child would hold sockets that the parent closes,
 * keep a serial port busy, and occupy the listening port when the parent is restarted. Returns the
 * new number of `keep`. */
int child_settle(int keep);

/** Makes child_settle leave this descriptor, too, open in all children of this process. Only one
 * can be set. */
void child_keep_too(int fd);

/** To be called in the child before it executes another program: restores the default action of
 * signals and unblocks them. */
void child_reset_signals(void);

/** Whether this process started the other one, directly or not. Also true if the other one cannot
 * be found any more. */
bool child_is_ours(pid_t pid);

enum child_end { CHILD_ENDED, CHILD_SILENT, CHILD_TOO_LONG };

/* A child and its output. The parent never blocks on it, and kills it when it is stopped. */
struct child {
    struct ev_loop *loop;
    pid_t pid; /* to be killed; 0: none */
    int fd;    /* its output; -1: read to the end, or none runs */
    ev_io readable;
    ev_child ended;
    ev_timer deadline;
    char *bytes; /* received so far */
    size_t size;
    void (*received)(struct child *child); /* more of them; NULL: only all of them count */
    /** The output has ended, or is too long, or the deadline has passed. Not called after child_stop. */
    void (*over)(struct child *child, enum child_end end);
    void *data;
};

/** Prepares a child that does not run. */
void child_init(struct child *child, struct ev_loop *loop,
                void (*over)(struct child *child, enum child_end end), void *data);

/** Forks. In the child, which ends with its parent, it returns 0, and what is written to `*output` is the child's output. -1
 * with errno. The child is killed after `most_s` seconds. A previous one is stopped. */
pid_t child_start(struct child *child, double most_s, int *output);

/** Reads the output of a process that was started otherwise, from a non-blocking descriptor, which is closed in the end;
 * within `most_s` seconds. */
void child_adopt(struct child *child, int fd, double most_s);

/** It is over unless it is stopped within these seconds from now. */
void child_expect(struct child *child, double most_s);

/** Ends the reading, and calls `over`. */
void child_finish(struct child *child, enum child_end end);

/** Kills the process and discards its output. */
void child_stop(struct child *child);
