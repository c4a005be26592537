// SPDX-License-Identifier: MIT
/*
 * Packs of a gateway as a Modbus TCP client sees them: all values by their names, as the control socket tells
 * them. Waits for answers.
 */
#ifndef PACKGATE_COMMANDS_AFAR_H
#define PACKGATE_COMMANDS_AFAR_H

#include <jansson.h>
#include <stddef.h>

struct afar {
    const char *host, *port;
    int base; /* of its map */
    double wait_s;
    char why[200]; /* what went wrong */
};

/** A list of objects: "pack", "unit", "state" ("never", "fresh", "stale", "no line"), numbers, and "alarms", each with "name" and
 * "level". `wanted` are names or unit ids; none takes all units that answer as packgate does. NULL: `why`. */
json_t *afar_read(struct afar *afar, const char *const *wanted, unsigned count);

#endif
