// SPDX-License-Identifier: MIT
/*
 * Strict reading of INI text. inih splits `key = value ; comment` and forgives everything else;
 * what it would cut, merge or overlook in silence is a mistake here, reported with its line:
 *   - lines longer than inih's buffer (it would read the rest as a line of its own),
 *   - control characters and NULs,
 *   - lines that are neither a heading nor `key = value`,
 *   - damaged headings and text behind them.
 * An indented line is an entry like any other, never the continuation of the one above it. A byte
 * order mark, CRLF and a missing last newline are fine.
 */
#pragma once

#include <stddef.h>

#define INIFILE_LINE_MOST 198 /* characters of a line that inih takes whole */

/* Callbacks for what is found, in the order of the file; NULL: not needed. Lines count from 1; texts are valid during the call
 * only. */
struct inifile_events {
    /** What stands between the brackets, without blanks at its ends. */
    void (*heading)(void *user, unsigned line, const char *text);
    /** `value` may be empty; NULL: the line is too long, which is also reported as a mistake. */
    void (*entry)(void *user, unsigned line, const char *key, const char *value);
    /** What is wrong and what was expected. Reading goes on with the next line. */
    void (*mistake)(void *user, unsigned line, const char *message);
};

/** Reads `size` bytes of text and returns the number of its last line (0: no text at all). */
unsigned inifile_read(const char *text, size_t size, const struct inifile_events *events,
                      void *user);
