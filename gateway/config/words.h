// SPDX-License-Identifier: MIT
/*
 * A row of words with blanks between them: the `write` of a push, the `register` of a view, a line of
 * a Modbus map. Parses it word by word, by rows of keys, and reports mistakes with the line of the
 * row.
 */
#pragma once

#include "keys.h"

#define WORDS_BLANKS " \t"

struct words {
    struct mistakes *mistakes;
    unsigned line;       /* of the configuration */
    const char *map;     /* the name of the map that the row is in; NULL: in the configuration */
    unsigned map_line;   /* in it */
    const char *subject; /* names the row in messages */
    char *rest;          /* the text that was not parsed yet */
};

/** The next word, which is cut from the rest, or NULL; what the next word begins with. */
char *words_next(struct words *words);
const char *words_peek(const struct words *words);

/** Reports a mistake of the row. Returns false. */
bool words_mistake(const struct words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Parses the next word as the value of a key into `settings`, or reports a mistake. */
bool words_value(struct words *words, const struct config_key *key, void *settings);

/** Parses the next word, which must be the name of one of the keys, and its value; a key without a
 * type has none. Returns the number of the key; -1: a mistake, which it has reported. `given` has a
 * flag for each key. `what` names the thing that has options, such as "a write". */
int words_option(struct words *words, const struct config_key *keys, size_t count, bool *given,
                 const char *what, void *settings);
