// SPDX-License-Identifier: MIT
/* "HOST:PORT", checked by its form only. */
#include "endpoint.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool parse_port(const char *text, uint16_t *port)
{
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, DIGITS) != length)
        return false;
    unsigned long number = strtoul(text, NULL, 10);
    if (number > 65535)
        return false;
    *port = (uint16_t) number;
    return true;
}

/* A link-local address needs the name of its network card behind it: fe80::7%eth0. */
static bool is_ipv6(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    size_t length = strcspn(host, "%");
    if (length >= sizeof address || (host[length] && !host[length + 1]))
        return false;
    memcpy(address, host, length);
    address[length] = 0;
    return inet_pton(AF_INET6, address, &ignored) == 1;
}

static bool is_ipv4(const char *host)
{
    struct in_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1;
}

/* Nothing but digits and dots is meant as an address: 192.0.2.300 is not a host of that name. */
static bool is_name(const char *host)
{
    return host[0] && !strchr("-.", host[0]) && host[strspn(host, DIGITS ".")] &&
           !host[strspn(host, LETTERS DIGITS "-_.")];
}

bool endpoint_parse(const char *text, struct endpoint *endpoint)
{
    struct endpoint found = {0};
    const char *colon = strrchr(text, ':');
    if (!colon || !parse_port(colon + 1, &found.port))
        return false;
    size_t length = (size_t) (colon - text);
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    if (bracketed) {
        text++;
        length -= 2;
    }
    if (length >= sizeof found.host)
        return false;
    memcpy(found.host, text, length);
    found.numeric = bracketed ? is_ipv6(found.host) : is_ipv4(found.host);
    if (!found.numeric && (bracketed || !is_name(found.host)))
        return false;
    *endpoint = found;
    return true;
}
