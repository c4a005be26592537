// SPDX-License-Identifier: MIT
/*
 * A pseudo terminal that replaces a serial port: this process holds the master; clients open the
 * slave by its name, close it and open it again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PTY_NAME 64

/** Opens a new one, raw, without echo. Returns the non-blocking master and writes the slave's path;
 * -1 with errno. */
int pty_open(char name[PTY_NAME]);

/** Whether a client has the slave open. Without one, reading the master fails with EIO. */
bool pty_in_use(int master);

/** Prepares for the next client: raw mode again, and unread bytes are discarded. */
void pty_reset(int master);
