// SPDX-License-Identifier: MIT
/*
 * What a value means to programs that show it: a title for people, and how Home Assistant sorts it.
 * Taken from the rows of the map, so that every client file and every message says the same.
 */
#ifndef PACKGATE_REGISTERS_MEANING_H
#define PACKGATE_REGISTERS_MEANING_H

#include <stdbool.h>

#define MEANING_TITLE 64

struct meaning {
    char title[MEANING_TITLE]; /* "State of charge"; of an array that of its elements: "Cell" */
    const char *unit;          /* "" where there is none */
    int decimals;              /* worth printing */
    const char *device_class;  /* as Home Assistant calls it; NULL: none */
    const char *state_class;   /* the same */
};

/** Of the value with a name of the extended block, of an array by its stem ("cell_mv"). False:
 * there is none. */
bool meaning_find(const char *name, struct meaning *meaning);

/** Of a value with this unit. */
const char *meaning_device_class(const char *name, const char *unit);
const char *meaning_state_class(const char *unit, bool is_counter);

#endif
