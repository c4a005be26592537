// SPDX-License-Identifier: MIT
/* Shared by the parts of the web outlet. */
#include "web.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <string.h>

const struct render_pack *web_pack(const struct web *web, const char *name, size_t size)
{
    for (unsigned n = 0; n < web->count; n++)
        if (strlen(web->packs[n].pack->source.name) == size &&
            memcmp(web->packs[n].pack->source.name, name, size) == 0)
            return &web->packs[n];
    return NULL;
}

bool web_token(const struct web_request *request, const char *cookie, char token[SESSION_TOKEN])
{
    const char *found =
        MHD_lookup_connection_value(request->http->connection, MHD_COOKIE_KIND, cookie);
    if (!found || strlen(found) != SESSION_TOKEN - 1)
        return false;
    memcpy(token, found, SESSION_TOKEN);
    return true;
}

double web_session(struct web *web, const struct web_request *request, bool use)
{
    char token[SESSION_TOKEN];
    return web_token(request, WEB_COOKIE, token)
               ? session_left(&web->sessions, token, clock_now(), use)
               : 0;
}

bool web_is_this_host(const struct web_request *request)
{
    const struct sockaddr *client = (const struct sockaddr *) &request->http->client;
    static const uint8_t loopback[16] = {[10] = 0xFF, [11] = 0xFF, [12] = 127};
    if (request->unclear)
        return false;
    if (client->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *) client)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((const struct sockaddr_in6 *) client)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || memcmp(six, loopback, 13) == 0;
}
