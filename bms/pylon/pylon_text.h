// SPDX-License-Identifier: MIT
/*
 * Parses the text of a Pylontech console: lines, words, numbers, and the bounds of a reply.
 * Section 2 of the sheet `pylon-console`.
 */
#pragma once

#include "bms/driver.h"

#include <string.h>

/* A piece of text without a NUL at its end. */
struct pylon_text {
    const char *at;
    size_t size;
};

/** Finds what is at the beginning of the received text: a reply, from the echo before its line "@"
 * (if there is one) up to "$$"; or something else. */
struct bms_span pylon_find(const struct bms *bms, const struct bms_request *request,
                           const uint8_t *bytes, size_t size);

/** Removes the echo and the line "@" from a reply, and "$$" from its end. Returns the echo without
 * surrounding blanks; empty: there is none. */
struct pylon_text pylon_take_echo(struct pylon_text *answer);

/** Takes the next non-empty line, without surrounding blanks. Any run of CR and LF ends a line.
 * False: no line is left. */
bool pylon_line(struct pylon_text *text, struct pylon_text *line);

/** Takes the next word of a line; empty: none is left. */
struct pylon_text pylon_word(struct pylon_text *line);

/** Splits "Label : value", both without surrounding blanks. False: no colon. */
bool pylon_label(struct pylon_text line, struct pylon_text *label, struct pylon_text *value);

struct pylon_text pylon_trim(struct pylon_text text);

static inline bool pylon_starts(struct pylon_text text, const char *start)
{
    return text.size >= strlen(start) && memcmp(text.at, start, strlen(start)) == 0;
}

static inline bool pylon_is(struct pylon_text text, const char *expected)
{
    return text.size == strlen(expected) && pylon_starts(text, expected);
}

bool pylon_is_printable(struct pylon_text text);

/** Parses a whole number of up to ten digits, "-12"; rejects anything else. */
bool pylon_integer(struct pylon_text word, int64_t *number);

/** Parses "0x2000", up to 32 bits. */
bool pylon_hex(struct pylon_text word, uint32_t *number);
