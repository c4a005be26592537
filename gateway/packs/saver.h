// SPDX-License-Identifier: MIT
/*
 * Writes the state file once a minute while there is something new, in a child process: a worn SD
 * card may take seconds for it, and the loop has no time to wait.
 */
#ifndef PACKGATE_PACKS_SAVER_H
#define PACKGATE_PACKS_SAVER_H

#include "kept.h"

#include <ev.h>

/* Embedded in whoever keeps the state. */
struct saver {
    struct ev_loop *loop;
    struct kept *kept;
    const char *path;
    ev_timer timer;
    ev_child child;
};

/** Starts; state and path must outlive it. */
void saver_start(struct saver *saver, struct ev_loop *loop, struct kept *kept, const char *path);

/** Ends it and writes what is new, this time waiting for the disk. A saver that was never
 * started is left alone. */
void saver_stop(struct saver *saver);

#endif
