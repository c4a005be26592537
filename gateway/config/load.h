// SPDX-License-Identifier: MIT
/* From a file to the structs of the configuration; and the file as last read, for display. */
#pragma once

#include "config.h"
#include "mistakes.h"

#include <stdio.h>

/** Reads and checks `path` ("-": standard input). NULL if there is any mistake; each is written to
 * `errors` (NULL: nowhere) as "file:line: what is wrong and what was expected", in the order of the lines.
 * Tolerable problems (a line without packs) are written as "file:line: warning: …" and do not
 * cause NULL. The caller frees it with config_free. */
struct config *config_load(const char *path, FILE *errors);
/** The same from memory; `name` replaces the file name. */
struct config *config_parse(const char *text, const char *name, FILE *errors);
/** The same with the mistakes in a list, which is empty before. */
struct config *config_read(const char *text, size_t size, struct mistakes *mistakes);
/** The name of a file in its mistakes. */
static inline const char *config_file_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}
void config_free(struct config *config);

/* The file as last read, for display: its text without secrets, and its mistakes. After a failed reload the gateway runs on an
 * older text. */
struct config_file {
    char *path; /* absolute if possible */
    char *text; /* as it was checked, with secrets blanked; NULL: it could not be read */
    struct mistakes mistakes;
    bool in_force;  /* the gateway runs on it */
    double read_at; /* by clock_now */
};

/** A copy of a configuration's text with secret values, and passwords in addresses, blanked; the caller frees it. */
char *config_masked(const char *text);

/** Loads `path` as config_load does, and replaces what is kept for display (zeroed: nothing). */
struct config *config_file_load(struct config_file *file, const char *path, double now);
void config_file_free(struct config_file *file);
