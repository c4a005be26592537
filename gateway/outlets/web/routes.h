// SPDX-License-Identifier: MIT
/* Maps addresses to the functions that answer them. */
#ifndef PACKGATE_OUTLETS_WEB_ROUTES_H
#define PACKGATE_OUTLETS_WEB_ROUTES_H

#include "web.h"

/** Answers the request, now or later. */
void routes_answer(struct web *web, struct web_request *request);

#endif
