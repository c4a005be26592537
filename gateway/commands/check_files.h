// SPDX-License-Identifier: MIT
/* Checks the files that a configuration names: passwords, certificates, keys. */
#ifndef PACKGATE_COMMANDS_CHECK_FILES_H
#define PACKGATE_COMMANDS_CHECK_FILES_H

#include "config/config.h"

/** Returns the error of the file that an entry names: it cannot be opened, or lacks what its key
 * requires. NULL: no error, or the entry names no such file. */
const char *check_file(const struct config_entry *entry);

#endif
