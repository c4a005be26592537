// SPDX-License-Identifier: MIT
/* Files that are named in the configuration. */
#ifndef PACKGATE_BASE_REGULAR_H
#define PACKGATE_BASE_REGULAR_H

#include <stdio.h>

/** Opens a file to read it. NULL: *why says why, in words; so it is with a pipe or a device, which
 * would keep whoever reads it waiting for as long as it likes. */
FILE *regular_open(const char *path, const char **why);

#endif
