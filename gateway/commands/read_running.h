// SPDX-License-Identifier: MIT
/*
 * `packgate read` beside a running gateway: its port takes one program, and the values are there.
 */
#ifndef PACKGATE_COMMANDS_READ_RUNNING_H
#define PACKGATE_COMMANDS_READ_RUNNING_H

#include <stdbool.h>

struct read_running {
    const char *config; /* the file: only a gateway that runs on it is asked */
    char **names;       /* of packs; none: all */
    int name_count;
    bool watch;
    double timeout_s;
};

/** Prints the values of the packs as the gateway has them, as soon as they are fresh and complete.
 * Returns the exit status; -1: no gateway runs on this file, or it cannot be asked. */
int read_running(const struct read_running *reading);

#endif
