// SPDX-License-Identifier: MIT
/* Durations as text: "1.5s" of a configuration, "2 h 5 min" for people. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DURATION_SIZE 32

/** Reads digits with or without a decimal point, nothing else that strtod accepts. Returns what
 * follows them; NULL: there is no number. */
const char *decimal_read(const char *text, double *value);

/** Reads "500ms", "1.5s", "2m", "1h" or "30d". False: it is something else. */
bool duration_read(const char *text, double *seconds);

/** Writes it in that form, in the longest unit in which it is a whole number. */
void duration_format(double seconds, char *out, size_t size);

/** For people: "40 s", "5 min", "2 h 5 min", "3 d 4 h"; NaN: "-". Returns `out`. */
const char *duration_words(double seconds, char out[DURATION_SIZE]);
