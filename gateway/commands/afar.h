// SPDX-License-Identifier: MIT
/*
 * Reads the packs of a gateway as a Modbus TCP client: all values by their names, in the form of
 * the control socket. Blocks while it waits for answers.
 */
#pragma once

#include <jansson.h>

struct afar {
    char host[254], port[6];
    int base; /* of its map */
    double wait_s;
    char why[500]; /* the last error */
};

/** Returns a list of objects: "pack", "unit", "state" ("never", "fresh", "stale", "no_line"),
 * numbers, and "alarms", each with "name" and "level". `wanted` contains names or unit ids; if it
 * is empty, all units that answer like packgate are read. NULL: see `why`. */
json_t *afar_read(struct afar *afar, const char *const *wanted, unsigned count);
