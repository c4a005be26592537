// SPDX-License-Identifier: MIT
/*
 * The state file keeps over a restart: energy counters and the day's highest state of charge of
 * each pack, by its name; what `protocol = auto` has found; the gateway's id; notes of outlets. It
 * is INI text with a checksum at its end. It is replaced as a whole, so that a power cut leaves
 * the old or the new file; a damaged one is set aside. No error in it stops the gateway.
 */
#pragma once

#include "kept_state.h"

#include <ev.h>
#include <sys/types.h>

/** Reads the file and locks it (PATH.lock) until kept_free. A missing or damaged file (renamed to
 * PATH.bad, PATH.bad.2 and so on) and an empty path give an empty state. So does a file that
 * another gateway has locked, which is then never written. That, and a file that cannot be written,
 * is logged as an error at once. Creates a missing folder. */
struct kept *kept_load(const char *path);
/** Reads the file beside a running gateway: locks nothing, leaves a damaged file in place. */
struct kept *kept_look(const char *path);
void kept_free(struct kept *kept);

/** Writes what has changed, unless the path is empty; waits for the disk. -1 with errno: the old
 * file remains. The first failure and the recovery are logged. */
int kept_save(struct kept *kept, const char *path);

/** Does the same without waiting: a child process writes the file. Returns its pid, whose exit
 * status goes to kept_save_finish; 0: nothing to write; -1 with errno. One at a time. */
pid_t kept_save_start(struct kept *kept, const char *path);
void kept_save_finish(struct kept *kept, const char *path, int status);

/** Writes the file once a minute if anything has changed, in a child process: a worn SD card may
 * take seconds, and the loop must not wait. Embedded in the owner of the state. */
struct saver {
    struct ev_loop *loop;
    struct kept *kept;
    const char *path;
    ev_timer timer;
    ev_child child;
};

/** Starts to save; state and path must outlive it. */
void saver_start(struct saver *saver, struct ev_loop *loop, struct kept *kept, const char *path);

/** Stops, and writes what has changed, waiting for the disk. One that was never started is fine. */
void saver_stop(struct saver *saver);
