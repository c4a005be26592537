// SPDX-License-Identifier: MIT
/*
 * Builds text piece by piece in a buffer of the caller. A piece that does not fit is never written
 * half: it marks the text as `cut`, which makes it useless as a message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes; /* always ends with a NUL */
    size_t size; /* without the NUL */
    size_t room; /* with the NUL */
    bool cut;    /* a piece did not fit */
};

/** Starts an empty text in `room` bytes, at least one. */
struct text text_in(char *bytes, size_t room);

/** Appends a string. */
void text_add(struct text *text, const char *more);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same of one number; nothing if it is NaN. */
void text_known(struct text *text, const char *format, double number)
    __attribute__((format(printf, 2, 0)));

/** The size of the longest beginning of a text in UTF-8 that has at most so many bytes and ends between two characters. */
size_t text_fitting(const char *words, size_t most);

/** Appends a pattern of the configuration with `host` in place of each %h. */
void text_expand(struct text *text, const char *pattern, const char *host);

/** Appends a number as JSON, rounded to `decimals`, without trailing zeros: 53.1, -4, 0. NaN and
 * infinity become null. */
void text_number(struct text *text, double number, int decimals);

/** Appends a number with exactly `decimals` decimals, and 0 without a sign. */
void text_fixed(struct text *text, double number, int decimals);

/** Appends a JSON string with its quotation marks. */
void text_quote(struct text *text, const char *string);

/** Appends the name of a member of a JSON object, behind a comma unless it is the first of its object or list. */
void text_key(struct text *text, const char *name);
/** Appends a member with its value as it stands in JSON, or with the beginning of it: "{" or "[", which the caller closes. */
void text_json(struct text *text, const char *name, const char *json);

/** Appends a member that is a string; none where `value` is NULL or empty. */
void text_member(struct text *text, const char *name, const char *value);
/** Appends a member that is a number (text_number); none if it is NaN. */
void text_member_number(struct text *text, const char *name, double number, int decimals);
