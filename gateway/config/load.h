// SPDX-License-Identifier: MIT
/* From a file to the structs of the configuration. */
#ifndef PACKGATE_CONFIG_LOAD_H
#define PACKGATE_CONFIG_LOAD_H

#include "config.h"

#include <stdio.h>

/** Reads and checks `path` ("-": standard input). NULL when anything is wrong; each mistake is
 * then written to `errors` as "file:line: what is wrong and what was expected", in the order of
 * the lines. What can be lived with (a line without packs) is written as "file:line: warning: …"
 * and is no reason for NULL. The caller frees it with config_free. */
struct config *config_load(const char *path, FILE *errors);
/** The same from a file that is open, and stays so; `name` stands in for the file name. */
struct config *config_read(FILE *file, const char *name, FILE *errors);
/** The same from memory; `name` stands in for the file name. */
struct config *config_parse(const char *text, const char *name, FILE *errors);
void config_free(struct config *config);

#endif
