// SPDX-License-Identifier: MIT
/* The files that a configuration names: passwords, certificates, keys. */
#ifndef PACKGATE_COMMANDS_CHECK_FILES_H
#define PACKGATE_COMMANDS_CHECK_FILES_H

#include "config/config.h"

/** What is wrong with the file that an entry names: it cannot be opened, or it does not hold what
 * its key wants. NULL: nothing, or the entry names no such file. */
const char *check_file(const struct config_entry *entry);

#endif
