// SPDX-License-Identifier: MIT
/*
 * Set-up in the browser: passes requests on to the gateway (control/editing.h) if they come from a page of ours, with what the
 * browser has to prove that it may. The gateway decides, and does it.
 */
#ifndef PACKGATE_OUTLETS_WEB_EDITOR_H
#define PACKGATE_OUTLETS_WEB_EDITOR_H

#include "web.h"

/** Answers `api/v1/setup/WHAT`. */
void editor_answer(struct web *web, struct web_request *request, const char *what);

#endif
