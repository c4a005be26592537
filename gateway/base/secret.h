// SPDX-License-Identifier: MIT
/* Files with passwords, tokens and keys, one secret a line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** Reads line `n` of a file, counted from 0, without its newline. False: `out` is empty and *why is the reason, NULL if
 * the file has no such line. */
bool secret_read(const char *path, unsigned n, char *out, size_t size, const char **why);

/** Logs a warning, prefixed with `who`, if every user of this host can read the file; only once, as `*told` records. */
void secret_warn_of_readers(const char *who, const char *path, bool *told);
