// SPDX-License-Identifier: MIT
/*
 * Set-up in the browser: passes requests of our own pages on to the gateway (control/editing.h), together with the browser's
 * credentials. The gateway checks these and carries out the request.
 */
#pragma once

#include "web.h"

/** Answers the addresses below `api/v1/setup/`. */
void editor_answer(struct web *web, struct web_request *request);
