// SPDX-License-Identifier: MIT
/*
 * Saves a new configuration on probation. Another process writes the file (commands/setup/save.c): the helper behind its
 * socket, which has the right to, or a child of the gateway, if the gateway has it. This process restores the previous
 * file when the connection to it ends, after HOLD_KEEP_S, or on request, unless it was sent `keep`. So a configuration
 * that makes the gateway exit is undone by the exit itself.
 */
#pragma once

#include "overview.h"

#include <ev.h>
#include <jansson.h>

#define HOLD_KEEP_S 120.0 /* s within which a new configuration must be kept */

struct hold;

/** NULL: out of memory. */
struct hold *hold_new(struct ev_loop *loop, const struct overview *overview);
void hold_free(struct hold *hold);

/** Why a request of set-up in the browser is refused: {"error": why, "http": its status}. */
json_t *setup_refusal(int http, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** How a configuration would be saved: "helper", "folder" (the gateway may write it) or "download" (only the user can). */
const char *hold_way(const struct hold *hold);

/** Adds two members to `state`: "pending", {"keep_within_s", "hash"} of a configuration that is not kept yet, else null;
 * and "undone", why the last one was undone, else null. */
void hold_add_state(const struct hold *hold, json_t *state, double now);

/** Saves the configuration of `request` (one line of JSON) and switches to it; answers with the reply of the helper. Returns
 * NULL, or a refusal. */
json_t *hold_apply(struct hold *hold, const char *request, uint64_t ticket);

/** Keeps the configuration or restores the previous one; answers the request. Returns NULL, or a refusal. */
json_t *hold_end(struct hold *hold, bool keep, uint64_t ticket);
