// SPDX-License-Identifier: MIT
/* Maps addresses to the functions that answer them. */
#pragma once

#include "web.h"

/** Answers the request, now or later. */
void routes_answer(struct web *web, struct web_request *request);
