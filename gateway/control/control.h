// SPDX-License-Identifier: MIT
/*
 * Answers requests to the running gateway, over the control socket: docs/status.md lists them.
 * Every client that may connect may read; only root and the service's own user may change
 * anything.
 */
#pragma once

#include "status.h"

#include <ev.h>

struct control;

/** Listens at the configured path. If that fails, the failure is logged and the gateway goes on
 * without. `overview` is kept by reference. */
struct control *control_new(struct ev_loop *loop, const struct overview *overview);
void control_free(struct control *control);

/** To be called after a reload, when `overview` is up to date. */
void control_renew(struct control *control);

/** Answers a question of an outlet (outlet_ask). The result is malloc'ed; NULL: no answer. `data`
 * is the control. */
char *control_tell_outlet(void *data, const char *from, bool may_order, const char *question);

/** Answers all questions of outlets (outlets_serve), including set-up in the browser. */
void control_asked(void *data, const struct pipe_heard *question);
