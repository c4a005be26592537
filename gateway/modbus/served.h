// SPDX-License-Identifier: MIT
/*
 * Modbus TCP of the running gateway: keeps the registers of all units up to date by observing packs
 * and banks, and serves them on the ports of [gateway], views on their own if they have any. Orders of
 * clients go to the packs, and their outcome returns as an exception or none. A reload replaces the
 * units in the same table; ports that are still used stay open, and their clients connected.
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
