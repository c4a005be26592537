// SPDX-License-Identifier: MIT
/*
 * What is wrong in a file: collected while it is read and checked, in the order of its lines.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define MAX_MISTAKES 100 /* further ones are only counted, by an entry at the end */

struct mistake {
    unsigned line; /* 0: of the file as a whole */
    bool warning;  /* of a tolerable problem: the text begins with MISTAKE_WARNING */
    char text[1100];
    char subject[40]; /* of a mistake that is reported once for all its lines */
    size_t size;      /* of its text without the further lines; 0: it is reported for each line */
    unsigned more;    /* further lines, or mistakes of the entry at the end */
};
#define MISTAKE_WARNING "warning: "

struct mistakes {
    struct mistake *list;
    unsigned listed;
    unsigned count; /* mistakes that make the file unusable, listed or not */
};

/** Initialize with {0}; mistakes_free releases the list. */
void mistakes_free(struct mistakes *mistakes);

/** Adds what is wrong and what was expected, without newline. */
void mistakes_add(struct mistakes *mistakes, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same, but further lines with the same subject are only counted: one wrong name may be in
 * many lines. */
void mistakes_add_of(struct mistakes *mistakes, unsigned line, const char *subject,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/** As mistakes_add; it comes after those of the same and of earlier lines. `warning`: of a tolerable problem, which is not counted.
 * NULL: the list is full. */
struct mistake *mistakes_insert(struct mistakes *mistakes, unsigned line, bool warning,
                                const char *format, va_list values)
    __attribute__((format(printf, 4, 0)));

/** Adds a warning at the end, regardless of the order and of MAX_MISTAKES. */
void mistakes_warn(struct mistakes *mistakes, unsigned line, const char *format, va_list values)
    __attribute__((format(printf, 3, 0)));

/** One line each, "name:line: text"; nothing where `out` is NULL. */
void mistakes_print(const struct mistakes *mistakes, const char *name, FILE *out);
