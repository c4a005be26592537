// SPDX-License-Identifier: MIT
/*
 * What changes something: log in, log out, switch, open a tunnel. A request has to come from a page of ours
 * (Origin), as JSON, from a network in `allow_write`; and a switch from somebody who is logged in,
 * for a pack that is writable. The gateway decides once more.
 */
#ifndef PACKGATE_OUTLETS_WEB_ORDERS_H
#define PACKGATE_OUTLETS_WEB_ORDERS_H

#include "web.h"

void orders_login(struct web *web, struct web_request *request);
void orders_logout(struct web *web, struct web_request *request);
void orders_switch(struct web *web, struct web_request *request, const struct render_pack *pack);
/** Opens the tunnel of this name for as long as the request says, or closes it. */
void orders_tunnel(struct web *web, struct web_request *request, const char *name);

#endif
