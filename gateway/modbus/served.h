// SPDX-License-Identifier: MIT
/*
 * Modbus TCP of the running gateway: observes packs and banks and keeps the registers of their units
 * up to date, and serves these: all on the ports of [gateway], views on their own ports if they have
 * some. Orders of clients are passed to the packs, and their outcome returned as an exception or none.
 * A reload replaces the units in the same table. Ports stay open, and clients connected, as long as
 * they are used.
 */
#pragma once

#include "server.h"
#include "units.h"

#include "packs/packs.h"

struct served;

/** Observes from now on; `packs` must outlive it. */
struct served *served_new(struct ev_loop *loop, struct packs *packs, double now);

/** Opens those ports of a configuration that are not open yet; ports of [gateway] only once. False,
 * with everything as before, if one of them fails (logged). */
bool served_listen(struct served *served, const struct config *config);

/** Serves the units of a configuration after served_listen: with its access lists (by reference), and
 * views on their ports. Closes ports that no view uses any more. */
void served_apply(struct served *served, const struct config *config);

/** The server of [gateway]; NULL before served_listen. */
struct server *served_server(const struct served *served);

void served_free(struct served *served);
