// SPDX-License-Identifier: MIT
/*
 * Push: values of packs and banks are written into the registers of other devices. All of it that a
 * configuration wants; what is written when is in push_plan.h, the connection in push_target.h.
 */
#ifndef PACKGATE_MODBUS_PUSH_H
#define PACKGATE_MODBUS_PUSH_H

#include "push_target.h"

#include "packs/packs.h"

#include <ev.h>

struct pushes;

/** Each push of packs_config, observing the packs. To be freed before the packs are renewed, and
 * made anew after it. NULL: out of memory. */
struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs);

/** How the n-th push does, from 0, target by target. False: no more. */
bool pushes_state(const struct pushes *pushes, unsigned n, struct push_state_of *state);

/** Says in the log what was counted. */
void pushes_free(struct pushes *pushes);

#endif
