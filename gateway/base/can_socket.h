// SPDX-License-Identifier: MIT
/*
 * Sends and receives CAN frames through a socket of the kernel, as lines of SLCAN, which adapters send and receive too. The
 * system configures the interface and its speed. For tests on kernels without CAN, a socket pair works as well.
 */
#pragma once

#include "slcan.h"

#include <stdbool.h>
#include <sys/types.h>

/** Opens an interface such as "can0". Returns a non-blocking descriptor; -1 with errno. */
int can_socket_open(const char *interface);

/** As read(2): the next data frame with an 11-bit identifier, as a line of SLCAN. `*own`: it is one that was sent through
 * this socket, and has left the interface now; with NULL such frames are skipped. */
ssize_t can_socket_read(int fd, uint8_t *line, size_t room, bool *own);

/** Sends whole lines of SLCAN as frames, without blocking; skips commands to an adapter. False with errno: the kernel's
 * queue is full, or the interface is down. */
bool can_socket_write(int fd, const uint8_t *lines, size_t size);
