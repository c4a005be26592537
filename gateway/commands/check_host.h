// SPDX-License-Identifier: MIT
/* Checks what this host lacks for a configuration. */
#ifndef PACKGATE_COMMANDS_CHECK_HOST_H
#define PACKGATE_COMMANDS_CHECK_HOST_H

#include "config/config.h"

/** Prints the warnings of `packgate check` to standard error: devices, addresses, files, outlets.
 * `path` is the name of the file in these lines. */
void check_host(const char *path, const struct config *config);

#endif
