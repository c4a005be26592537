// SPDX-License-Identifier: MIT
#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HOST_TEXT (ADDRESS_TEXT - sizeof "[]:65535")
#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static socklen_t size_of(const struct sockaddr *address)
{
    return address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

unsigned address_port(const struct sockaddr *address)
{
    char port[sizeof "65535"] = "";
    getnameinfo(address, size_of(address), NULL, 0, port, sizeof port, NI_NUMERICSERV);
    return (unsigned) strtoul(port, NULL, 10);
}

const char *address_format_host(const struct sockaddr *address, char text[ADDRESS_TEXT])
{
    if (getnameinfo(address, size_of(address), text, HOST_TEXT, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(text, ADDRESS_TEXT, "?");
    return text;
}

const char *address_format(const struct sockaddr *address, char text[ADDRESS_TEXT])
{
    char host[ADDRESS_TEXT];
    address_format_host(address, host);
    snprintf(text, ADDRESS_TEXT, address->sa_family == AF_INET6 ? "[%.*s]:%u" : "%.*s:%u",
             (int) HOST_TEXT, host, address_port(address));
    return text;
}

/* A link-local address needs its interface: fe80::7%eth0. */
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

bool endpoint_parse(const char *text, struct endpoint *endpoint)
{
    struct endpoint found = {0};
    const char *colon = strrchr(text, ':');
    const size_t digits = colon ? strspn(colon + 1, DIGITS) : 0;
    if (digits == 0 || digits > 5 || colon[1 + digits] || strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    found.port = (uint16_t) strtoul(colon + 1, NULL, 10);
    size_t length = (size_t) (colon - text);
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    if (bracketed) {
        text++;
        length -= 2;
    }
    if (length >= sizeof found.host)
        return false;
    memcpy(found.host, text, length);
    struct in_addr ignored;
    found.numeric = bracketed ? is_ipv6(found.host) : inet_pton(AF_INET, found.host, &ignored) == 1;
    /* Digits and dots alone are an attempt at an address: 192.0.2.300 is not a host name. */
    const char *host = found.host;
    const bool named = host[0] && !strchr("-.", host[0]) && host[strspn(host, DIGITS ".")] &&
                       !host[strspn(host, LETTERS DIGITS "-_.")];
    if (!found.numeric && (bracketed || !named))
        return false;
    *endpoint = found;
    return true;
}

bool endpoint_address(const struct endpoint *endpoint, struct sockaddr_storage *address,
                      socklen_t *size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char port[sizeof "65535"];
    snprintf(port, sizeof port, "%u", (unsigned) endpoint->port);
    if (getaddrinfo(endpoint->host, port, &hints, &found) != 0)
        return false;
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool endpoint_lacks_interface(const struct endpoint *endpoint)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, endpoint->host, &address) == 1 && IN6_IS_ADDR_LINKLOCAL(&address);
}

bool endpoint_is_mapped(const struct endpoint *endpoint, char four[16])
{
    struct in6_addr address;
    return inet_pton(AF_INET6, endpoint->host, &address) == 1 && IN6_IS_ADDR_V4MAPPED(&address) &&
           inet_ntop(AF_INET, address.s6_addr + 12, four, 16);
}

bool host_is_own(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) ||
               (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == IN_LOOPBACKNET);
    return strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0;
}

const char *host_own_name(char name[HOST_NAME_SIZE])
{
    memset(name, 0, HOST_NAME_SIZE);
    gethostname(name, HOST_NAME_SIZE - 1);
    name[strcspn(name, ".")] = '\0';
    return name;
}
