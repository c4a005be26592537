// SPDX-License-Identifier: MIT
/*
 * A list of networks that clients may come from.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define MAX_ALLOW 64

struct allow_network {
    uint8_t address[16]; /* IPv6; IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;        /* prefix length, 0…128 */
};

struct allow_list {
    struct allow_network networks[MAX_ALLOW];
    unsigned count;
};

/** Appends one network, "10.0.0.0/8", "fe80::/10", or a single address. False: not a network, or
 * the list is full. */
bool allow_add(struct allow_list *list, const char *text);

/** Whether a client's address lies in one of the networks. IPv4 and IPv4-mapped IPv6 are the
 * same. */
bool allow_contains(const struct allow_list *list, const struct sockaddr *address);

/** Whether the list has only single addresses, such as that of a proxy. */
bool allow_is_single(const struct allow_list *allow);
