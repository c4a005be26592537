// SPDX-License-Identifier: MIT
/* Prints text in columns, each as wide as its longest cell. */
#pragma once

#include <stdio.h>

struct table {
    char *text;
    size_t size, heading; /* heading: bytes of its line */
    FILE *out;            /* for the lines, whose cells are separated by tabs */
};

/** Begins a table. */
void table_begin(struct table *table, const char *heading);

/** Prints it, unless it has only a heading, between two texts; or discards it, where `before` is
 * NULL. */
void table_end(struct table *table, const char *before, const char *after);
