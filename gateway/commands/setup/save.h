// SPDX-License-Identifier: MIT
/* Undoes a configuration of a browser that was not kept. */
#pragma once

#include <stdbool.h>

/** Takes the lock of save_lock, and restores the previous file if the last configuration was not kept (`*undone`). Returns
 * the lock, which the caller closes; -1 with errno. */
int setup_recover(const char *path, bool *undone);
