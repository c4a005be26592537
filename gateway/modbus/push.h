// SPDX-License-Identifier: MIT
/*
 * Push: writes values of packs and banks into registers of other devices: a PLC, an inverter, SCADA.
 * push_plan.h decides what is written when.
 *
 * All pushes to one host and port share a connection, because many such servers accept only one, and
 * take turns request by request. Nothing blocks, from the name look-up to the response; one request
 * is in flight at a time and is matched by its transaction number. A target that is unreachable,
 * silent or gone is retried with growing pauses, and then gets all values again. A unit behind it that
 * is silent while others answer waits until those have been served.
 */
#pragma once

#include "packs/packs.h"

#include <ev.h>
#include <jansson.h>

struct pushes;

/** Creates the pushes of packs_config. Free it before the packs are renewed, and create it anew. */
struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs);

/** The state of each push and its target, in the order of targets: docs/status.md. */
json_t *pushes_status(const struct pushes *pushes);

/** Logs the counters. */
void pushes_free(struct pushes *pushes);
