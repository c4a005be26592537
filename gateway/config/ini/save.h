// SPDX-License-Identifier: MIT
/*
 * Replaces the configuration file as a whole and durably, at first on probation: the previous file is stored as PATH.before, and
 * a start that finds it there restores it. So a power cut at any moment leaves one whole configuration that was kept. Replaced and
 * undone files are moved to the folder PATH.old, which holds the last SAVE_OLD of them.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define SAVE_OLD 10

/** Replaces PATH by `text`; the new file has the owner and mode of the previous one. PATH need not exist. False with errno. */
bool save_begin(const char *path, const char *text);
/** Keeps the new file. False with errno: the next start restores the previous one. */
bool save_keep(const char *path);
/** Restores the previous file, or removes PATH if there was none. Does nothing if no file is on probation. False with errno. */
bool save_undo(const char *path);
/** Whether PATH is on probation. */
bool save_is_pending(const char *path);

/** Waits for the lock of this file, which a process holds until its configuration is kept or undone. Returns a descriptor; closing
 * it, or exiting, releases the lock. -1 with errno. */
int save_lock(const char *path);

/** The number of the next file in PATH.old. */
unsigned save_number(const char *path);

/** Whether a file in the folder of PATH, or in PATH.old except number `except`, contains `text`. A file that cannot be read counts as
 * containing it; a file that is too large for a configuration is ignored. */
bool save_mentions(const char *path, const char *text, unsigned except);

/** Writes a new file with mode 0600 and the given owner (-1: our own). It must not exist. False with errno. */
bool save_secret(const char *path, const char *text, uid_t owner, gid_t group);

/** Reads a file of at most 1 MiB. NULL with errno. The caller frees it. */
char *save_read(const char *path);
