// SPDX-License-Identifier: MIT
/* From a file to the structs of the configuration. */
#pragma once

#include "config.h"

#include <stdio.h>

/** Reads and checks `path` ("-": standard input). NULL if there is any mistake; each is written to
 * `errors` as "file:line: what is wrong and what was expected", in the order of the lines.
 * Tolerable problems (a line without packs) are written as "file:line: warning: …" and do not
 * cause NULL. The caller frees it with config_free. */
struct config *config_load(const char *path, FILE *errors);
/** The same while packs are polled: it must not block, as opening a pipe without a writer would. */
struct config *config_load_again(const char *path, FILE *errors);
/** The same from memory; `name` replaces the file name. */
struct config *config_parse(const char *text, const char *name, FILE *errors);
void config_free(struct config *config);
