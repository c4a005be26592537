// SPDX-License-Identifier: MIT
/*
 * Push: writes values of packs and banks into registers of other devices. This file handles all
 * pushes of a configuration; push_plan.h decides what is written when, push_target.h has the
 * connection.
 */
#pragma once

#include "push_target.h"

#include "packs/packs.h"

#include <ev.h>

struct pushes;

/** Creates each push of packs_config, observing the packs. Free it before the packs are renewed,
 * and create it again afterwards. NULL: out of memory. */
struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs);

/** The state of the n-th push, from 0, in the order of targets. False: no more. */
bool pushes_state(const struct pushes *pushes, unsigned n, struct push_state_of *state);

/** Logs the counters. */
void pushes_free(struct pushes *pushes);
