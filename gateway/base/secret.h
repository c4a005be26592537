// SPDX-License-Identifier: MIT
/* Files with passwords, tokens and keys, one secret a line. */
#ifndef PACKGATE_BASE_SECRET_H
#define PACKGATE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/** Reads line `n` of a file, from 0, without its end. False: *why says why in words, or is NULL where the file has no
 * such line; `out` is empty then. */
bool secret_read(const char *path, unsigned n, char *out, size_t size, const char **why);

/** Warns once (`*told`) in the name of `who` when everybody on this host can read the file. */
void secret_warn_of_readers(const char *who, const char *path, bool *told);

#endif
