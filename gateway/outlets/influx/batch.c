// SPDX-License-Identifier: MIT
/* Rows on their way into the database. */
#include "batch.h"

#include "points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_STEP (4 * POINTS_ROOM)
#define ROWS_STEP 256

static void try_next(struct batch *batch);

static void finish(struct batch *batch, enum batch_state state)
{
    /* It has taken others, so it is these that it does not like. */
    if (batch->taken > 0) {
        batch->lost += batch->doubtful;
        batch->doubtful = 0;
    }
    batch->state = batch->doubtful > 0 ? BATCH_FAILED : state;
    batch->done(batch->data);
}

static void advance(struct batch *batch)
{
    batch->from += batch->count;
    batch->count = batch->rows - batch->from;
    if (batch->count > 0)
        try_next(batch);
    else
        finish(batch, BATCH_DONE);
}

static void on_outcome(void *data, const struct post_outcome *outcome)
{
    struct batch *batch = data;
    batch->last = *outcome;
    if (outcome->result == POST_FAILED) {
        finish(batch, BATCH_FAILED);
        return;
    }
    if (outcome->words[0])
        memcpy(batch->lost_words, outcome->words, sizeof batch->lost_words);
    if (outcome->result == POST_TAKEN) {
        /* Points of one row count once, however many they are. */
        const unsigned lost = outcome->dropped < batch->count ? outcome->dropped : batch->count;
        batch->taken += batch->count - lost;
        batch->lost += lost;
        advance(batch);
    } else if (batch->count > 1) {
        batch->count = (batch->count + 1) / 2;
        try_next(batch);
    } else {
        if (batch->trusted || batch->taken > 0)
            batch->lost++;
        else
            batch->doubtful++;
        advance(batch);
    }
}

bool batch_init(struct batch *batch, struct transfers *transfers,
                const struct influx_config *config, const char *who)
{
    batch->post = post_new(transfers, config, who, on_outcome, batch);
    return batch->post != NULL;
}

void batch_free(struct batch *batch)
{
    post_free(batch->post);
    free(batch->text);
    free(batch->ends);
}

void batch_clear(struct batch *batch)
{
    batch->rows = batch->from = batch->count = batch->doubtful = batch->taken = batch->lost = 0;
    batch->size = 0;
    batch->lost_words[0] = '\0';
    batch->state = BATCH_EMPTY;
}

void batch_release(struct batch *batch)
{
    batch_clear(batch);
    post_release(batch->post);
    free(batch->text);
    free(batch->ends);
    batch->text = NULL;
    batch->ends = NULL;
    batch->room = 0;
    batch->row_room = 0;
}

struct text *batch_row(struct batch *batch, struct text *text)
{
    if (batch->rows == batch->row_room) {
        size_t *ends = realloc(batch->ends, (batch->row_room + ROWS_STEP) * sizeof *ends);
        if (!ends)
            return NULL;
        batch->ends = ends;
        batch->row_room += ROWS_STEP;
    }
    if (batch->room - batch->size < POINTS_ROOM) {
        char *bytes = realloc(batch->text, batch->room + ROOM_STEP);
        if (!bytes)
            return NULL;
        batch->text = bytes;
        batch->room += ROOM_STEP;
    }
    *text = text_in(batch->text + batch->size, batch->room - batch->size);
    return text;
}

bool batch_end_row(struct batch *batch, const struct text *text)
{
    if (text->cut)
        return false;
    if (text->size == 0)
        return true;
    batch->size += text->size;
    batch->ends[batch->rows++] = batch->size;
    return true;
}

static void try_next(struct batch *batch)
{
    const size_t from = batch->from > 0 ? batch->ends[batch->from - 1] : 0;
    const size_t to = batch->ends[batch->from + batch->count - 1];
    if (!post_send(batch->post, batch->text + from, to - from, &batch->last))
        finish(batch, BATCH_FAILED);
}

void batch_send(struct batch *batch, bool trusted)
{
    batch->trusted = trusted;
    batch->state = BATCH_UNDER_WAY;
    batch->count = batch->rows;
    try_next(batch);
}
