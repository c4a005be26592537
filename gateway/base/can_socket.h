// SPDX-License-Identifier: MIT
/*
 * Frames of a CAN bus, by a socket of the kernel. The system brings the interface up and sets its speed. A pair of sockets
 * does as well, for tests where the kernel has no CAN.
 */
#ifndef PACKGATE_BASE_CAN_SOCKET_H
#define PACKGATE_BASE_CAN_SOCKET_H

#include "slcan.h"

#include <stdbool.h>

/** Opens an interface such as "can0". Returns a non-blocking descriptor; -1 with errno. */
int can_socket_open(const char *interface);

/** Sends a frame, never waiting. False with errno: the kernel's queue is full, or the interface is down. */
bool can_socket_send(int fd, const struct can_message *frame);

/** Takes the next data frame with 11 bits of identifier. Returns 1; 0: there is none now; -1 with errno: the interface is
 * gone. */
int can_socket_receive(int fd, struct can_message *frame);

#endif
