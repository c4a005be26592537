// SPDX-License-Identifier: MIT
/*
 * Titles and classes of values for programs that show them: a title for people, and the classes of
 * Home Assistant. Taken from the rows of the map, so that all client files and messages agree.
 */
#pragma once

#include <stdbool.h>

#define MEANING_TITLE 64

struct meaning {
    char title[MEANING_TITLE]; /* "State of charge"; for an array the title of an element: "Cell" */
    const char *unit;          /* "" if it has none */
    int decimals;              /* decimals worth printing */
    const char *device_class;  /* of Home Assistant; NULL: none */
    const char *state_class;   /* of Home Assistant; NULL: none */
};

/** For a value by its name in the extended block, for an array by its stem ("cell_mv"). False:
 * unknown name. */
bool meaning_find(const char *name, struct meaning *meaning);

/** For a value with this unit. */
const char *meaning_device_class(const char *name, const char *unit);
const char *meaning_state_class(const char *unit, bool is_counter);
