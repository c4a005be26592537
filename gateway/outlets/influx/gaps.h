// SPDX-License-Identifier: MIT
/*
 * What the database has not confirmed yet: spans of time, the oldest first, apart from one another,
 * and up to when anything is known at all. Pure, but for the file that it is kept in.
 *
 * There is room for a few spans. When there are more, the two that are closest to each other become
 * one: what lies between is then sent a second time, which changes nothing in the database. Nothing
 * that was not confirmed ever leaves the list by that.
 */
#ifndef PACKGATE_OUTLETS_INFLUX_GAPS_H
#define PACKGATE_OUTLETS_INFLUX_GAPS_H

#include <stdbool.h>
#include <stdint.h>

#define GAPS_MAX 8

struct gap {
    int64_t from, to; /* UTC in seconds, without `to` */
};

struct gaps {
    struct gap at[GAPS_MAX];
    unsigned count;
    int64_t until;  /* what begins later has not been looked at; 0: nothing ever was */
    int64_t health; /* midnight of the last day whose health is confirmed; 0: none */
};

/** Adds a span that is not confirmed (any more). An empty span is ignored. */
void gaps_add(struct gaps *gaps, int64_t from, int64_t to);
/** Removes a span that was confirmed, or is lost for good. */
void gaps_remove(struct gaps *gaps, int64_t from, int64_t to);

/** Seconds of all of them. */
int64_t gaps_total(const struct gaps *gaps);

/** Reads the file; false: it is missing or incomplete, and `gaps` is empty. */
bool gaps_load(struct gaps *gaps, const char *path);
/** Writes the file atomically. False with errno. */
bool gaps_save(const struct gaps *gaps, const char *path);

#endif
