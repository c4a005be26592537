// SPDX-License-Identifier: MIT
/*
 * What a pack reported on a day of the past, row by row: a history as CSV, as `packgate export` prints it, or its database,
 * which packgate-outlet-history reads.
 */
#ifndef PACKGATE_COMMANDS_LIMITS_PAST_H
#define PACKGATE_COMMANDS_LIMITS_PAST_H

#include "bms/pack.h"

#include <stdbool.h>

struct past;

/* What is wanted of a database; CSV has what it has. NULL: the default of `packgate export`. */
struct past_ask {
    const char *pack, *from, *to;
};

/* A row, at its time and with what is in it. */
struct past_row {
    double at; /* s */
    struct pack pack;
    char time[40]; /* as it stands in the file */
};

/** Whether it is the database of a history, which has several packs; a CSV has one. */
bool past_is_database(const char *path);

/** Opens a file; "-" is CSV on standard input. NULL: what is wrong was printed. */
struct past *past_open(const char *path, const struct past_ask *ask);

/** The next row, with at least `sensors` temperatures where their average is known. False: there is none; past_close
 * says whether that is the end. */
bool past_next(struct past *past, unsigned sensors, struct past_row *row);

/** False: something could not be read, which was printed. */
bool past_close(struct past *past);

#endif
