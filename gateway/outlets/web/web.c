// SPDX-License-Identifier: MIT
/* Shared by the parts of the web outlet. */
#include "web.h"

#include "base/address.h"
#include "base/clock.h"

#include <string.h>

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
    char host[ADDRESS_TEXT];
    return !request->unclear &&
           host_is_own(address_format_host((const struct sockaddr *) &request->http->client, host));
}
