// SPDX-License-Identifier: MIT
/* Maps addresses to the functions that answer them. */
#include "asset.h"
#include "web.h"

#include "base/clock.h"
#include "bms/count.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_number_header(struct MHD_Response *response, const char *header, double number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%.0f", number);
    MHD_add_response_header(response, header, digits);
}

static void get_packs(struct web *web, struct web_request *request)
{
    const size_t room = (size_t) (web->count + 1) * RENDER_WHOLE_MAX;
    char *bytes = alloc_checked(malloc(room));
    const double now = clock_now();
    struct text text = text_in(bytes, room);
    text_add(&text, "[");
    for (unsigned n = 0; n < web->count; n++) {
        struct text object = text_in(text.bytes + text.size, RENDER_WHOLE_MAX);
        render_pack(&object, &web->packs[n], true,
                    outlet_fresh(web->outlet, web->packs[n].pack, now), now);
        text.size += object.size;
        text_add(&text, n + 1 < web->count ? ",\n" : "");
    }
    text_add(&text, "]\n");
    struct MHD_Response *response =
        compress_response(request->http, "application/json", bytes, text.size);
    add_number_header(response, "X-Packgate-Time", clock_wall());
    add_number_header(response, "X-Packgate-Zone", (double) clock_zone(clock_wall()));
    add_number_header(response, "X-Packgate-Session", web_session(web, request, false));
    /* The title of the gateway as a header, percent-encoded. */
    const char *name = outlet_config(web->outlet)->gateway;
    char encoded[3 * TITLE_SIZE] = "", *out = encoded;
    for (; *name; name++)
        out +=
            sprintf(out, isalnum((unsigned char) *name) ? "%c" : "%%%02X", (unsigned char) *name);
    if (encoded[0])
        MHD_add_response_header(response, "X-Packgate-Name", encoded);
    if (!outlet_hears(web->outlet, now))
        MHD_add_response_header(response, "X-Packgate", "silent");
    http_answer(request->http, MHD_HTTP_OK, response);
}

static void get_pack(struct web *web, struct web_request *request, const struct render_pack *pack)
{
    char *bytes = alloc_checked(malloc(RENDER_WHOLE_MAX + 2));
    const double now = clock_now();
    struct text text = text_in(bytes, RENDER_WHOLE_MAX);
    render_pack(&text, pack, true, outlet_fresh(web->outlet, pack->pack, now), now);
    memcpy(bytes + text.size, "\n", 2);
    compress_json(request->http, MHD_HTTP_OK, bytes);
}

static void get_events(struct web *web, struct web_request *request)
{
    char detail[4096];
    if (request->http->is_head) {
        http_answer_text(request->http, MHD_HTTP_OK, "text/event-stream", "");
        return;
    }
    if (!http_argument(request->http, "detail", detail, sizeof detail))
        detail[0] = '\0';
    if (http_counters(web->http).streams < web->config->max_streams)
        stream_open(web->stream, request->http, detail);
    else
        http_error(request->http, MHD_HTTP_SERVICE_UNAVAILABLE, "too many pages are open");
}

/* Every page sends this request, so a missing history is not an error: the answer is empty. */
static void get_today(struct web *web, struct web_request *request)
{
    struct past_asked asked = {.past = web->past,
                               .work = past_today,
                               .request = request->http,
                               .wall = clock_wall(),
                               .packs = web->packs,
                               .count = web->count};
    if (web->past)
        past_answer(&asked);
    else
        http_answer_text(request->http, MHD_HTTP_OK, "application/json", "{}\n");
}

static void get_health(struct web *web, struct web_request *request)
{
    if (outlet_hears(web->outlet, clock_now()))
        http_answer_text(request->http, MHD_HTTP_OK, "text/plain; charset=utf-8", "ok\n");
    else
        http_error(request->http, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway does not answer");
}

static void get_asset(struct web *web, struct web_request *request, const struct web_asset *asset)
{
    char policy[400];
    /* Whether If-None-Match contains this asset's tag. */
    const char *tags = http_header(request->http, "If-None-Match");
    const bool same = tags && strstr(tags, asset->etag);
    struct MHD_Response *response =
        http_response(asset->type, asset->bytes, same ? 0 : asset->size, MHD_RESPMEM_PERSISTENT);
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-%s'; "
             "connect-src 'self'; img-src 'self'; manifest-src 'self'; base-uri 'none'; "
             "form-action 'none'; "
             "frame-ancestors %s",
             web_style_hash, web->config->frame[0] ? web->config->frame : "'none'");
    http_replace_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "ETag", asset->etag);
    if (asset->gzip)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    http_replace_header(response, "Cache-Control",
                        strncmp(asset->path, "a/", 2) == 0 ? "public, max-age=31536000, immutable"
                                                           : "no-cache");
    http_answer(request->http, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}

/* Whether the method fits the address; if not, the request was answered. */
static bool is_method(struct web_request *request, const char *method)
{
    return strcmp(request->http->method, method) == 0 ||
           http_error_with(request->http, MHD_HTTP_METHOD_NOT_ALLOWED, "wrong method", "Allow",
                           strcmp(method, "GET") == 0 ? "GET, HEAD" : method);
}

/* Addresses below that of a pack; the history answers those without a function. */
static const struct {
    const char *path, *method;
    void (*answer)(struct web *web, struct web_request *request, const struct render_pack *pack);
    past_work *work; /* of the history; NULL: CSV */
} pack_routes[] = {
    {"", "GET", get_pack, NULL},           {"/switch", "POST", orders_switch, NULL},
    {"/history", "GET", NULL, past_json},  {"/history.csv", "GET", NULL, NULL},
    {"/alarms", "GET", NULL, past_alarms}, {"/health", "GET", NULL, past_health},
};

static void route_pack(struct web *web, struct web_request *request)
{
    const size_t size = strcspn(request->path, "/");
    const struct outlet_pack *pack = outlet_find(web->outlet, request->path, size);
    if (!pack) {
        http_error(request->http, MHD_HTTP_NOT_FOUND, "there is no pack or bank of this name");
        return;
    }
    for (size_t i = 0; i < COUNT(pack_routes); i++) {
        if (strcmp(request->path + size, pack_routes[i].path) != 0)
            continue;
        if (!is_method(request, pack_routes[i].method))
            return;
        struct past_asked asked = {.past = web->past,
                                   .work = pack_routes[i].work,
                                   .request = request->http,
                                   .wall = clock_wall(),
                                   .pack = pack};
        if (pack_routes[i].answer)
            pack_routes[i].answer(web, request, &web->packs[pack->index]);
        else if (!web->past)
            http_error(request->http, MHD_HTTP_NOT_FOUND, "the configuration has no [history]");
        else if (ask_parse(request->http, pack->source.name, asked.wall, &asked.ask))
            (asked.work ? past_answer : past_answer_csv)(&asked);
        return;
    }
    http_error(request->http, MHD_HTTP_NOT_FOUND, "there is nothing at this address");
}

/* What ends with a slash answers all that begins with it. `method`: NULL where the function checks it. */
static const struct {
    const char *path, *method;
    void (*answer)(struct web *web, struct web_request *request);
} routes[] = {
    {"metrics", "GET", metrics_answer},          {"healthz", "GET", get_health},
    {"api/v1/packs", "GET", get_packs},          {"api/v1/packs/", NULL, route_pack},
    {"api/v1/events", "GET", get_events},        {"api/v1/gateway", "GET", setup_answer},
    {"api/v1/today", "GET", get_today},          {"api/v1/login", "POST", orders_login},
    {"api/v1/logout", "POST", orders_logout},    {"api/v1/tunnels/", "POST", orders_tunnel},
    {"api/v1/files/", "GET", setup_answer_file}, {"api/v1/setup/", NULL, editor_answer},
};

void routes_answer(struct web *web, struct web_request *request)
{
    for (size_t i = 0; i < COUNT(routes); i++) {
        const size_t size = strlen(routes[i].path);
        if (strncmp(request->path, routes[i].path, size) != 0 ||
            (routes[i].path[size - 1] != '/' && request->path[size]))
            continue;
        request->path += size;
        if (!routes[i].method || is_method(request, routes[i].method))
            routes[i].answer(web, request);
        return;
    }
    for (unsigned i = 0; i < web_asset_count; i++) {
        if (strcmp(web_assets[i].path, request->path) != 0)
            continue;
        if (is_method(request, "GET"))
            get_asset(web, request, &web_assets[i]);
        return;
    }
    http_error(request->http, MHD_HTTP_NOT_FOUND, "there is nothing at this address");
}
