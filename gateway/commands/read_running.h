// SPDX-License-Identifier: MIT
/*
 * `packgate read` with the values of a running gateway, because its port serves one program only.
 */
#pragma once

#include <stdbool.h>

struct read_running {
    const char *config; /* the file: only a gateway that runs on it is asked */
    char **names;       /* of packs; empty: all */
    int name_count;
    bool watch;
    double timeout_s;
};

/** Prints the values of the packs as soon as they are fresh and complete. Returns the exit status;
 * -1: no gateway runs on this file, or it cannot be reached. */
int read_running(const struct read_running *reading);

/** Prints that the file `config` has no pack, and what to do. */
void read_report_no_pack(const char *config);
