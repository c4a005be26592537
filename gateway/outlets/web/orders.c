// SPDX-License-Identifier: MIT
/* Logging in, switching, tunnels. */
#include "orders.h"

#include "password.h"
#include "setup.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/duration.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sockaddr *client_of(const struct web_request *request)
{
    return (const struct sockaddr *) &request->http->client;
}

/* ---- rights ---- */

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
        http_error(http, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "expected application/json");
    else if (!origin || http_header_count(http, "Origin") > 1 ||
             !guard_same_page(origin, &request->host))
        http_error(http, MHD_HTTP_FORBIDDEN, "not from a page of this server");
    else
        return true;
    return false;
}

/* Whether the request comes from one of our pages and from a network that may make changes. If
 * not, it was answered. */
static bool may_change(struct web *web, struct web_request *request)
{
    struct http_request *http = request->http;
    if (!orders_from_page(request))
        return false;
    if (!web->config->password_file[0])
        http_error(http, MHD_HTTP_FORBIDDEN, "there is no 'password_file' in [web]");
    else if (request->unclear)
        http_error(http, MHD_HTTP_FORBIDDEN,
                   "the client behind the proxy is unknown; see 'proxy' in [web]");
    else if (!allow_contains(&web->config->allow_write, client_of(request)))
        http_error(http, MHD_HTTP_FORBIDDEN, "this address is not in 'allow_write' of [web]");
    else
        return true;
    return false;
}

/* The same for requests that need a session. */
static bool may_order(struct web *web, struct web_request *request)
{
    if (!may_change(web, request))
        return false;
    if (!(web_session(web, request, true) > 0))
        http_error(request->http, MHD_HTTP_UNAUTHORIZED, "not logged in");
    else
        return true;
    return false;
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

/* ---- logging in ---- */

/* The browser may disconnect while a password is compared. */
struct entry {
    struct web *web;
    struct http_request *request; /* NULL: it is gone */
    struct sockaddr_storage client;
    char cookie_tail[ORDERS_TAIL]; /* "; Path=/; HttpOnly …" */
};

static void on_gone(void *data)
{
    struct entry *entry = data;
    entry->request = NULL;
}

void orders_cookie_tail(const struct web_request *request, char tail[ORDERS_TAIL])
{
    const char *prefix =
        request->http->proxied ? http_header(request->http, "X-Forwarded-Prefix") : NULL;
    snprintf(tail, ORDERS_TAIL, "; Path=%s; HttpOnly; SameSite=Strict%s",
             prefix && guard_prefix(prefix) ? prefix : "/", request->encrypted ? "; Secure" : "");
}

static void answer_cookie(struct http_request *request, const char *token, const char *tail)
{
    char cookie[sizeof WEB_COOKIE + SESSION_TOKEN + 220];
    struct MHD_Response *response =
        http_response("application/json", "", 0, MHD_RESPMEM_PERSISTENT);
    snprintf(cookie, sizeof cookie, WEB_COOKIE "=%s%s%s", token, tail,
             token[0] ? "" : "; Max-Age=0");
    if (response)
        MHD_add_response_header(response, "Set-Cookie", cookie);
    http_answer(request, MHD_HTTP_NO_CONTENT, response);
}

static void on_compared(void *data, enum password_result result)
{
    struct entry *entry = data;
    struct web *web = entry->web;
    struct http_request *request = entry->request;
    char text[ADDRESS_TEXT], token[SESSION_TOKEN];
    const struct sockaddr *client = (const struct sockaddr *) &entry->client;
    address_format_host(client, text);
    if (result != PASSWORD_WRONG)
        tries_forgive(&web->tries, client);
    if (result == PASSWORD_RIGHT)
        log_info("web: %s has logged in", text);
    else
        log_warn("web: %s could not log in: %s", text,
                 result == PASSWORD_WRONG ? "wrong password" : "the password file cannot be used");
    if (request) {
        request->over = NULL;
        if (result == PASSWORD_RIGHT && session_begin(&web->sessions, clock_now(), token))
            answer_cookie(request, token, entry->cookie_tail);
        else if (result == PASSWORD_WRONG)
            http_error(request, MHD_HTTP_UNAUTHORIZED, "wrong password");
        else
            http_error(request, MHD_HTTP_FORBIDDEN, "the password file cannot be used");
    }
    free(entry);
}

void orders_too_many(struct http_request *request, double wait_s)
{
    char seconds[16];
    static const char body[] = "{\"error\":\"too many attempts\"}\n";
    struct MHD_Response *response =
        http_response("application/json", body, sizeof body - 1, MHD_RESPMEM_PERSISTENT);
    snprintf(seconds, sizeof seconds, "%.0f", ceil(wait_s));
    if (response)
        MHD_add_response_header(response, "Retry-After", seconds);
    http_answer(request, MHD_HTTP_TOO_MANY_REQUESTS, response);
}

static void compare_password(struct web *web, struct web_request *request, const char *password)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry) {
        http_answer(request->http, 0, NULL);
        return;
    }
    *entry = (struct entry){.web = web, .request = request->http, .client = request->http->client};
    orders_cookie_tail(request, entry->cookie_tail);
    if (!password_check(outlet_loop(web->outlet), web->config->password_file, password, on_compared,
                        entry)) {
        free(entry);
        orders_too_many(request->http, 1);
        return;
    }
    tries_begin(&web->tries, client_of(request), clock_now());
    http_hold(request->http, on_gone, entry);
}

void orders_login(struct web *web, struct web_request *request)
{
    if (!may_change(web, request))
        return;
    const double wait_s = tries_wait(&web->tries, client_of(request), clock_now());
    if (wait_s > 0) {
        orders_too_many(request->http, wait_s);
        return;
    }
    json_t *body = orders_body(request->http);
    if (!body)
        return;
    const char *password = json_string_value(json_object_get(body, "password"));
    if (!password || json_object_size(body) != 1 || strlen(password) >= PASSWORD_MAX)
        http_error(request->http, MHD_HTTP_BAD_REQUEST, "expected {\"password\":\"…\"}");
    else
        compare_password(web, request, password);
    json_decref(body);
}

void orders_logout(struct web *web, struct web_request *request)
{
    char token[SESSION_TOKEN], tail[ORDERS_TAIL];
    if (!may_change(web, request))
        return;
    if (web_token(request, WEB_COOKIE, token))
        session_end(&web->sessions, token);
    orders_cookie_tail(request, tail);
    answer_cookie(request->http, "", tail);
}

/* ---- switching ---- */

struct ordered {
    struct web *web;
    struct http_request *request; /* NULL: it is gone */
};

static void on_orderer_gone(void *data)
{
    struct ordered *ordered = data;
    ordered->request = NULL;
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
    static const char confirmed[] = "{\"result\":\"confirmed\"}\n";
    struct ordered *ordered = data;
    if (ordered->request) {
        ordered->request->over = NULL;
        if (result == ORDER_DONE)
            http_answer(ordered->request, MHD_HTTP_OK,
                        http_response("application/json", confirmed, sizeof confirmed - 1,
                                      MHD_RESPMEM_PERSISTENT));
        else if ((size_t) result < sizeof answers / sizeof *answers && answers[result].status)
            http_error(ordered->request, answers[result].status, answers[result].error);
        else
            http_error(ordered->request, MHD_HTTP_GATEWAY_TIMEOUT, "no answer");
    }
    free(ordered);
}

/* 0 and 1, true and false. */
static bool parse_switch(const json_t *value, bool *on)
{
    if (json_is_boolean(value))
        *on = json_is_true(value);
    else if (json_is_integer(value) &&
             (json_integer_value(value) == 0 || json_integer_value(value) == 1))
        *on = json_integer_value(value) == 1;
    else
        return false;
    return true;
}

static bool parse_switches(json_t *body, struct switches *switches)
{
    static const char *const names[ORDER_SWITCHES] = {
        [BMS_CHARGE_MOS] = "charge_mos", [BMS_DISCHARGE_MOS] = "discharge_mos"};
    size_t found = 0;
    *switches = (struct switches){.wanted = {false}};
    for (int i = 0; i < ORDER_SWITCHES; i++) {
        const json_t *value = json_object_get(body, names[i]);
        if (!value)
            continue;
        if (!parse_switch(value, &switches->on[i]))
            return false;
        switches->wanted[i] = true;
        found++;
    }
    return found > 0 && found == json_object_size(body);
}

static void give_order(struct web *web, struct web_request *request, const struct render_pack *pack,
                       const struct switches *switches)
{
    char text[ADDRESS_TEXT], what[SWITCHES_TEXT];
    struct ordered *ordered = calloc(1, sizeof *ordered);
    if (!ordered) {
        http_answer(request->http, 0, NULL);
        return;
    }
    *ordered = (struct ordered){.web = web, .request = request->http};
    if (!outlet_order(web->outlet, pack->pack, switches, on_done, ordered, 0)) {
        free(ordered);
        http_error(request->http, MHD_HTTP_CONFLICT, "busy");
        return;
    }
    log_info("web: %s orders %s: %s", address_format_host(client_of(request), text),
             pack->pack->source.name, switches_format(switches, what));
    http_hold(request->http, on_orderer_gone, ordered);
}

void orders_switch(struct web *web, struct web_request *request, const struct render_pack *pack)
{
    struct switches switches;
    if (!may_order(web, request))
        return;
    if (!pack->pack->source.writable) {
        http_error(request->http, MHD_HTTP_FORBIDDEN, "this pack is not 'writable = yes'");
        return;
    }
    json_t *body = orders_body(request->http);
    if (!body)
        return;
    if (parse_switches(body, &switches))
        give_order(web, request, pack, &switches);
    else
        http_error(request->http, MHD_HTTP_BAD_REQUEST,
                   "expected charge_mos or discharge_mos, each 0 or 1");
    json_decref(body);
}

/* ---- tunnels ---- */

#define TUNNEL_LONGEST_S 86400

static void on_tunnel(void *data, uint64_t ticket, const char *text, size_t size)
{
    struct ordered *ordered = data;
    struct http_request *request = ordered->request;
    setup_outdated(ordered->web->setup);
    free(ordered);
    if (!request)
        return;
    request->over = NULL;
    json_t *told = text ? json_loadb(text, size, 0, NULL) : NULL;
    const char *error = json_string_value(json_object_get(told, "error"));
    if (!told)
        http_error(request, MHD_HTTP_GATEWAY_TIMEOUT, "no answer");
    else if (error)
        http_error(request,
                   strncmp(error, "there is no", 11) == 0 ? MHD_HTTP_NOT_FOUND : MHD_HTTP_CONFLICT,
                   error);
    else
        http_answer(request, MHD_HTTP_OK,
                    http_response("application/json", text, size, MHD_RESPMEM_MUST_COPY));
    json_decref(told);
}

static void ask_tunnel(struct web *web, struct web_request *request, const char *name, double for_s)
{
    char question[200], text[ADDRESS_TEXT];
    struct ordered *ordered = calloc(1, sizeof *ordered);
    if (!ordered) {
        http_answer(request->http, 0, NULL);
        return;
    }
    *ordered = (struct ordered){.web = web, .request = request->http};
    snprintf(question, sizeof question, "tunnel %s %.3f %s", name, for_s,
             address_format_host(client_of(request), text));
    if (outlet_ask(web->outlet, question, on_tunnel, ordered, 0)) {
        http_hold(request->http, on_orderer_gone, ordered);
        return;
    }
    free(ordered);
    http_error(request->http, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway does not answer");
}

void orders_tunnel(struct web *web, struct web_request *request, const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t size = strlen(name);
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
    if (text && json_object_size(body) == 1 && duration_read(text, &for_s) &&
        for_s <= TUNNEL_LONGEST_S)
        ask_tunnel(web, request, name, for_s);
    else
        http_error(request->http, MHD_HTTP_BAD_REQUEST,
                   "expected {\"for\":\"10m\"}, to 24h; \"0s\" closes it");
    json_decref(body);
}
