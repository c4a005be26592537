// SPDX-License-Identifier: MIT
#include "password.h"
#include "web.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/duration.h"
#include "bms/count.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sockaddr *client_of(const struct web_request *request)
{
    return (const struct sockaddr *) &request->http->client;
}

bool orders_from_page(struct web_request *request)
{
    struct http_request *http = request->http;
    const char *origin = http_header(http, "Origin");
    const char *type = http_header(http, "Content-Type");
    static const char json[] = "application/json";
    const size_t size = sizeof json - 1;
    if (!(type && strncasecmp(type, json, size) == 0 &&
          (type[size] == '\0' || type[size] == ';' || type[size] == ' ')) ||
        http_header_count(http, "Content-Type") > 1)
        return http_error(http, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "expected application/json");
    return (origin && http_header_count(http, "Origin") == 1 &&
            guard_same_page(origin, &request->host)) ||
           http_error(http, MHD_HTTP_FORBIDDEN, "not from a page of this server");
}

/* Whether the request comes from one of our pages and from a network that may make changes. If
 * not, it was answered. */
static bool may_change(struct web *web, struct web_request *request)
{
    struct http_request *http = request->http;
    if (!orders_from_page(request))
        return false;
    if (!web->config->password_file[0])
        return http_error(http, MHD_HTTP_FORBIDDEN, "there is no 'password_file' in [web]");
    if (request->unclear)
        return http_error(http, MHD_HTTP_FORBIDDEN,
                          "the client behind the proxy is unknown; see 'proxy' in [web]");
    return allow_contains(&web->config->allow_write, client_of(request)) ||
           http_error(http, MHD_HTTP_FORBIDDEN, "this address is not in 'allow_write' of [web]");
}

/* The same for requests that need a session. */
static bool may_order(struct web *web, struct web_request *request)
{
    return may_change(web, request) &&
           (web_session(web, request, true) > 0 ||
            http_error(request->http, MHD_HTTP_UNAUTHORIZED, "not logged in"));
}

json_t *orders_body(struct http_request *request)
{
    json_t *body = request->body
                       ? json_loadb(request->body, request->body_size, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
    if (!json_is_object(body)) {
        json_decref(body);
        http_error(request, MHD_HTTP_BAD_REQUEST, "expected a JSON object");
        return NULL;
    }
    return body;
}

static void on_gone(void *data)
{
    ((struct pending *) data)->request.http = NULL;
}

struct pending *orders_hold(struct web *web, struct web_request *request)
{
    struct pending *pending = alloc_zeroed(1, sizeof *pending);
    *pending = (struct pending){.web = web, .request = *request, .client = request->http->client};
    http_hold(request->http, on_gone, pending);
    return pending;
}

void orders_fail(struct pending *pending, unsigned status, const char *why)
{
    http_error(pending->request.http, status, why);
    free(pending);
}

void orders_answer_cookie(struct http_request *request, bool encrypted, unsigned status,
                          const char *body, const char *cookie, const char *token)
{
    char text[400];
    const char *prefix = request->proxied ? http_header(request, "X-Forwarded-Prefix") : NULL;
    struct MHD_Response *response =
        http_response("application/json", body, strlen(body), MHD_RESPMEM_MUST_COPY);
    snprintf(text, sizeof text, "%s=%s; Path=%s; HttpOnly; SameSite=Strict%s%s", cookie, token,
             prefix && guard_prefix(prefix) ? prefix : "/", encrypted ? "; Secure" : "",
             token[0] ? "" : "; Max-Age=0");
    MHD_add_response_header(response, "Set-Cookie", text);
    http_answer(request, status, response);
}

static void on_compared(void *owner, struct worker_result *ended, const void *data)
{
    struct pending *pending = owner;
    struct web *web = pending->web;
    struct http_request *request = pending->request.http;
    const enum password_result result = ((const struct password_check *) data)->result;
    const bool compared = ended->status != 0;
    char text[ADDRESS_TEXT], token[SESSION_TOKEN];
    const struct sockaddr *client = (const struct sockaddr *) &pending->client;
    address_format_host(client, text);
    if (ended->why[0])
        log_warn("web: %s", ended->why);
    if (result != PASSWORD_WRONG)
        tries_forgive(&web->tries, client);
    if (result == PASSWORD_RIGHT)
        log_info("web: %s has logged in", text);
    else
        log_warn("web: %s could not log in: %s", text,
                 !compared                  ? "the password could not be compared"
                 : result == PASSWORD_WRONG ? "wrong password"
                                            : "the password file cannot be used");
    if (request && !compared)
        orders_too_many(request, 1);
    else if (request && result == PASSWORD_RIGHT &&
             session_begin(&web->sessions, clock_now(), token))
        orders_answer_cookie(request, pending->request.encrypted, MHD_HTTP_NO_CONTENT, "",
                             WEB_COOKIE, token);
    else if (request && result == PASSWORD_WRONG)
        http_error(request, MHD_HTTP_UNAUTHORIZED, "wrong password");
    else if (request)
        http_error(request, MHD_HTTP_FORBIDDEN, "the password file cannot be used");
    free(pending);
}

void orders_too_many(struct http_request *request, double wait_s)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%.0f", ceil(wait_s));
    http_error_with(request, MHD_HTTP_TOO_MANY_REQUESTS, "too many attempts", "Retry-After",
                    seconds);
}

void orders_login(struct web *web, struct web_request *request)
{
    struct password_check check = {.file = web->config->password_file};
    if (!may_change(web, request))
        return;
    const double now = clock_now(), wait_s = tries_wait(&web->tries, client_of(request), now);
    if (wait_s > 0) {
        orders_too_many(request->http, wait_s);
        return;
    }
    json_t *body = orders_body(request->http);
    if (!body)
        return;
    const char *password = json_string_value(json_object_get(body, "password"));
    if (!password || json_object_size(body) != 1 || strlen(password) >= PASSWORD_MAX) {
        http_error(request->http, MHD_HTTP_BAD_REQUEST, "expected {\"password\":\"…\"}");
    } else if (workers_busy(web->comparers)) {
        orders_too_many(request->http, 1);
    } else {
        strcpy(check.password, password);
        worker_start(web->comparers, password_compare, &check, sizeof check, on_compared,
                     orders_hold(web, request));
        tries_begin(&web->tries, client_of(request), now);
    }
    json_decref(body);
}

void orders_logout(struct web *web, struct web_request *request)
{
    char token[SESSION_TOKEN];
    if (!may_change(web, request))
        return;
    if (web_token(request, WEB_COOKIE, token))
        session_end(&web->sessions, token);
    orders_answer_cookie(request->http, request->encrypted, MHD_HTTP_NO_CONTENT, "", WEB_COOKIE,
                         "");
}

static void on_done(void *data, uint64_t ticket, enum order_result result)
{
    static const struct {
        unsigned status;
        const char *error;
    } answers[] = {
        [ORDER_REFUSED] = {MHD_HTTP_CONFLICT, "refused"},
        [ORDER_UNANSWERED] = {MHD_HTTP_GATEWAY_TIMEOUT, "no answer"},
        [ORDER_TOO_LATE] = {MHD_HTTP_GATEWAY_TIMEOUT, "the line was not free in time"},
        [ORDER_NOT_NOW] = {MHD_HTTP_CONFLICT, "not now: its state is not known yet"},
        [ORDER_BUSY] = {MHD_HTTP_CONFLICT, "busy"},
        [ORDER_NO_LINE] = {MHD_HTTP_CONFLICT, "no line"},
        [ORDER_NOT_ALLOWED] = {MHD_HTTP_FORBIDDEN, "not writable"},
    };
    struct pending *pending = data;
    struct http_request *request = pending->request.http;
    if (result != ORDER_DONE && ((size_t) result >= COUNT(answers) || !answers[result].status))
        result = ORDER_UNANSWERED;
    if (request && result == ORDER_DONE)
        http_answer_text(request, MHD_HTTP_OK, "application/json", "{\"result\":\"confirmed\"}\n");
    else if (request)
        http_error(request, answers[result].status, answers[result].error);
    free(pending);
}

/* Each is 0 or 1, true or false. */
static bool parse_switches(json_t *body, struct switches *switches)
{
    size_t found = 0;
    *switches = (struct switches){.wanted = {false}};
    for (int i = 0; i < ORDER_SWITCHES; i++) {
        const json_t *value = json_object_get(body, switch_names[i]);
        if (!value)
            continue;
        const json_int_t number =
            json_is_integer(value) ? json_integer_value(value) : json_is_true(value);
        if ((!json_is_integer(value) && !json_is_boolean(value)) || number < 0 || number > 1)
            return false;
        switches->on[i] = number == 1;
        switches->wanted[i] = true;
        found++;
    }
    return found > 0 && found == json_object_size(body);
}

void orders_switch(struct web *web, struct web_request *request, const struct render_pack *pack)
{
    struct switches switches;
    char text[ADDRESS_TEXT], what[SWITCHES_TEXT];
    if (!may_order(web, request))
        return;
    if (!pack->pack->source.writable) {
        http_error(request->http, MHD_HTTP_FORBIDDEN, "this pack is not 'writable = yes'");
        return;
    }
    json_t *body = orders_body(request->http);
    if (!body)
        return;
    const bool good = parse_switches(body, &switches);
    json_decref(body);
    if (!good) {
        http_error(request->http, MHD_HTTP_BAD_REQUEST,
                   "expected charge_mos or discharge_mos, each 0 or 1");
        return;
    }
    struct pending *pending = orders_hold(web, request);
    if (outlet_order(web->outlet, pack->pack, &switches, on_done, pending, 0))
        log_info("web: %s orders %s: %s", address_format_host(client_of(request), text),
                 pack->pack->source.name, switches_format(&switches, what));
    else
        orders_fail(pending, MHD_HTTP_CONFLICT, "busy");
}

#define TUNNEL_LONGEST_S 86400

static void on_tunnel(void *data, const char *text)
{
    struct pending *pending = data;
    struct http_request *request = pending->request.http;
    pending->web->setup.told_at = (double) -INFINITY;
    free(pending);
    if (!request)
        return;
    json_t *told = text ? json_loads(text, 0, NULL) : NULL;
    const char *error = json_string_value(json_object_get(told, "error"));
    if (!told)
        http_error(request, MHD_HTTP_GATEWAY_TIMEOUT, "no answer");
    else if (error)
        http_error(request,
                   strncmp(error, "there is no", 11) == 0 ? MHD_HTTP_NOT_FOUND : MHD_HTTP_CONFLICT,
                   error);
    else
        http_answer_text(request, MHD_HTTP_OK, "application/json", text);
    json_decref(told);
}

void orders_tunnel(struct web *web, struct web_request *request)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *name = request->path;
    const size_t size = strlen(name);
    char question[200], client[ADDRESS_TEXT];
    double for_s;
    if (!may_order(web, request))
        return;
    /* The question to the gateway is one line of words: a name must contain no blank. */
    if (size == 0 || size >= NAME_SIZE || strspn(name, letters) != size) {
        http_error(request->http, MHD_HTTP_NOT_FOUND, "there is no such tunnel");
        return;
    }
    json_t *body = orders_body(request->http);
    if (!body)
        return;
    const char *text = json_string_value(json_object_get(body, "for"));
    const bool good = text && json_object_size(body) == 1 && duration_read(text, &for_s) &&
                      for_s <= TUNNEL_LONGEST_S;
    json_decref(body);
    if (!good) {
        http_error(request->http, MHD_HTTP_BAD_REQUEST,
                   "expected {\"for\":\"10m\"}, to 24h; \"0s\" closes it");
        return;
    }
    struct pending *pending = orders_hold(web, request);
    snprintf(question, sizeof question, "tunnel %s %.3f %s", name, for_s,
             address_format_host(client_of(request), client));
    if (!outlet_ask(web->outlet, question, on_tunnel, pending))
        orders_fail(pending, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway does not answer");
}
