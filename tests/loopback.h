// SPDX-License-Identifier: MIT
/* A far end on this host, for the tests of lines and of what dials. */
#pragma once

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "unit.h"

/* A non-blocking socket that listens on a port of 127.0.0.1, which is told; 0: any free one. */
static inline int listen_on_loopback(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t) *port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (const struct sockaddr *) &address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* The same as the port of a line, on any free one. */
static inline int listen_as_line(char port[], size_t size)
{
    unsigned number = 0;
    const int fd = listen_on_loopback(&number);
    snprintf(port, size, "tcp://127.0.0.1:%u", number);
    return fd;
}
