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
/** Opens the tunnel of this name for as long as the request says, or closes it. */
void orders_tunnel(struct web *web, struct web_request *request, const char *name);

/* Shared with set-up (editor.h). */

/** Whether a request that changes something comes from one of our pages. If not, it was answered. */
bool orders_from_page(struct web_request *request);
/** The JSON object of a request; the caller releases it. NULL: there is none, it was answered. */
json_t *orders_body(struct http_request *request);
/** Writes the attributes of a cookie: "; Path=/; HttpOnly …". */
#define ORDERS_TAIL 200
void orders_cookie_tail(const struct web_request *request, char tail[ORDERS_TAIL]);
/** Answers that there were too many attempts. */
void orders_too_many(struct http_request *request, double wait_s);
