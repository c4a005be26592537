// SPDX-License-Identifier: MIT
/*
 * Requests that change something: log in, log out, switch, open a tunnel. They must be JSON, from one
 * of our own pages (Origin) and from a network in `allow_write`; an order to switch also needs a
 * session and a writable pack. The gateway checks again.
 */
#pragma once

#include "web.h"

void orders_login(struct web *web, struct web_request *request);
void orders_logout(struct web *web, struct web_request *request);
void orders_switch(struct web *web, struct web_request *request, const struct render_pack *pack);
/** Opens the tunnel of the name in the path for as long as the request says, or closes it. */
void orders_tunnel(struct web *web, struct web_request *request);

/* Shared with set-up (editor.h). */

/* A request that is answered later. */
struct pending {
    struct web *web;
    struct http_request *request; /* NULL: the client has disconnected */
    struct sockaddr_storage client;
    bool encrypted; /* as in struct web_request */
    bool arms;      /* of set-up: it has the code */
};

/** Holds a request. Who answers it frees this. NULL: out of memory, it was answered. */
struct pending *orders_hold(struct web *web, struct web_request *request);
/** Answers a request that cannot be passed on, and frees `pending`. */
void orders_fail(struct pending *pending, unsigned status, const char *why);
/** Whether a request that changes something comes from one of our pages. If not, it was answered. */
bool orders_from_page(struct web_request *request);
/** The JSON object of a request; the caller releases it. NULL: there is none, it was answered. */
json_t *orders_body(struct http_request *request);
/** Answers with a cookie; an empty token deletes it. */
void orders_answer_cookie(struct http_request *request, bool encrypted, unsigned status,
                          const char *body, const char *cookie, const char *token);
/** Answers that there were too many attempts. */
void orders_too_many(struct http_request *request, double wait_s);
