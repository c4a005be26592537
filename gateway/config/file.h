// SPDX-License-Identifier: MIT
/*
 * The configuration's file as last read, for display: its text without secrets, and its mistakes.
 * After a failed reload the gateway runs on an older text.
 */
#pragma once

#include "config.h"

struct config_file {
    char *path;     /* absolute if possible */
    char *text;     /* secrets are blanked; NULL: it could not be read */
    char *mistakes; /* one per line, "file:line: mistake"; warnings, too */
    bool in_force;  /* the gateway runs on it */
    double read_at; /* by clock_now */
};

/** Loads `path` as config_load does, and replaces what is kept for display (zeroed: nothing). */
struct config *config_file_load(struct config_file *file, const char *path, FILE *errors,
                                double now);
void config_file_free(struct config_file *file);

/** A copy of a configuration's text with secret values, and passwords in addresses, blanked; the
 * caller frees it. NULL: out of memory. */
char *config_masked(const char *text);
