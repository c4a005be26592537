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

#include "push_plan.h"

#include "packs/packs.h"

#include <ev.h>

struct pushes;

struct push_counters {
    uint32_t requests;
    uint32_t answers;    /* responses that confirm a request */
    uint32_t exceptions; /* exception responses */
    uint32_t malformed;  /* invalid responses */
    uint32_t timeouts;   /* requests that timed out */
};

/* The state of one push and its target. */
struct push_state_of {
    const struct push_config *config;
    bool connected;
    bool mute; /* its unit is silent while others behind the same address answer */
    struct push_counters counters;
    uint32_t connections, failures; /* of the target: successful ones, and failed or ended ones */
    unsigned barred;     /* values whose registers the target rejects or does not answer */
    const char *trouble; /* reason of the last failed or ended connection; "": none */
};

/** Creates each push of packs_config, observing the packs. Free it before the packs are renewed,
 * and create it again afterwards. */
struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs);

/** The state of the n-th push, from 0, in the order of targets. False: no more. */
bool pushes_state(const struct pushes *pushes, unsigned n, struct push_state_of *state);

/** Logs the counters. */
void pushes_free(struct pushes *pushes);
