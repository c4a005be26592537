// SPDX-License-Identifier: MIT
#include "batch.h"

#include "points.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_STEP (4 * POINTS_ROOM)
#define ROWS_STEP 256
#define SKIPPED_MOST 16 /* rejected rows in a row, from a database that has not accepted any yet */

static void finish_batch(struct batch *batch, enum batch_state state)
{
    batch->state = state;
    batch->done(batch->data);
}

static char *row_at(const struct batch *batch, unsigned n)
{
    return batch->text + (n > 0 ? batch->ends[n - 1] : 0);
}

static void post_bytes(struct batch *batch, enum batch_turn turn, const char *bytes, size_t size)
{
    batch->turn = turn;
    if (!post_send(&batch->post, bytes, size))
        finish_batch(batch, BATCH_FAILED);
}

static void try_part(struct batch *batch, enum batch_turn turn)
{
    const char *from = row_at(batch, batch->from);
    post_bytes(batch, turn, from, (size_t) (row_at(batch, batch->from + batch->count) - from));
}

static void advance_part(struct batch *batch)
{
    batch->from += batch->count;
    if (batch->from == batch->end && batch->skipped > 0 && batch->proof->line) {
        batch->from = batch->skipped_from;
        batch->end = batch->skipped_to;
        batch->skipped = 0;
    }
    batch->count = batch->end - batch->from;
    if (batch->count == 0) {
        finish_batch(batch, batch->skipped > 0 ? BATCH_FAILED : BATCH_DONE);
        return;
    }
    /* Row by row, until the database accepts one. */
    if (batch->taken == 0 && batch->from > 0)
        batch->count = 1;
    try_part(batch, TURN_ROWS);
}

/* The rows of dropped lines: a row has several, and the database does not say which it dropped. */
static unsigned rows_of_lines(const struct batch *batch, uint32_t dropped)
{
    const char *end = row_at(batch, batch->from + batch->count);
    uint64_t lines = 0;
    if (dropped == 0)
        return 0;
    for (const char *c = row_at(batch, batch->from); c < end; c++)
        lines += *c == '\n';
    if (dropped >= lines)
        return batch->count;
    return (unsigned) ((dropped * (uint64_t) batch->count + lines - 1) / lines);
}

static void on_outcome(void *data)
{
    struct batch *batch = data;
    const struct post_outcome *outcome = &batch->post.outcome;
    const enum batch_turn turn = batch->turn;
    const bool proof = turn == TURN_PROOF || turn == TURN_LAST_PROOF;
    if (outcome->words[0] && !proof)
        memcpy(batch->lost_words, outcome->words, sizeof batch->lost_words);
    if (outcome->result == POST_FAILED || (proof && outcome->result == POST_REFUSED)) {
        finish_batch(batch, BATCH_FAILED);
    } else if (turn == TURN_PROOF) {
        try_part(batch, TURN_AGAIN);
    } else if (turn == TURN_LAST_PROOF) {
        batch->lost++;
        advance_part(batch);
    } else if (outcome->result == POST_TAKEN) {
        const unsigned lost = rows_of_lines(batch, outcome->dropped);
        batch->taken += batch->count - lost;
        batch->lost += lost;
        if (lost == 0) { /* one line is kept, the newest: a database may reject old times */
            const char *line = row_at(batch, batch->from + batch->count - 1);
            free(batch->proof->line);
            batch->proof->line = alloc_checked(strndup(line, strcspn(line, "\n") + 1));
        }
        advance_part(batch);
    } else if (batch->count > 1) {
        batch->count = (batch->count + 1) / 2;
        try_part(batch, TURN_ROWS);
    } else if (batch->proof->line) {
        post_bytes(batch, turn == TURN_ROWS ? TURN_PROOF : TURN_LAST_PROOF, batch->proof->line,
                   strlen(batch->proof->line));
    } else if (++batch->skipped < SKIPPED_MOST) {
        batch->skipped_from = batch->skipped == 1 ? batch->from : batch->skipped_from;
        batch->skipped_to = batch->from + 1;
        advance_part(batch);
    } else {
        finish_batch(batch, BATCH_FAILED);
    }
}

void batch_init(struct batch *batch, struct transfers *transfers,
                const struct influx_config *config, const char *who)
{
    batch->post = (struct post){.config = config, .who = who, .done = on_outcome, .data = batch};
    post_init(&batch->post, transfers);
}

void batch_clear(struct batch *batch)
{
    post_release(&batch->post);
    free(batch->text);
    free(batch->ends);
    batch->text = NULL;
    batch->ends = NULL;
    batch->room = batch->row_room = 0;
    batch->rows = batch->from = batch->skipped = batch->taken = batch->lost = 0;
    batch->size = 0;
    batch->lost_words[0] = '\0';
    batch->state = BATCH_EMPTY;
}

struct text *batch_row(struct batch *batch)
{
    if (batch->rows == batch->row_room) {
        batch->row_room += ROWS_STEP;
        batch->ends = alloc_checked(realloc(batch->ends, batch->row_room * sizeof *batch->ends));
    }
    if (batch->room - batch->size < POINTS_ROOM) {
        batch->room += ROOM_STEP;
        batch->text = alloc_checked(realloc(batch->text, batch->room));
    }
    batch->row = text_in(batch->text + batch->size, batch->room - batch->size);
    return &batch->row;
}

bool batch_end_row(struct batch *batch)
{
    if (batch->row.cut)
        return false;
    if (batch->row.size == 0)
        return true;
    batch->size += batch->row.size;
    batch->ends[batch->rows++] = batch->size;
    return true;
}

void batch_send(struct batch *batch)
{
    batch->state = BATCH_UNDER_WAY;
    batch->count = batch->end = batch->rows;
    try_part(batch, TURN_ROWS);
}
