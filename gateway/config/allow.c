// SPDX-License-Identifier: MIT
/*
 * A list of allowed networks. All addresses are compared as IPv6 ones, an IPv4 address as
 * ::ffff:a.b.c.d, so that a client is the same whichever socket it came in by.
 */
#include "allow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96 /* prefix bits of IPv4-mapped IPv6 addresses */

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {[10] = 0xFF, [11] = 0xFF};

/* Parses an address; `bits` becomes the prefix length of this single address. */
static bool parse_network_address(const char *text, uint8_t address[16], unsigned *bits)
{
    if (inet_pton(AF_INET6, text, address) == 1) {
        *bits = 128;
        return true;
    }
    memcpy(address, mapped_prefix, sizeof mapped_prefix);
    *bits = 32;
    return inet_pton(AF_INET, text, address + sizeof mapped_prefix) == 1;
}

bool allow_add(struct allow_list *list, const char *text)
{
    char host[INET6_ADDRSTRLEN];
    const size_t length = strcspn(text, "/");
    struct allow_network network;
    unsigned max;

    if (list->count == MAX_ALLOW || length >= sizeof host)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    if (!parse_network_address(host, network.address, &max))
        return false;
    unsigned bits = max;
    if (text[length] == '/') {
        const char *prefix = text + length + 1;
        const size_t digits = strspn(prefix, "0123456789");
        if (digits < 1 || digits > 3 || prefix[digits])
            return false;
        bits = (unsigned) atoi(prefix);
    }
    if (bits > max)
        return false;
    network.bits = (uint8_t) (128 - max + bits);
    list->networks[list->count++] = network;
    return true;
}

/* Whether the first bits of both are equal. Bits of a network beyond its prefix are ignored. */
static bool same_prefix(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

static bool client_address(const struct sockaddr *client, uint8_t address[16])
{
    const char *bytes = (const char *) client;
    memcpy(address, mapped_prefix, sizeof mapped_prefix);
    if (client->sa_family == AF_INET)
        memcpy(address + sizeof mapped_prefix, bytes + offsetof(struct sockaddr_in, sin_addr),
               sizeof(struct in_addr));
    else if (client->sa_family == AF_INET6)
        memcpy(address, bytes + offsetof(struct sockaddr_in6, sin6_addr), sizeof(struct in6_addr));
    return client->sa_family == AF_INET || client->sa_family == AF_INET6;
}

bool allow_contains(const struct allow_list *list, const struct sockaddr *address)
{
    uint8_t client[16];
    if (!client_address(address, client))
        return false;
    for (unsigned i = 0; i < list->count; i++) {
        const struct allow_network *network = &list->networks[i];
        /* "::/0" is every IPv6 address, and no IPv4 one in this format. */
        const bool four = memcmp(client, mapped_prefix, sizeof mapped_prefix) == 0;
        if (!(four && network->bits < MAPPED_BITS) &&
            same_prefix(network->address, client, network->bits))
            return true;
    }
    return false;
}

bool allow_is_single(const struct allow_list *allow)
{
    for (unsigned i = 0; i < allow->count; i++)
        if (allow->networks[i].bits < 128)
            return false;
    return true;
}
