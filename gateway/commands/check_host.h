// SPDX-License-Identifier: MIT
/* Checks what this host lacks for a configuration. */
#pragma once

#include "config/config.h"

#include <stdio.h>

/** Writes the warnings of `packgate check` to `out`: devices, addresses, files, outlets. `path` is
 * the name of the file in these lines. */
void check_host(const char *path, const struct config *config, FILE *out);
