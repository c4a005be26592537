// SPDX-License-Identifier: MIT
/* Opens files that are named in the configuration, and writes and replaces whole ones. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

/** Opens a regular file to read it. NULL: *why is the reason in words. Pipes and devices are
 * rejected, because reading them could block without end. */
FILE *regular_open(const char *path, const char **why);

/** Reads the whole of a regular file, which the caller frees. NULL with errno: *why is the reason in words; also that it is
 * no text, or larger than `most` bytes (EFBIG). */
char *regular_text(const char *path, size_t most, const char **why);

/** Writes a new file and syncs it. Nothing may have that name, not even a link. `as`: its owner and mode; NULL: as the umask permits.
 * False with errno, and without the file. */
bool regular_create(const char *path, const char *text, const struct stat *as);

/** Replaces whatever is at a path by a file with a text, which is first written to `fresh`, beside it: a power cut leaves the
 * old or the new one. Whatever is at `fresh` is removed. Waits for the disk. `as` as above. False with errno: the old one remains. */
bool regular_replace(const char *path, const char *fresh, const char *text, const struct stat *as);

/** Writes all bytes to a descriptor that blocks, also if signals interrupt it. False with errno. */
bool write_fully(int fd, const void *bytes, size_t size);

/** Opens the folder of a path. -1 with errno. */
int folder_open(const char *path);

/** Syncs the folder of a path: only then is a new name in it durable. False with errno. */
bool folder_sync(const char *path);
