// SPDX-License-Identifier: MIT
/* Passwords, tokens and keys: files with one secret a line, random tokens, comparison. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a line with a secret, its newline and the NUL: as much as a browser may enter. */
#define SECRET_SIZE 1026

/** Reads line `n` of a file, counted from 0, without its newline. False: `out` is empty and *why is the reason, such as a line of `size`
 * bytes or more, NULL if the file has no such line. */
bool secret_read(const char *path, unsigned n, char *out, size_t size, const char **why);

/** Logs a warning, prefixed with `who`, if every user of this host can read the file; only once, as `*told` records. */
void secret_warn_of_readers(const char *who, const char *path, bool *told);

/** Writes random hex digits and a NUL. False: the kernel has no random numbers yet. */
bool secret_token(char *token, size_t size);

/** Compares in constant time; nothing equals an empty secret. */
bool secret_equals(const char *secret, const char *text);
