// SPDX-License-Identifier: MIT
/* Functions on sections for the gateway and outlets. They use no table of keys, because outlets do not link those. */
#include "outlet_config.h"

#include <string.h>

const char *notify_event_name(enum notify_event event)
{
    static const char *const words[NOTIFY_EVENTS] = {"alarm",     "stale",  "back",
                                                     "soc_below", "full",   "cell_delta",
                                                     "switched",  "report", "started"};
    return words[event];
}

bool mqtt_broker_parse(const char *text, bool *tls, struct endpoint *endpoint)
{
    char address[OUTLET_PATH_SIZE + 8];
    *tls = strncmp(text, "mqtts://", 8) == 0;
    if (!*tls && strncmp(text, "mqtt://", 7) != 0)
        return false;
    snprintf(address, sizeof address - 6, "%s", strstr(text, "://") + 3);
    const size_t size = strcspn(address, "/");
    if (strcmp(address + size, "/") == 0)
        address[size] = '\0';
    if (endpoint_parse(address, endpoint))
        return endpoint->port > 0;
    strcat(address, *tls ? ":8883" : ":1883");
    return endpoint_parse(address, endpoint);
}

bool web_address(const struct web_config *web, const char *host_name, char *out, size_t size)
{
    const bool tls = web->tls_cert[0] != '\0';
    if (web->link[0])
        return snprintf(out, size, "%s", web->link) > 0;
    if (allow_is_single(&web->allow))
        return false;
    for (unsigned i = 0; i < web->listen.count; i++) {
        struct endpoint endpoint;
        char host[300];
        if (!endpoint_parse(web->listen.at[i], &endpoint) || endpoint.port == 0 ||
            host_is_own(endpoint.host))
            continue;
        const bool any = strcmp(endpoint.host, "0.0.0.0") == 0 || strcmp(endpoint.host, "::") == 0;
        if (!any)
            snprintf(host, sizeof host, strchr(endpoint.host, ':') ? "[%s]" : "%s", endpoint.host);
        else if (web->hosts.count > 0)
            snprintf(host, sizeof host, "%s", web->hosts.at[0]);
        else
            snprintf(host, sizeof host, "%s%s", host_name, strchr(host_name, '.') ? "" : ".local");
        const char *format = endpoint.port == (tls ? 443 : 80) ? "%s://%s/" : "%s://%s:%u/";
        snprintf(out, size, format, tls ? "https" : "http", host, (unsigned) endpoint.port);
        return true;
    }
    return false;
}

bool outlet_wants(const struct outlet_config *outlet, const char *name)
{
    for (unsigned i = 0; i < outlet->pack_count; i++)
        if (strcmp(outlet->packs[i], name) == 0)
            return true;
    return outlet->pack_count == 0;
}
