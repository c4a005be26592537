// SPDX-License-Identifier: MIT
/*
 * The ports that views have for themselves: a server for each address, with the units of the views that are served
 * there. Over a reload a port stays open, and its clients connected, as long as any view wants it.
 */
#ifndef PACKGATE_MODBUS_VIEW_PORTS_H
#define PACKGATE_MODBUS_VIEW_PORTS_H

#include "server.h"
#include "units.h"

struct view_ports;

/** None yet. NULL: out of memory. */
struct view_ports *view_ports_new(struct ev_loop *loop);
void view_ports_free(struct view_ports *ports);

/** Opens those of a configuration that are not open yet, without any unit on them. False, and all is as before, when one
 * of them cannot be opened (which is logged). */
bool view_ports_open(struct view_ports *ports, const struct config *config);

/** Serves these units, which are those of the views of `config` in its order, in place of those before; ports that no view
 * wants any more are closed. To be called after view_ports_open. */
void view_ports_serve(struct view_ports *ports, const struct config *config, struct unit *units);

/** The n-th port that is open: where it was to listen, and where it does. NULL: there are no more. */
const char *view_ports_at(const struct view_ports *ports, unsigned n, unsigned *port);

#endif
