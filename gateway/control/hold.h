// SPDX-License-Identifier: MIT
/*
 * A new configuration that holds until further notice. Another process writes the file: the helper behind its socket, which
 * has the right to, or a child of ours if we have it ourselves (commands/setup/save.c). It puts the file before back when the connection to it
 * ends, when HOLD_KEEP_S have passed, or when it is told to; only `keep` prevents that. So a configuration that ends the gateway is
 * undone by the end itself.
 */
#ifndef PACKGATE_CONTROL_HOLD_H
#define PACKGATE_CONTROL_HOLD_H

#include "overview.h"

#include <ev.h>
#include <jansson.h>

#define HOLD_KEEP_S 120.0 /* until a configuration has to be kept */

struct hold;

/** NULL: out of memory. */
struct hold *hold_new(struct ev_loop *loop, const struct overview *overview);
void hold_free(struct hold *hold);

/** Who would save a configuration: "helper", "folder" (we may ourselves) or "download" (nobody). */
const char *hold_way(const struct hold *hold);

/** Adds to the state "pending", {"keep_within_s", "hash"} of a configuration that is not kept yet or null, and "undone", why
 * the last one was put back, or null. */
void hold_add_state(const struct hold *hold, json_t *state, double now);

/** Saves what `request` says (one line of JSON) and switches to it; answers the question with what the helper says. */
void hold_apply(struct hold *hold, const char *request, uint64_t ticket);

/** Keeps the configuration, or puts the one before back; answers the question. */
void hold_end(struct hold *hold, bool keep, uint64_t ticket);

#endif
