// SPDX-License-Identifier: MIT
/*
 * What the `write` of a push and the `register` of a view have in common: a line such as
 *
 *   house-1.current_a -> 17 s16 scale 100
 *
 * taken apart word by word, the names of numbers in it, and what is wrong with them.
 */
#ifndef PACKGATE_CONFIG_ARROW_H
#define PACKGATE_CONFIG_ARROW_H

#include "draft.h"

#define ARROW_BLANKS " \t"

/* One line while it is read. */
struct arrow {
    const struct config_drafts *drafts;
    struct mistakes *mistakes;
    unsigned line;    /* of the file */
    const char *from; /* what stands before the arrow, without blanks around it */
    char *rest;       /* what has not been taken yet */
};

/** Splits "from -> rest"; an arrow between quotation marks is none. `text` is changed and must outlive the arrow. False:
 * there is no arrow, or nothing before it. */
bool arrow_split(struct arrow *arrow, char *text);

/** The next word of the rest, NULL: there is none. */
char *arrow_word(struct arrow *arrow);

/** Takes the next word as the value of a key in `settings`, and says so when it is none. */
bool arrow_value(struct arrow *arrow, const struct config_key *key, void *settings);

/** Takes `word`, which must be the name of one of the keys, and its value. `given` has a flag for each key. `what` is
 * the thing that has options, such as "a write". */
bool arrow_option(struct arrow *arrow, const struct config_key *keys, size_t count, bool *given,
                  const char *what, const char *word, void *settings);

struct arrow_number {
    char source[NAME_SIZE]; /* name of a pack or a bank */
    enum push_what what;
    struct value_ref value;
};

/** Finds "house-1.soc_percent", "house-1.fresh" or "gateway.seconds", and says so when there is no such number. A name may
 * hold dots: which dot ends it is found by the names that there are. `usual`: the source of a number without one; NULL or
 * empty: none. */
bool arrow_number(const struct arrow *arrow, const char *text, const char *usual,
                  struct arrow_number *number);

/** Says that `text` starts with the name of no pack or bank. */
void arrow_report_source(const struct arrow *arrow, const char *text);

/** A draft that others can name as the source of numbers: a pack or a bank. */
bool arrow_is_source(const struct config_draft *draft);

#endif
