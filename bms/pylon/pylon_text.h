// SPDX-License-Identifier: MIT
/*
 * The text of a Pylontech console: lines, words, numbers, and where an answer begins and ends.
 * Section 2 of the sheet `pylon-console`.
 */
#ifndef PACKGATE_BMS_PYLON_PYLON_TEXT_H
#define PACKGATE_BMS_PYLON_PYLON_TEXT_H

#include "bms/driver.h"

/* A stretch of text, not ended by a NUL. */
struct pylon_text {
    const char *at;
    size_t size;
};

/** What stands at the beginning of the received text: an answer, from the echo before its line "@"
 * (if there is one) up to "$$"; or something else. */
struct bms_span pylon_find(const char *text, size_t size);

/** Takes the echo and the line "@" from an answer, and "$$" from its end. Returns the echo, without
 * blanks around; empty: there is none. */
struct pylon_text pylon_take_echo(struct pylon_text *answer);

/** Takes the next line that is not empty, without blanks around. Any run of CR and LF ends one.
 * False: there is none left. */
bool pylon_line(struct pylon_text *text, struct pylon_text *line);

/** Takes the next word of a line; empty: there is none left. */
struct pylon_text pylon_word(struct pylon_text *line);

/** "Label : value" in two, both without blanks around. False: no colon. */
bool pylon_label(struct pylon_text line, struct pylon_text *label, struct pylon_text *value);

struct pylon_text pylon_trim(struct pylon_text text);
bool pylon_is(struct pylon_text text, const char *expected);
bool pylon_starts(struct pylon_text text, const char *start);
bool pylon_is_printable(struct pylon_text text);

/** A plain whole number of up to ten digits, "-12"; nothing else is one. */
bool pylon_integer(struct pylon_text word, int64_t *number);

/** "0x2000", up to 32 bits. */
bool pylon_hex(struct pylon_text word, uint32_t *number);

#endif
