// SPDX-License-Identifier: MIT
/* Checks the files that a configuration names: passwords, certificates, keys. */
#pragma once

#include "config/config.h"

/** Returns the error of the file that an entry names: it cannot be opened, or lacks what its key
 * requires. NULL: no error, or the entry names no such file. */
const char *check_file(const struct config_entry *entry);
