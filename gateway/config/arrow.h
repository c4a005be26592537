// SPDX-License-Identifier: MIT
/*
 * Parses the `write` of a push and the `register` of a view, a line such as
 *
 *   house-1.current_a -> 17 s16 scale 100
 *
 * word by word, including the names of numbers, and reports its mistakes.
 */
#ifndef PACKGATE_CONFIG_ARROW_H
#define PACKGATE_CONFIG_ARROW_H

#include "draft.h"

#define ARROW_BLANKS " \t"

/* A line while it is parsed. */
struct arrow {
    const struct config_drafts *drafts;
    struct mistakes *mistakes;
    unsigned line;    /* of the file */
    const char *from; /* the text before the arrow, without surrounding blanks */
    char *rest;       /* the text that was not parsed yet */
};

/** Splits "from -> rest"; an arrow between quotation marks does not count. `text` is changed and
 * must outlive the arrow. False: no arrow, or nothing before it. */
bool arrow_split(struct arrow *arrow, char *text);

/** The next word of the rest; NULL: none. */
char *arrow_word(struct arrow *arrow);

/** Parses the next word as the value of a key into `settings`, and reports a mistake. */
bool arrow_value(struct arrow *arrow, const struct config_key *key, void *settings);

/** Parses `word`, which must be the name of one of the keys, and its value. `given` has a flag for
 * each key. `what` names the thing that has options, such as "a write". */
bool arrow_option(struct arrow *arrow, const struct config_key *keys, size_t count, bool *given,
                  const char *what, const char *word, void *settings);

struct arrow_number {
    char source[NAME_SIZE]; /* name of a pack or a bank */
    enum push_what what;
    struct value_ref value;
};

/** Finds "house-1.soc_percent", "house-1.fresh" or "gateway.seconds", and reports a number that
 * does not exist. Names may contain dots: the existing names decide which dot ends one. `usual`:
 * the source of a number without one; NULL or empty: none. */
bool arrow_number(const struct arrow *arrow, const char *text, const char *usual,
                  struct arrow_number *number);

/** Reports that `text` starts with the name of no pack or bank. */
void arrow_report_source(const struct arrow *arrow, const char *text);

/** Whether others can name this draft as the source of numbers: a pack or a bank. */
bool arrow_is_source(const struct config_draft *draft);

#endif
