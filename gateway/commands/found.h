// SPDX-License-Identifier: MIT
/*
 * What a search has found on one port, as a configuration that reads it.
 */
#ifndef PACKGATE_COMMANDS_FOUND_H
#define PACKGATE_COMMANDS_FOUND_H

#include "lines/search/search.h"

#define FOUND_PACKS 64

/* One pack; its values are those of the search. */
struct found_pack {
    const struct bms_driver *driver;
    int address, variant;
    unsigned baud;
    const char *framing;
    struct pack values;
};

struct found {
    const char *port, *key_file; /* key_file: of its line; empty: none */
    bool serial;
    struct found_pack packs[FOUND_PACKS];
    unsigned count;
};

/** Keeps it; one too many is left out. */
void found_add(struct found *found, const struct search_found *pack);

/** "53.58 V, 16 cells, SOC 88.0 %". */
void found_print_values(const struct pack *values, FILE *out);

/** Writes the sections of all that was found. Names and units are none of those in `beside` (NULL:
 * there is no other configuration), a line that is there already is used, and packs that are in it
 * are left out. What cannot be together on one line is written as a comment that says why. Returns how
 * many packs were written. */
unsigned found_write(const struct found *found, const struct config *beside, FILE *out);

#endif
