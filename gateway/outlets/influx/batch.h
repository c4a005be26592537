// SPDX-License-Identifier: MIT
/*
 * Rows on their way into the database: lines of many packs and times in one request. When it refuses
 * them, they are halved until what it does not like is found, so that one bad line costs no other
 * row. What is bad can only be told from a database that refuses everything (a wrong address, say)
 * by its having taken something: until it has, nothing is given up.
 */
#ifndef PACKGATE_OUTLETS_INFLUX_BATCH_H
#define PACKGATE_OUTLETS_INFLUX_BATCH_H

#include "post.h"

#include "base/text.h"

enum batch_state { BATCH_EMPTY, BATCH_UNDER_WAY, BATCH_DONE, BATCH_FAILED };

struct batch {
    struct post *post;
    char *text;
    size_t size, room;
    size_t *ends; /* of each row in the text */
    unsigned rows, row_room;
    unsigned from, count;        /* what is being tried */
    unsigned doubtful;           /* rows refused alone while nothing was taken yet */
    unsigned taken;              /* rows that the database has */
    unsigned lost;               /* rows that it will never take */
    char lost_words[POST_WORDS]; /* what it said of one of them */
    bool trusted;                /* it has taken something lately: a row refused alone is bad */
    enum batch_state state;
    struct post_outcome last;
    void (*done)(void *data); /* state, taken, lost and last tell how it went */
    void *data;
};

/** Zeroed, with `done` and `data`; the post is made for it. False: out of memory. */
bool batch_init(struct batch *batch, struct transfers *transfers,
                const struct influx_config *config, const char *who);
void batch_free(struct batch *batch);

void batch_clear(struct batch *batch);
/** The same, and its memory is given back until it is used again. Not while it is under way. */
void batch_release(struct batch *batch);
/** Room for one more row: written by the caller, then batch_end_row. NULL: out of memory. */
struct text *batch_row(struct batch *batch, struct text *text);
/** What was written is a row; false: it was too long, and is not there. */
bool batch_end_row(struct batch *batch, const struct text *text);

/** Sends it; `done` follows, never from within. `trusted`: the database has taken something lately. */
void batch_send(struct batch *batch, bool trusted);

#endif
