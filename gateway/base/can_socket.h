// SPDX-License-Identifier: MIT
/*
 * Sends and receives CAN frames through a socket of the kernel. The system configures the interface and its speed. For
 * tests on kernels without CAN, a socket pair works as well.
 */
#pragma once

#include "slcan.h"

#include <stdbool.h>

/** Opens an interface such as "can0". Returns a non-blocking descriptor; -1 with errno. */
int can_socket_open(const char *interface);

/** Sends a frame without blocking. False with errno: the kernel's queue is full, or the interface is down. */
bool can_socket_send(int fd, const struct can_message *frame);

/** Receives the next data frame with an 11-bit identifier. Returns 1; 0: none has arrived; -1 with errno: the interface
 * is gone. */
int can_socket_receive(int fd, struct can_message *frame);
