// SPDX-License-Identifier: MIT
/*
 * Child processes for work that may block: name look-ups, writes to a worn SD card.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/** To be called in the child, right after fork: closes all inherited descriptors except the first
 * three and `keep` (-1: none). Without this the child would hold sockets that the parent closes,
 * keep a serial port busy, and occupy the listening port when the parent is restarted. Returns the
 * new number of `keep`. */
int child_settle(int keep);

/** Makes child_settle leave this descriptor, too, open in all children of this process. Only one
 * can be set. */
void child_keep_too(int fd);

/** To be called in the child before it executes another program: restores the default action of
 * signals and unblocks them. */
void child_reset_signals(void);

/** Whether this process started the other one, directly or not. Also true if the other one cannot
 * be found any more. */
bool child_is_ours(pid_t pid);
