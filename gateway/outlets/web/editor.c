// SPDX-License-Identifier: MIT
/*
 * Set-up in the browser: passes requests of our own pages on to the gateway (control/editing.h), together with the browser's
 * credentials. The gateway checks these and carries out the request.
 */
#include "web.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "packs/json.h"
#include "bms/count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer_browser(struct pending *pending, json_t *object)
{
    const json_t *error = json_object_get(object, "error"), *http = json_object_get(object, "http");
    const char *token = json_string_value(json_object_get(object, "token"));
    const char *text = json_string_value(json_object_get(object, "text"));
    const unsigned status = http    ? (unsigned) json_integer_value(http)
                            : error ? MHD_HTTP_BAD_REQUEST
                                    : MHD_HTTP_OK;
    json_object_del(object, "http");
    struct http_request *request = pending->request.http;
    if (pending->arms && token)
        orders_answer_cookie(request, pending->request.encrypted, MHD_HTTP_OK, "{}\n",
                             WEB_SETUP_COOKIE, token);
    else if (text && !error)
        http_answer_text(request, status, "text/plain; charset=utf-8", text);
    else
        compress_json(request, status, json_text(json_incref(object)));
}

static void on_answer(void *data, const char *text)
{
    struct pending *pending = data;
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;
    if (pending->arms && object) {
        /* Logs which client sets up or tried a wrong code. */
        const struct sockaddr *client = (const struct sockaddr *) &pending->client;
        char host[ADDRESS_TEXT];
        address_format_host(client, host);
        if (json_object_get(object, "token")) {
            tries_forgive(&pending->web->tries, client);
            log_info("web: %s has opened set-up with the code", host);
        } else {
            log_warn("web: %s has entered a wrong code for set-up", host);
        }
    }
    if (pending->request.http && json_is_object(object))
        answer_browser(pending, object);
    else if (pending->request.http)
        http_error(pending->request.http, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway is silent");
    json_decref(object);
    free(pending);
}

static void ask_gateway(struct web *web, struct web_request *request, const char *verb,
                        const char *body, bool arms)
{
    const struct web_config *config = web->config;
    const struct sockaddr *client = (const struct sockaddr *) &request->http->client;
    const char *by = "code";
    char token[SESSION_TOKEN] = "-";
    /* With a password, the same conditions as for switching: a session, from a known client in `allow_write`. */
    if (config->setup == WEB_SETUP_INGRESS)
        by = "ingress";
    else if (config->setup == WEB_SETUP_YES && !request->unclear &&
             allow_contains(&config->allow_write, client) && web_session(web, request, true))
        by = "password";
    else if (!web_token(request, WEB_SETUP_COOKIE, token) ||
             token[strspn(token, "0123456789abcdef")])
        strcpy(token, "-");
    struct pending *pending = orders_hold(web, request);
    char *question = NULL;
    pending->arms = arms;
    const int size = asprintf(&question, "setup %s %s %s\n%s", verb, by, token, body ? body : "");
    alloc_checked(size >= 0 ? question : NULL);
    if (!outlet_ask(web->outlet, question, on_answer, pending))
        orders_fail(pending, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway is silent");
    free(question);
}

/* Attempts with a code count towards the same limit as those with a password. */
static void arm_setup(struct web *web, struct web_request *request, const char *verb, json_t *body)
{
    const struct sockaddr *client = (const struct sockaddr *) &request->http->client;
    const char *code = json_string_value(json_object_get(body, "code"));
    const double now = clock_now(), wait_s = tries_wait(&web->tries, client, now);
    if (wait_s > 0) {
        orders_too_many(request->http, wait_s);
    } else if (!code || json_object_size(body) != 1) {
        http_error(request->http, MHD_HTTP_BAD_REQUEST, "expected {\"code\":\"…\"}");
    } else {
        tries_begin(&web->tries, client, now);
        ask_gateway(web, request, verb, code, true);
    }
}

static void change_setup(struct web *web, struct web_request *request, const char *verb,
                         json_t *body)
{
    char *text = alloc_checked(json_dumps(body, JSON_COMPACT));
    bool has_secret = false;
    size_t i;
    json_t *edit;
    json_array_foreach(json_object_get(body, "edits"), i, edit)
    {
        has_secret |= json_is_string(json_object_get(edit, "secret"));
    }
    if (has_secret && !request->encrypted && web->config->setup != WEB_SETUP_INGRESS &&
        !web_is_this_host(request))
        http_error(
            request->http, MHD_HTTP_FORBIDDEN,
            "a secret is not accepted over an unencrypted connection; use https, or a browser "
            "on this host");
    else
        ask_gateway(web, request, verb, text, false);
    free(text);
}

static const struct {
    const char *what, *method, *verb;
    void (*post)(struct web *web, struct web_request *request, const char *verb, json_t *body);
} addresses[] = {
    {"state", "GET", "state", NULL},
    {"config", "GET", "config", NULL},
    {"keys", "GET", "keys", NULL},
    {"probe", "GET", "probed", NULL},
    {"try", "GET", "tried", NULL},
    {"arm", "POST", "arm", arm_setup},
    {"leave", "POST", "leave", change_setup},
    {"ports", "POST", "ports", change_setup},
    {"probe", "POST", "probe", change_setup},
    {"probe/stop", "POST", "stop", change_setup},
    {"check", "POST", "check", change_setup},
    {"text", "POST", "text", change_setup},
    {"apply", "POST", "apply", change_setup},
    {"keep", "POST", "keep", change_setup},
    {"undo", "POST", "undo", change_setup},
    {"try", "POST", "try", change_setup},
};

void editor_answer(struct web *web, struct web_request *request)
{
    static const char files[] = "files/";
    /* A foreign page can make the browser send requests, but these carry the foreign site or origin. */
    const char *site = http_header(request->http, "Sec-Fetch-Site");
    const char *origin = http_header(request->http, "Origin");
    if ((site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0) ||
        (origin && !guard_same_page(origin, &request->host))) {
        http_error(request->http, MHD_HTTP_FORBIDDEN, "not from a page of this server");
        return;
    }
    if (strncmp(request->path, files, sizeof files - 1) == 0) {
        request->path += sizeof files - 1;
        setup_answer_file(web, request);
        return;
    }
    size_t i = 0;
    bool known = false;
    for (; i < COUNT(addresses); i++) {
        const bool same = strcmp(addresses[i].what, request->path) == 0;
        known |= same;
        if (same && strcmp(addresses[i].method, request->http->method) == 0)
            break;
    }
    if (i == COUNT(addresses)) {
        http_error(request->http, known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
                   known ? "this address does not support this method"
                         : "there is nothing at this address");
    } else if (!addresses[i].post) {
        ask_gateway(web, request, addresses[i].verb, NULL, false);
    } else if (orders_from_page(request)) {
        if (request->unclear && web->config->setup != WEB_SETUP_INGRESS) {
            http_error(request->http, MHD_HTTP_FORBIDDEN,
                       "the client behind the proxy is unknown; see 'proxy' in [web]");
            return;
        }
        json_t *body = orders_body(request->http);
        if (body)
            addresses[i].post(web, request, addresses[i].verb, body);
        json_decref(body);
    }
}
