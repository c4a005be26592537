// SPDX-License-Identifier: MIT
/*
 * Sends rows to the database: lines of many packs and times in one request. One that is rejected
 * is bisected until the rejected rows are found, so that one bad line costs no other row.
 *
 * A database may reject everything for a while (a bucket that does not exist yet, a certificate
 * that a proxy no longer accepts), and begin or cease to do so between two requests. A row that was
 * rejected alone is therefore only dropped if a line that the database has accepted before is
 * accepted once more, the row rejected again, and that line accepted again; else the batch remains.
 */
#pragma once

#include "post.h"

#include "base/text.h"

enum batch_state { BATCH_EMPTY, BATCH_UNDER_WAY, BATCH_DONE, BATCH_FAILED };

/* The last line that the database has accepted, to probe it; of all its batches. Zeroed. */
struct batch_proof {
    char *line; /* NULL: none yet */
};

enum batch_turn { TURN_ROWS, TURN_PROOF, TURN_AGAIN, TURN_LAST_PROOF };

struct batch {
    struct post post; /* `outcome` is of the last request */
    struct batch_proof *proof;
    char *text;
    size_t size, room;
    struct text row; /* that is being written */
    size_t *ends;    /* of each row in the text */
    unsigned rows, row_room;
    enum batch_turn turn;
    unsigned from, count;  /* what is being tried, */
    unsigned end;          /* of rows up to this one */
    unsigned skipped;      /* rows that were rejected alone while there was no proof yet: */
    unsigned skipped_from; /* from this one, */
    unsigned skipped_to;   /* up to this one, perhaps with others between that were taken in part */
    unsigned taken;        /* rows that the database has accepted */
    unsigned lost;         /* rows that it will never accept */
    char lost_words[POST_WORDS]; /* its message about one of them */
    enum batch_state state;
    void (*done)(void *data); /* state, taken, lost and the outcome have the result */
    void *data;
};

/** Zeroed, with `done`, `data` and `proof`; the post is made for it. */
void batch_init(struct batch *batch, struct transfers *transfers,
                const struct influx_config *config, const char *who);

/** Empties it, and frees its memory until it is used again. Not while it is in flight. */
void batch_clear(struct batch *batch);
/** Returns room for one more row: the caller writes it, then calls batch_end_row. */
struct text *batch_row(struct batch *batch);
/** Adds the written row; false: it was too long, and is dropped. */
bool batch_end_row(struct batch *batch);

/** Sends it; `done` follows, never from within. */
void batch_send(struct batch *batch);
