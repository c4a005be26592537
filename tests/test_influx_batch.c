// SPDX-License-Identifier: MIT
/* What is dropped of a batch, and what is not: a database that rejects lines, all of them for a
 * while, or too many at once. */
#include "outlets/influx/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static char *in_flight; /* the lines of the request */

static struct database {
    unsigned requests;
    unsigned refuses_from, refuses_to; /* requests, counted from 0, whose lines are all rejected */
    unsigned most;                     /* maximum of rows per request; 0: any */
    unsigned drops;                    /* lines dropped from each request, as in a partial write */
    unsigned drops_to;                 /* only from requests before this one; 0: from all */
    char taken[2000];
} database;

void post_init(struct post *post, struct transfers *transfers)
{
}

static void forget_proof(struct batch_proof *proof)
{
    free(proof->line);
    proof->line = NULL;
}

void post_release(struct post *post)
{
}

bool post_send(struct post *post, const char *lines, size_t size)
{
    free(in_flight);
    in_flight = strndup(lines, size);
    return true;
}

static unsigned count_lines(const char *lines)
{
    unsigned count = 0;
    for (; *lines; lines++)
        count += *lines == '\n';
    return count;
}

static struct post_outcome judge(const char *lines)
{
    const unsigned number = database.requests++;
    const bool drops = database.drops_to == 0 || number < database.drops_to;
    struct post_outcome outcome = {.result = POST_TAKEN, .dropped = drops ? database.drops : 0};
    const bool all = number >= database.refuses_from && number < database.refuses_to;
    if (all || strstr(lines, "bad") || (database.most && count_lines(lines) > database.most)) {
        outcome.result = POST_REFUSED;
        snprintf(outcome.words, sizeof outcome.words, "status 400");
        return outcome;
    }
    for (const char *at = lines; *at; at += strcspn(at, "\n") + 1) {
        char line[40];
        snprintf(line, sizeof line, "%.*s", (int) strcspn(at, "\n"), at);
        if (!strstr(database.taken, line))
            strcat(strcat(database.taken, line), " ");
    }
    return outcome;
}

static bool is_over;

static void on_done(void *data)
{
    is_over = true;
}

/* Rows are words: "a bad1 b"; the lines of a row are separated by slashes. */
static void send_rows(struct batch *batch, const char *rows)
{
    char copy[2000], *rest = copy;
    snprintf(copy, sizeof copy, "%s", rows);
    batch_clear(batch);
    for (char *row; (row = strsep(&rest, " "));) {
        struct text *text = batch_row(batch);
        assert_non_null(text);
        for (char *slash; (slash = strchr(row, '/'));)
            *slash = '\n';
        text_format(text, "%s\n", row);
        assert_true(batch_end_row(batch));
    }
    is_over = false;
    batch_send(batch);
    while (!is_over) {
        char *lines = in_flight;
        in_flight = NULL;
        assert_non_null(lines);
        batch->post.outcome = judge(lines);
        free(lines);
        batch->post.done(batch->post.data);
    }
}

struct place {
    struct batch_proof proof;
    struct batch batch;
};

static int begin(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    *state = place;
    database = (struct database){0};
    place->batch.done = on_done;
    place->batch.proof = &place->proof;
    batch_init(&place->batch, NULL, NULL, "");
    return 0;
}

static int end(void **state)
{
    struct place *place = *state;
    free(in_flight);
    in_flight = NULL;
    free(place->batch.text);
    free(place->batch.ends);
    forget_proof(&place->proof);
    free(place);
    return 0;
}

#define INFLUX_BATCH_TEST(name) TEST_WITH(name, begin, end)

INFLUX_BATCH_TEST(gives_up_what_is_bad)
{
    struct batch *batch = &((struct place *) *state)->batch;
    static const char *const cases[] = {"a bad1 b c", "bad1 a b c", "a b c bad1", "a b bad1 c"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        database = (struct database){0};
        forget_proof(batch->proof);
        send_rows(batch, cases[i]);
        assert_int_equal(batch->state, BATCH_DONE);
        assert_int_equal(batch->taken, 3);
        assert_int_equal(batch->lost, 1);
        assert_string_equal(batch->lost_words, "status 400");
        assert_string_equal(database.taken, "a b c ");
    }
}

INFLUX_BATCH_TEST(splits_what_is_too_large)
{
    struct batch *batch = &((struct place *) *state)->batch;
    database.most = 2;
    send_rows(batch, "a b c d e f g");
    assert_int_equal(batch->state, BATCH_DONE);
    assert_int_equal(batch->lost, 0);
    assert_string_equal(database.taken, "a b c d e f g ");
}

/* Only a database that accepts something at the moment can show which rows it rejects. */
INFLUX_BATCH_TEST(gives_up_nothing_to_one_that_refuses_all)
{
    struct batch *batch = &((struct place *) *state)->batch;
    database.refuses_to = 1000;
    send_rows(batch, "a b c d e f g h");
    assert_int_equal(batch->state, BATCH_FAILED);
    assert_int_equal(batch->post.outcome.result, POST_REFUSED);
    database.refuses_to = 0;
    send_rows(batch, "a b c d e f g h");
    assert_int_equal(batch->state, BATCH_DONE);
    /* The database has accepted everything, and rejects everything from now on. */
    database.requests = 0;
    database.refuses_to = 1000;
    send_rows(batch, "i j k l m n o p");
    assert_int_equal(batch->state, BATCH_FAILED);
    assert_int_equal(batch->post.outcome.result, POST_REFUSED);
    assert_true(database.requests <= 5); /* 8, 4, 2, 1 and the line that was accepted before */
    send_rows(batch, "q");
    assert_int_equal(batch->state, BATCH_FAILED);
    database.refuses_to = 0;
    send_rows(batch, "bad1");
    assert_int_equal(batch->state, BATCH_DONE);
    assert_int_equal(batch->lost, 1);
}

/* Whenever the database begins and ends to reject everything, no good row is dropped, and no bad one counts as
 * written. */
INFLUX_BATCH_TEST(loses_nothing_to_one_that_changes_its_mind)
{
    struct batch *batch = &((struct place *) *state)->batch;
    for (int known = 0; known < 2; known++)
        for (unsigned from = 0; from < 20; from++)
            for (unsigned to = from + 1; to < 24; to++) {
                forget_proof(batch->proof);
                database = (struct database){0};
                if (known)
                    send_rows(batch, "x");
                database = (struct database){.refuses_from = from, .refuses_to = to};
                send_rows(batch, "a b bad1 c d");
                if (batch->state == BATCH_FAILED)
                    continue;
                assert_string_equal(batch->lost ? "1 lost" : "none", "1 lost");
                for (const char *row = "abcd"; *row; row++)
                    if (!strchr(database.taken, *row))
                        fail_msg("known %d, refuses all from %u to %u: %c is lost, it has %s",
                                 known, from, to, *row, database.taken);
            }
}

/* A row that is taken in part is no proof: the one rejected behind it is tried again, not the first one. */
INFLUX_BATCH_TEST(tries_again_what_was_rejected_behind_a_partial_write)
{
    struct batch *batch = &((struct place *) *state)->batch;
    database =
        (struct database){.most = 2, .drops = 1, .drops_to = 3, .refuses_from = 3, .refuses_to = 4};
    send_rows(batch, "a1/a2 b c");
    assert_int_equal(batch->state, BATCH_DONE);
    assert_string_equal(database.taken, "a1 a2 c b ");
    assert_int_equal(batch->taken, 2);
    assert_int_equal(batch->lost, 1);
}

/* The database reports how many lines it has dropped. */
INFLUX_BATCH_TEST(counts_rows)
{
    struct batch *batch = &((struct place *) *state)->batch;
    static const struct {
        unsigned drops, lost;
    } cases[] = {{0, 0}, {1, 1}, {2, 1}, {3, 1}, {4, 2}, {6, 2}, {11, 4}, {12, 4}, {4000, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        database = (struct database){.drops = cases[i].drops};
        send_rows(batch, "a1/a2/a3 b1/b2/b3 c1/c2/c3 d1/d2/d3");
        assert_int_equal(batch->state, BATCH_DONE);
        assert_int_equal(batch->lost, cases[i].lost);
        assert_int_equal(batch->taken, 4 - cases[i].lost);
    }
}

/* If the database never accepted anything, a long batch is not split into single rows. */
INFLUX_BATCH_TEST(asks_no_more_than_needed)
{
    struct batch *batch = &((struct place *) *state)->batch;
    char rows[2000] = "r0";
    for (int i = 1; i < 300; i++)
        snprintf(rows + strlen(rows), sizeof rows - strlen(rows), " r%d", i);
    database.refuses_to = 10000;
    send_rows(batch, rows);
    assert_int_equal(batch->state, BATCH_FAILED);
    assert_true(database.requests < 30);
}
