// SPDX-License-Identifier: MIT
/*
 * Converts addresses to text and back: "192.0.2.1:502", "[2001:db8::1]:502", "[fe80::1%eth0]:502",
 * and in the configuration "moxa.lan:4001". Never looks a name up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 80 /* bytes: IPv6 address, interface, brackets, port, NUL */

/** Writes an address with its port and returns `text`. */
const char *address_format(const struct sockaddr *address, char text[ADDRESS_TEXT]);

/** Writes only the address, without brackets, and returns `text`. */
const char *address_format_host(const struct sockaddr *address, char text[ADDRESS_TEXT]);

/** The port of an IPv4 or IPv6 address, else 0. */
unsigned address_port(const struct sockaddr *address);

/* "HOST:PORT" of the configuration. */
struct endpoint {
    char host[254]; /* without brackets, as getaddrinfo expects it */
    uint16_t port;
    bool numeric; /* an address, not a name: needs no look-up */
};

/** Splits the text and checks its form, without a look-up. False: it has none of these forms. */
bool endpoint_parse(const char *text, struct endpoint *endpoint);

/** The socket address of a numeric host. False: it is a name. */
bool endpoint_address(const struct endpoint *endpoint, struct sockaddr_storage *address,
                      socklen_t *size);

/** Whether it is a link-local address without its interface, "fe80::7": no socket accepts it. */
bool endpoint_lacks_interface(const struct endpoint *endpoint);

/** Whether it is an IPv4 address in IPv6 form, "::ffff:192.0.2.7"; writes its IPv4 form to `four`.
 * Sockets that listen for IPv6 only reject it. */
bool endpoint_is_mapped(const struct endpoint *endpoint, char four[16]);

/** Whether the text of a host (without brackets) names this host: 127.x.y.z, also as an IPv4-mapped
 * IPv6 address, ::1, localhost. A name that only begins like one, "127.example.net", does not. */
bool host_is_own(const char *host);

#define HOST_NAME_SIZE 65

/** The name of this host without its domain, written into `name`, which is returned. */
const char *host_own_name(char name[HOST_NAME_SIZE]);
