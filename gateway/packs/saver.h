// SPDX-License-Identifier: MIT
/*
 * Writes the state file once a minute if anything has changed, in a child process: a worn SD card
 * may take seconds, and the loop must not wait.
 */
#pragma once

#include "kept.h"

#include <ev.h>

/* Embedded in the owner of the state. */
struct saver {
    struct ev_loop *loop;
    struct kept *kept;
    const char *path;
    ev_timer timer;
    ev_child child;
};

/** Starts to save; state and path must outlive it. */
void saver_start(struct saver *saver, struct ev_loop *loop, struct kept *kept, const char *path);

/** Stops, and writes what has changed, this time waiting for the disk. A saver that was never
 * started is fine. */
void saver_stop(struct saver *saver);
