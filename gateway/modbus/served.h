// SPDX-License-Identifier: MIT
/*
 * The Modbus units of all packs, banks and views: observes packs and banks and keeps the registers
 * of each up to date; passes orders of the server's clients to the packs, and returns their
 * outcome as an exception or none. A reload replaces the units in the same table.
 */
#pragma once

#include "server.h"
#include "units.h"

#include "packs/packs.h"

struct served;

/** Observes from now on; `packs` must outlive it. NULL: out of memory. */
struct served *served_new(struct packs *packs, double now);
void served_free(struct served *served);

/** The table for the server; the pointer stays valid. */
const struct units *served_units(const struct served *served);

/** The units of all views, in the order of the configuration. Units of views with ports of their
 * own are in no other table. */
struct unit *served_views(struct served *served);

/** Carries out orders of the server's clients in `allow_write` (by reference) from now on. */
void served_take_orders(struct served *served, struct server *server,
                        const struct allow_list *allow_write);
