// SPDX-License-Identifier: MIT
/*
 * What is wrong in a file: collected while it is read and checked, printed in the order of its
 * lines.
 */
#ifndef PACKGATE_CONFIG_MISTAKES_H
#define PACKGATE_CONFIG_MISTAKES_H

#include <stdio.h>

#define MAX_MISTAKES 100 /* further ones are only counted */

struct mistake {
    unsigned line; /* 0: of the file as a whole */
    char *text;
};

struct mistakes {
    struct mistake list[MAX_MISTAKES];
    unsigned listed, dropped;
    unsigned count; /* those that make the file unusable, listed or not */
};

/** Starts as {0}; mistakes_free releases the texts. */
void mistakes_free(struct mistakes *mistakes);

/** What is wrong and what was expected, without newline. */
void mistakes_add(struct mistakes *mistakes, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same for what can be lived with: printed as a warning, not counted. */
void mistakes_warn(struct mistakes *mistakes, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** One line each, "name:line: text". */
void mistakes_print(const struct mistakes *mistakes, const char *name, FILE *out);

#endif
