// SPDX-License-Identifier: MIT
/* Socket addresses as text. */
#include "address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define HOST_TEXT (ADDRESS_TEXT - sizeof "[]:65535")

unsigned address_port(const struct sockaddr *address)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;

    switch (address->sa_family) {
    case AF_INET:
        memcpy(&four, address, sizeof four);
        return ntohs(four.sin_port);
    case AF_INET6:
        memcpy(&six, address, sizeof six);
        return ntohs(six.sin6_port);
    default:
        return 0;
    }
}

const char *address_format_host(const struct sockaddr *address, char text[ADDRESS_TEXT])
{
    const socklen_t size =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (getnameinfo(address, size, text, HOST_TEXT, NULL, 0, NI_NUMERICHOST) != 0)
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
