// SPDX-License-Identifier: MIT
/*
 * The packs that a search has found on one port, and the configuration that reads them.
 */
#pragma once

#include "lines/search/search.h"

#define FOUND_PACKS 64

/* One pack; its values are owned by the search. */
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

/** Adds a pack; ignored when the list is full. */
void found_add(struct found *found, const struct search_found *pack);

/** "53.58 V, 16 cells, SOC 88.0 %". */
void found_print_values(const struct pack *values, FILE *out);

/** Writes the sections of all packs found. Avoids the names and units of `beside` (NULL: there is
 * no other configuration), uses a line that exists there, and leaves out packs that exist there.
 * What cannot share one line is written as a comment with the reason. Returns the number of packs
 * written. */
unsigned found_write(const struct found *found, const struct config *beside, FILE *out);
