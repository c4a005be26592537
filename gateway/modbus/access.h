// SPDX-License-Identifier: MIT
/*
 * Who may do what: the list of allowed networks, and the one function that decides on a request.
 */
#ifndef PACKGATE_MODBUS_ACCESS_H
#define PACKGATE_MODBUS_ACCESS_H

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

/* What a client asks, after framing and checks. */
struct access_request {
    const struct sockaddr *client;
    uint8_t unit;
    uint8_t function;
    uint16_t address, count;
    bool writable; /* the unit is a pack whose switches the configuration hands over */
    const struct allow_list *allow_write; /* clients that may write; NULL: none */
};

/** Whether a function sets registers or coils to values, and may do so at all. */
bool access_sets(uint8_t function);

/** The Modbus exception code to answer with, or 0 when the request may go ahead. Everybody who
 * is let in may read. Writing is for the clients of allow_write, to units that are writable,
 * with the functions that set a value. */
uint8_t access_decide(const struct access_request *request);

#endif
