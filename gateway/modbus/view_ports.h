// SPDX-License-Identifier: MIT
/*
 * The ports of views: a server for each address, with the units of the views that are served
 * there. During a reload a port stays open, and its clients connected, as long as a view uses it.
 */
#pragma once

#include "server.h"
#include "units.h"

struct view_ports;

/** Without ports at first. NULL: out of memory. */
struct view_ports *view_ports_new(struct ev_loop *loop);
void view_ports_free(struct view_ports *ports);

/** Opens those ports of a configuration that are not open yet, without units. False, with
 * everything as before, if one of them fails (logged). */
bool view_ports_open(struct view_ports *ports, const struct config *config);

/** Replaces the units by these, those of the views of `config` in its order, and closes ports that
 * no view uses any more. To be called after view_ports_open. */
void view_ports_serve(struct view_ports *ports, const struct config *config, struct unit *units);
