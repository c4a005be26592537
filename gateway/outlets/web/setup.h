// SPDX-License-Identifier: MIT
/*
 * The gateway as a whole: its status, events, configuration, and files for programs that read Modbus.
 * Sends at most one request a second to the gateway, however many clients ask.
 */
#pragma once

#include "web.h"

/** Answers `api/v1/gateway`. Only users who are logged in and clients on this host get addresses of
 * clients and the configuration; nobody gets secrets. */
void setup_answer(struct web *web, struct web_request *request);

/** Answers a request from the gateway's own report (as `packgate status --json`; NULL: it did not
 * answer), now or later. */
typedef void setup_told(struct web *web, struct web_request *request, const json_t *status);
void setup_ask(struct web *web, struct web_request *request, setup_told *told);

/** Marks the gateway's last answer as outdated. */
void setup_outdated(struct web *web);

/** Answers `api/v1/files/NAME`. */
void setup_answer_file(struct web *web, struct web_request *request);
