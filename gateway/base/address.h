// SPDX-License-Identifier: MIT
/*
 * Addresses as text, both ways: "192.0.2.1:502", "[2001:db8::1]:502", "[fe80::1%eth0]:502", and in
 * the configuration "moxa.lan:4001". Nothing is looked up.
 */
#ifndef PACKGATE_BASE_ADDRESS_H
#define PACKGATE_BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 80 /* an IPv6 address with its interface, brackets, port and the NUL */

/** Writes an address with its port and returns `text`. */
const char *address_format(const struct sockaddr *address, char text[ADDRESS_TEXT]);

/** Writes only the address, without brackets, and returns `text`. */
const char *address_format_host(const struct sockaddr *address, char text[ADDRESS_TEXT]);

/** The port of an IPv4 or IPv6 address, else 0. */
unsigned address_port(const struct sockaddr *address);

/* "HOST:PORT" as it stands in the configuration. */
struct endpoint {
    char host[254]; /* without brackets, as getaddrinfo takes it */
    uint16_t port;
    bool numeric; /* an address: no name has to be looked up */
};

/** Takes the text apart and checks its form; nothing is looked up. False: it has none of these
 * forms. */
bool endpoint_parse(const char *text, struct endpoint *endpoint);

/** A link-local address without its interface, which no socket takes: "fe80::7". */
bool endpoint_lacks_interface(const struct endpoint *endpoint);

/** An IPv4 address written as an IPv6 one, "::ffff:192.0.2.7", whose IPv4 form is then put into
 * `four`. Sockets that listen for IPv6 alone do not take it. */
bool endpoint_is_mapped(const struct endpoint *endpoint, char four[16]);

/** Whether a host, without brackets, is this one by its text alone: 127.x.y.z, ::1, the former written as the latter,
 * localhost. A name that begins like such an address, "127.example.net", is not. */
bool host_is_own(const char *host);

#endif
