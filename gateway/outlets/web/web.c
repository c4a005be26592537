// SPDX-License-Identifier: MIT
/* What the parts of the web outlet share. */
#include "web.h"

#include "base/clock.h"

#include <string.h>

const struct render_pack *web_pack(const struct web *web, const char *name, size_t size)
{
    for (unsigned n = 0; n < web->count; n++)
        if (strlen(web->packs[n].pack->source.name) == size &&
            memcmp(web->packs[n].pack->source.name, name, size) == 0)
            return &web->packs[n];
    return NULL;
}

bool web_token(const struct web_request *request, char token[SESSION_TOKEN])
{
    const char *found =
        MHD_lookup_connection_value(request->http->connection, MHD_COOKIE_KIND, WEB_COOKIE);
    if (!found || strlen(found) != SESSION_TOKEN - 1)
        return false;
    memcpy(token, found, SESSION_TOKEN);
    return true;
}

double web_session(struct web *web, const struct web_request *request, bool use)
{
    char token[SESSION_TOKEN];
    return web_token(request, token) ? session_left(&web->sessions, token, clock_now(), use) : 0;
}
