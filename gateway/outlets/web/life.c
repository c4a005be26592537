// SPDX-License-Identifier: MIT
/*
 * The outlet for browsers and other HTTP clients: the page, its values, and metrics. Requests from
 * the network are parsed here, in a process that has neither rights nor a line to a pack.
 */
#include "web.h"
#include "password.h"

#include "outlets/outlet.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/regular.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEM_MOST 1000000 /* bytes of a certificate with its chain */

static void on_changed(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
    struct web *web = self;
    const struct source *source = &pack->source;
    const bool fresh = outlet_fresh(web->outlet, pack, now);
    const bool published = fresh && changes & SOURCE_PUBLISHED;
    news_changed(web, pack->index, changes, fresh);
    if (web->past && (published || !fresh))
        past_add(web->past, pack->index, published ? source->values : NULL, &source->status,
                 published ? pack->last.wall : clock_wall());
}

static bool admit(void *data, const struct sockaddr *peer, bool *is_proxy)
{
    const struct web *web = data;
    *is_proxy = allow_contains(&web->config->proxy, peer);
    return *is_proxy || allow_contains(&web->config->allow, peer);
}

/* Splits the target into path and host name. False: refused. */
static bool split_target(struct web *web, struct web_request *request)
{
    struct http_request *http = request->http;
    const char *host = http_header(http, "Host"), *target = http->target;
    char authority[GUARD_HOST_SIZE];
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        target = strstr(target, "//") + 2;
        const size_t size = strcspn(target, "/");
        if (size >= sizeof authority)
            return http_error(http, MHD_HTTP_BAD_REQUEST, "the name is too long");
        memcpy(authority, target, size);
        authority[size] = '\0';
        host = authority;
        target += size;
    }
    request->path = target + (target[0] == '/');
    if (!guard_path(request->path))
        return http_error(http, MHD_HTTP_BAD_REQUEST, "a control character in the address");
    if (!host || !guard_host_parse(host, &request->host))
        return http_error(http, MHD_HTTP_BAD_REQUEST, "the request has no Host header");
    return guard_knows(&web->guard, &request->host) ||
           http_error(http, MHD_HTTP_MISDIRECTED_REQUEST,
                      "unknown host name; open the page by the address of the host, or add your "
                      "own names to `hosts`");
}

/* Finds the client on whose behalf a proxy asks. False: refused. Each request through a proxy gets
 * its own connection, so that bytes which proxy and server parse differently are never taken for
 * the request of another client. */
static bool find_client(struct web *web, struct web_request *request)
{
    static const char *const headers[] = {"Forwarded",          "X-Forwarded-For",
                                          "X-Forwarded-Host",   "X-Forwarded-Proto",
                                          "X-Forwarded-Prefix", "X-Real-IP"};
    struct http_request *http = request->http;
    request->encrypted = web->config->tls_cert[0] != '\0';
    if (!http->proxied) {
        for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
            request->unclear |= http_header(http, headers[i]) != NULL;
        if (request->unclear)
            http->ends = true;
        return true;
    }
    http->ends = true;
    const char *list = http_header(http, "X-Forwarded-For");
    const char *scheme = http_header(http, "X-Forwarded-Proto");
    if (scheme)
        request->encrypted = strcasecmp(scheme, "https") == 0;
    if (!list) {
        /* The request is the proxy host's own, or the proxy does not name its clients. */
        request->unclear = true;
        return true;
    }
    if (http_header_count(http, "X-Forwarded-For") > 1 || !guard_forwarded(list, &http->client))
        return http_error(http, MHD_HTTP_BAD_REQUEST, "X-Forwarded-For has no address");
    const struct sockaddr *client = (const struct sockaddr *) &http->client;
    if (!allow_contains(&web->config->allow, client))
        return http_error(http, MHD_HTTP_FORBIDDEN, "not in `allow`");
    return http_of_client(web->http, client, false) <= web->config->max_per_address ||
           http_error(http, MHD_HTTP_SERVICE_UNAVAILABLE, "too many connections of one address");
}

static void handle(void *data, struct http_request *http)
{
    struct web *web = data;
    struct web_request request = {.http = http};
    if (split_target(web, &request) && find_client(web, &request))
        routes_answer(web, &request);
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
    char host[ADDRESS_TEXT];
    return !request->unclear &&
           host_is_own(address_format_host((const struct sockaddr *) &request->http->client, host));
}

/* NULL: the failure was logged. */
static char *read_text(const char *path)
{
    const char *why;
    char *text = regular_text(path, PEM_MOST, &why);
    if (text && text[0])
        return text;
    log_error("web: %s: %s", path, text ? "the file is empty" : why);
    free(text);
    return NULL;
}

static bool open_server(struct web *web)
{
    if (web->config->tls_cert[0] && (!(web->tls_cert = read_text(web->config->tls_cert)) ||
                                     !(web->tls_key = read_text(web->config->tls_key))))
        return false;
    const struct http_settings settings = {
        .listen = &web->config->listen,
        .max_clients = web->config->max_clients,
        .max_per_address = web->config->max_per_address,
        .tls_cert = web->tls_cert,
        .tls_key = web->tls_key,
        .admit = admit,
        .handle = handle,
        .data = web,
    };
    web->http = http_new(outlet_loop(web->outlet), &settings);
    if (!web->http)
        return false;
    web->guard.config = web->config;
    web->guard.port_count = web->config->listen.count;
    for (unsigned i = 0; i < web->guard.port_count; i++)
        web->guard.ports[i] = http_port(web->http, i);
    if (gethostname(web->guard.hostname, sizeof web->guard.hostname - 1) != 0)
        web->guard.hostname[0] = '\0';
    for (char *c = web->guard.hostname; *c; c++)
        *c = (char) tolower((unsigned char) *c);
    return true;
}

static void report_web(void *self, struct pipe_report *report)
{
    const struct web *web = self;
    const struct http_counters counters = http_counters(web->http);
    report->connected = true;
    report->sent = (uint32_t) counters.requests;
    report->dropped = (uint32_t) counters.dropped;
    report->failed = (uint32_t) counters.refused;
    report->queued = counters.clients;
}

static void *start_web(struct outlet *outlet)
{
    struct web *web = alloc_zeroed(1, sizeof *web);
    web->outlet = outlet;
    web->config = outlet_config(outlet)->settings;
    TAILQ_INIT(&web->setup.waiting);
    web->count = outlet_config(outlet)->pack_count;
    web->packs = alloc_zeroed(web->count, sizeof *web->packs);
    for (unsigned n = 0; n < web->count; n++)
        web->packs[n].pack = outlet_pack(outlet, n);
    web->stream = stream_new(outlet, web->packs, web->count);
    if (web->config->history[0])
        web->past =
            past_new(outlet_loop(outlet), web->count, web->config->history, web->config->commit_s);
    web->comparers = workers_new(outlet_loop(outlet), PASSWORD_CHECKS_MAX, PASSWORD_LONGEST_S);
    if (!open_server(web))
        return NULL;
    news_begin(web);
    /* Logs the page's address as a URL. */
    for (unsigned i = 0; i < web->config->listen.count; i++) {
        struct endpoint endpoint;
        if (!endpoint_parse(web->config->listen.at[i], &endpoint))
            continue;
        const char *host = strcmp(endpoint.host, "0.0.0.0") == 0 || strcmp(endpoint.host, "::") == 0
                               ? web->guard.hostname
                               : endpoint.host;
        const bool six = strchr(host, ':') != NULL;
        log_info("web: page at %s://%s%s%s:%u/", web->config->tls_cert[0] ? "https" : "http",
                 six ? "[" : "", host, six ? "]" : "", web->guard.ports[i]);
    }
    return web;
}

static const struct outlet_command commands[] = {{"password", password_command}, {NULL, NULL}};

const struct outlet_kind outlet_web = {
    .name = "web",
    .network = true,
    .settings_size = sizeof(struct web_config),
    .start = start_web,
    .changed = on_changed,
    .ordered = news_ordered,
    .report = report_web,
    .commands = commands,
};
