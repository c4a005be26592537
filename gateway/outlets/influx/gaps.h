// SPDX-License-Identifier: MIT
/*
 * The spans of time that the database has not confirmed yet, the oldest first and disjoint, and the
 * time up to which anything is known at all. Pure, except for the file in which it is stored.
 *
 * There is room for a few spans. If there are more, the two closest ones are joined, and the time
 * between them is sent a second time, which changes nothing in the database.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GAPS_MAX 8

static inline int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct gap {
    int64_t from, to; /* UTC in seconds, `to` excluded */
};

struct gaps {
    struct gap at[GAPS_MAX + 1]; /* one more while a span is added */
    unsigned count;
    int64_t until;  /* later intervals have not been considered; 0: none ever was */
    int64_t health; /* midnight of the last day whose health is confirmed; 0: none */
};

/** Adds a span that is not confirmed (any more). An empty span is ignored. */
void gaps_add(struct gaps *gaps, int64_t from, int64_t to);
/** Removes a span that was confirmed, or is lost for good. */
void gaps_remove(struct gaps *gaps, int64_t from, int64_t to);

/** Total seconds of all spans. */
int64_t gaps_total(const struct gaps *gaps);

/** Reads the file; false: it is missing or incomplete, and `gaps` is empty. */
bool gaps_load(struct gaps *gaps, const char *path);
/** Writes the file atomically. False with errno. */
bool gaps_save(const struct gaps *gaps, const char *path);
