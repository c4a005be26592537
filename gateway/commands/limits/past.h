// SPDX-License-Identifier: MIT
/*
 * Earlier values of a pack, row by row: a history as CSV, as printed by `packgate export`, or its
 * database, which packgate-outlet-history reads.
 */
#pragma once

#include "bms/pack.h"

#include <stdbool.h>

struct past;

/* The rows to read from a database; a CSV is read whole. NULL: the default of `packgate export`. */
struct past_ask {
    const char *pack, *from, *to;
};

/* A row: its time and its values. */
struct past_row {
    double at; /* s */
    struct pack pack;
    char time[40]; /* as in the file */
};

/** Whether the file is the database of a history, which can contain several packs; a CSV contains
 * one. */
bool past_is_database(const char *path);

/** Opens a file; "-" is CSV on standard input. NULL: the error was printed. */
struct past *past_open(const char *path, const struct past_ask *ask);

/** Reads the next row, with at least `sensors` temperatures if their average is known. False: there
 * is none; past_close returns whether that is the end. */
bool past_next(struct past *past, unsigned sensors, struct past_row *row);

/** False: something could not be read; the error was printed. */
bool past_close(struct past *past);
