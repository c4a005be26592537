// SPDX-License-Identifier: MIT
/* What this host lacks for a configuration. */
#ifndef PACKGATE_COMMANDS_CHECK_HOST_H
#define PACKGATE_COMMANDS_CHECK_HOST_H

#include "config/config.h"

/** Prints to standard error what `packgate check` warns of: devices, addresses, files, outlets. `path` is how the file is
 * named in these lines. */
void check_host(const char *path, const struct config *config);

#endif
