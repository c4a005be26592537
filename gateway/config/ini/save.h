// SPDX-License-Identifier: MIT
/*
 * The configuration's file, replaced whole and durably. A new one holds until further notice: beside it lies PATH.before, the file
 * that it replaces, and whoever finds that at a start puts it back. So a power cut at any moment leaves one whole
 * configuration, and one that was kept. What was replaced or taken back is in the folder PATH.old, the last SAVE_OLD of them.
 */
#ifndef PACKGATE_CONFIG_INI_SAVE_H
#define PACKGATE_CONFIG_INI_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SAVE_OLD 10

/** Replaces PATH by `text`; a new file gets owner and mode of the one before. PATH need not exist. False: errno. */
bool save_begin(const char *path, const char *text);
/** The new one stays. False: errno; it is put back at the next start, then. */
bool save_keep(const char *path);
/** The one before is back; if there was none, there is none. True as well if none is waiting to be kept. False: errno. */
bool save_undo(const char *path);
/** Whether PATH is still to be kept. */
bool save_is_pending(const char *path);

/** Waits until nobody else saves this file or holds it until it is kept. Returns a descriptor; whoever closes it, or ends, makes room
 * for the next. -1: errno. */
int save_lock(const char *path);

/** The number of the next file in PATH.old. */
unsigned save_number(const char *path);

/** Whether a file beside PATH, or one in PATH.old but for number `except`, contains `text`, or cannot be read. What is larger
 * than a configuration may be is none. */
bool save_mentions(const char *path, const char *text, unsigned except);

/** Writes a new file with mode 0600, of the given owner (-1: the same as ours). It must not exist. False: errno. */
bool save_secret(const char *path, const char *text, uid_t owner, gid_t group);

/** Reads a file of at most 1 MiB; NULL: errno. The caller frees it. */
char *save_read(const char *path);

#endif
