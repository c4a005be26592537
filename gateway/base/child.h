// SPDX-License-Identifier: MIT
/*
 * Child processes that do what may take long: look up a name, write to a worn SD card.
 */
#ifndef PACKGATE_BASE_CHILD_H
#define PACKGATE_BASE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/** In the child, right after fork: closes all that it has inherited but the first three
 * descriptors and `keep` (-1: none). While it waits, a socket that the parent closes would stay
 * open, a serial port busy, and the listening port taken when the parent is started anew.
 * Returns the new number of `keep`. */
int child_settle(int keep);

/** A descriptor, not the fourth, that child_settle leaves open in all children of this process. */
void child_keep_too(int fd);

/** In the child, before it becomes another program: what would end a program does so again, and nothing
 * is held back. */
void child_reset_signals(void);

/** Whether a process was started by this one, directly or not, or cannot be found any more. */
bool child_is_ours(pid_t pid);

#endif
