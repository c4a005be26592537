// SPDX-License-Identifier: MIT
/* Sends rows to the database. */
#include "batch.h"

#include "points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_STEP (4 * POINTS_ROOM)
#define ROWS_STEP 256
#define DOUBTS_MOST 16 /* rejected rows in a row, from a database that has not accepted any yet */

static void try_next(struct batch *batch);

static void finish_batch(struct batch *batch, enum batch_state state)
{
    free(batch->refused);
    batch->refused = NULL;
    batch->state = state;
    batch->done(batch->data);
}

/* ---- what it takes for certain ---- */

/* Keeps one line as a probe, the newest: a database may reject old times. */
static void keep_proof(struct batch *batch)
{
    struct batch_proof *proof = batch->proof;
    const unsigned row = batch->from + batch->count - 1;
    const char *line = batch->text + (row > 0 ? batch->ends[row - 1] : 0);
    const char *end = memchr(line, '\n', batch->ends[row] - (size_t) (line - batch->text));
    const size_t size = end ? (size_t) (end - line) + 1 : 0;
    if (size > proof->room) {
        char *room = realloc(proof->line, size);
        if (!room)
            return;
        proof->line = room;
        proof->room = size;
    }
    if (size > 0) {
        memcpy(proof->line, line, size);
        proof->size = size;
    }
}

static void ask_for_proof(struct batch *batch, enum batch_turn turn)
{
    batch->turn = turn;
    if (batch->proof->size == 0 ||
        !post_send(batch->post, batch->proof->line, batch->proof->size, &batch->last))
        finish_batch(batch, BATCH_FAILED);
}

void batch_proof_free(struct batch_proof *proof)
{
    free(proof->line);
    *proof = (struct batch_proof){0};
}

/* ---- the turns ---- */

static void mark_refused(struct batch *batch)
{
    if (!batch->refused)
        batch->refused = calloc(batch->rows, sizeof *batch->refused);
    if (batch->refused)
        batch->refused[batch->from] = true;
    batch->doubtful++;
}

/* Finds the next refused row, from one on. */
static void try_again(struct batch *batch, unsigned from)
{
    batch->turn = TURN_AGAIN;
    for (batch->from = from; batch->from < batch->rows; batch->from++)
        if (batch->refused[batch->from]) {
            batch->count = 1;
            try_next(batch);
            return;
        }
    if (batch->doubtful > 0)
        ask_for_proof(batch, TURN_LAST_PROOF);
    else
        finish_batch(batch, BATCH_DONE);
}

static void advance_part(struct batch *batch)
{
    batch->from += batch->count;
    batch->count = batch->rows - batch->from;
    /* Row by row, until the database accepts one. */
    if (batch->count > 1 && batch->doubtful > 0 && batch->taken == 0 && !batch->proven)
        batch->count = 1;
    if (batch->count > 0)
        try_next(batch);
    else if (batch->doubtful == 0)
        finish_batch(batch, BATCH_DONE);
    else if (!batch->refused)
        finish_batch(batch, BATCH_FAILED);
    else if (batch->last.result == POST_TAKEN)
        try_again(batch, 0);
    else
        ask_for_proof(batch, TURN_PROOF);
}

/* Converts dropped lines to rows: a row has several lines, and the database does not say which it
 * dropped. */
static unsigned rows_of_lines(const struct batch *batch, uint32_t dropped)
{
    const char *line = batch->text + (batch->from > 0 ? batch->ends[batch->from - 1] : 0);
    const char *end = batch->text + batch->ends[batch->from + batch->count - 1];
    uint64_t lines = 0;
    if (dropped == 0)
        return 0;
    while (line < end && (line = memchr(line, '\n', (size_t) (end - line)))) {
        line++;
        lines++;
    }
    if (dropped >= lines)
        return batch->count;
    return (unsigned) ((dropped * (uint64_t) batch->count + lines - 1) / lines);
}

static void judge_all(struct batch *batch, const struct post_outcome *outcome)
{
    if (outcome->result == POST_TAKEN) {
        const unsigned lost = rows_of_lines(batch, outcome->dropped);
        batch->taken += batch->count - lost;
        batch->lost += lost;
        if (lost == 0)
            keep_proof(batch);
        advance_part(batch);
    } else if (batch->count > 1) {
        batch->count = (batch->count + 1) / 2;
        try_next(batch);
    } else {
        mark_refused(batch);
        if (batch->taken > 0 || batch->proven)
            advance_part(batch);
        else if (batch->proof->size > 0)
            ask_for_proof(batch, TURN_FIRST_PROOF);
        else if (batch->doubtful < DOUBTS_MOST)
            advance_part(batch);
        else
            finish_batch(batch, BATCH_FAILED);
    }
}

static void judge_again(struct batch *batch, const struct post_outcome *outcome)
{
    if (outcome->result == POST_TAKEN) {
        const bool lost = outcome->dropped > 0;
        batch->taken += !lost;
        batch->lost += lost;
        batch->doubtful--;
    }
    try_again(batch, batch->from + 1);
}

static void on_outcome(void *data, const struct post_outcome *outcome)
{
    struct batch *batch = data;
    const bool proof = batch->turn != TURN_ALL && batch->turn != TURN_AGAIN;
    batch->last = *outcome;
    if (outcome->result == POST_FAILED || (proof && outcome->result == POST_REFUSED)) {
        finish_batch(batch, BATCH_FAILED);
        return;
    }
    if (outcome->words[0] && !proof)
        memcpy(batch->lost_words, outcome->words, sizeof batch->lost_words);
    switch (batch->turn) {
    case TURN_ALL:
        judge_all(batch, outcome);
        break;
    case TURN_FIRST_PROOF:
        batch->proven = true;
        batch->turn = TURN_ALL;
        advance_part(batch);
        break;
    case TURN_PROOF:
        try_again(batch, 0);
        break;
    case TURN_AGAIN:
        judge_again(batch, outcome);
        break;
    case TURN_LAST_PROOF:
        batch->lost += batch->doubtful;
        finish_batch(batch, BATCH_DONE);
        break;
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
    free(batch->refused);
}

void batch_clear(struct batch *batch)
{
    batch->rows = batch->from = batch->count = batch->doubtful = batch->taken = batch->lost = 0;
    batch->proven = false;
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
        finish_batch(batch, BATCH_FAILED);
}

void batch_send(struct batch *batch)
{
    batch->turn = TURN_ALL;
    batch->state = BATCH_UNDER_WAY;
    batch->count = batch->rows;
    try_next(batch);
}
