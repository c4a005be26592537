// SPDX-License-Identifier: MIT
/*
 * The gateway's part of set-up in the browser: decides which browser may change the configuration and for how long, and
 * starts the processes that do the work (commands/setup/work.c). The gateway itself neither parses these requests nor
 * writes files, and a process that hangs delays only the browser that caused it.
 *
 * A new configuration is saved on probation. Another process writes the file (commands/setup/save.c): the helper behind its
 * socket, which has the right to, or a child of the gateway, if the gateway has it. This process restores the previous
 * file when the connection to it ends, after EDITING_KEEP_S, or on request, unless it was sent `keep`. So a configuration
 * that makes the gateway exit is undone by the exit itself.
 *
 * The page's outlet sends "setup VERB BY TOKEN" and, in further lines, the body of the request. BY is how the browser was
 * authenticated:
 *     code       TOKEN is the token of the session that began with the code of `packgate setup`; "-": it has none
 *     password   the user is logged in; valid if [web] has `setup = yes`
 *     ingress    Home Assistant's ingress passed the request on; valid if [web] has `setup = ingress`
 */
#pragma once

#include "status.h"

#include <ev.h>
#include <jansson.h>

#define EDITING_ARMED_S 900.0 /* s for which a code, or a session without a request, stays valid */
#define EDITING_KEEP_S 120.0  /* s within which a new configuration must be kept */

struct editing;

/** `overview` is kept by reference. */
struct editing *editing_new(struct ev_loop *loop, const struct overview *overview);
void editing_free(struct editing *editing);

/** Creates a new code; the previous code and its session become invalid. Returns {"code", "address", "for_s",
 * "runs": whether the page runs at this moment}, or a refusal. */
json_t *editing_arm(struct editing *editing);

/** Answers a request of the page's outlet (the text after "setup "), now or later. */
void editing_ask(struct editing *editing, const char *text, uint64_t ticket);

/** Why a request of set-up in the browser is refused: {"error": why, "http": its status}. */
json_t *setup_refusal(int http, const char *format, ...) __attribute__((format(printf, 2, 3)));
