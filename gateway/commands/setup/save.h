// SPDX-License-Identifier: MIT
/* What a start does for a configuration that was set up in a browser. */
#ifndef PACKGATE_COMMANDS_SETUP_SAVE_H
#define PACKGATE_COMMANDS_SETUP_SAVE_H

#include <stdbool.h>

/** Puts the file before back where a configuration was not kept, with the lock of save_lock, which is returned: the caller closes
 * it. `*undone`: there was one. -1: errno. */
int setup_recover(const char *path, bool *undone);

#endif
