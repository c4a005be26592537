// SPDX-License-Identifier: MIT
/*
 * Text that is put together piece by piece in room that somebody else owns. What does not fit is
 * noticed and never written half: after that the text is `cut`, and worthless as a message.
 */
#ifndef PACKGATE_BASE_TEXT_H
#define PACKGATE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes; /* always with a NUL at its end */
    size_t size; /* without it */
    size_t room; /* with it */
    bool cut;    /* something did not fit */
};

/** Empty text in `room` bytes, at least one. */
struct text text_in(char *bytes, size_t room);

/** Appends. */
void text_add(struct text *text, const char *more);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Appends a number as JSON has it, rounded to `decimals`, without zeros at its end that say
 * nothing: 53.1, -4, 0. NaN and infinity become null. */
void text_number(struct text *text, double number, int decimals);

/** Appends a number with just so many decimals, and 0 without a sign. */
void text_fixed(struct text *text, double number, int decimals);

/** Appends a JSON string with its quotation marks. */
void text_quote(struct text *text, const char *string);

/** Appends the name of a member of a JSON object, behind a comma unless it is the first of its object or list. */
void text_key(struct text *text, const char *name);

/** Appends a member that is a string; none where `value` is NULL or empty. */
void text_member(struct text *text, const char *name, const char *value);

#endif
