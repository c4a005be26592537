// SPDX-License-Identifier: MIT
/* A pseudo terminal that replaces a serial port. */
#pragma once

#define PTY_NAME 64

/** Opens one, raw, without echo: clients open, close and reopen its slave, whose path is written. Returns the non-blocking master;
 * -1 with errno. */
int pty_open(char name[PTY_NAME]);

/** Prepares the master for the next client: raw mode, and unread bytes are discarded. */
void pty_reset(int master);
