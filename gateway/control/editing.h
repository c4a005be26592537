// SPDX-License-Identifier: MIT
/*
 * Set-up in the browser, as the gateway sees it: who may change the configuration and for how long, and the processes that
 * do the work (commands/setup/work.c). The gateway reads no request and writes no file itself, and a process that hangs keeps nobody waiting
 * but who has asked for it.
 *
 * The page's outlet asks "setup VERB BY TOKEN" and, in further lines, what the verb is about. BY is how the browser got in:
 *     code       TOKEN belongs to the session that the code of `packgate setup` has begun; "-": it has none
 *     password   somebody who is logged in, if [web] has `setup = yes`
 *     ingress    everybody, if [web] has `setup = ingress`
 */
#ifndef PACKGATE_CONTROL_EDITING_H
#define PACKGATE_CONTROL_EDITING_H

#include "overview.h"

#include <ev.h>
#include <jansson.h>

#define EDITING_ARMED_S 900.0 /* for a code to be used, and for a session to be used again */

struct editing;

/** NULL: out of memory. `overview` is kept by reference. */
struct editing *editing_new(struct ev_loop *loop, const struct overview *overview);
void editing_free(struct editing *editing);

/** Makes a new code; the one before and its session are over. Returns {"code", "address", "for_s"}; NULL: `why` says it. */
json_t *editing_arm(struct editing *editing, char *why, size_t size);

/** Answers a question of the page's outlet (its text behind "setup "), now or later. */
void editing_ask(struct editing *editing, const char *text, uint64_t ticket);

#endif
