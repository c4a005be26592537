// SPDX-License-Identifier: MIT
/*
 * A Modbus TCP server that is written to: a PLC, an inverter, SCADA, or several of them behind one
 * address. All pushes to one host and port share a connection, because many such servers accept
 * only one, and take turns request by request. Nothing blocks, from the name look-up to the
 * response; one request is in flight at a time and is matched by its transaction number. A target
 * that is unreachable, silent or gone is retried with growing pauses, and then gets all values
 * again. A unit behind it that is silent while others answer waits until those have been served.
 */
#pragma once

#include "push_plan.h"

#include <ev.h>

struct push_target;

/** Creates a target for up to `most` pushes to the host of `config`. It connects as soon as the
 * loop runs. NULL: out of memory. */
struct push_target *push_target_new(struct ev_loop *loop, const struct push_config *config,
                                    unsigned most);

/** Whether a push goes to this target: same host and port, any unit. */
bool push_target_is_of(const struct push_target *target, const struct push_config *config);

/** Adds a push. `config` and the sources that `find` finds must outlive it; `counts_from` is when
 * the gateway's counter of seconds was 0. False: out of memory, or a source does not exist. */
bool push_target_add(struct push_target *target, const struct push_config *config, push_find *find,
                     const void *data, double counts_from);

/* The state of one push and its target. */
struct push_state_of {
    const struct push_config *config;
    bool connected;
    bool mute; /* its unit is silent while others behind the same address answer */
    uint32_t requests, confirmed, exceptions, malformed, timeouts; /* of this push */
    uint32_t connections, failures; /* of the target: successful ones, and failed or ended ones */
    unsigned barred;     /* values whose registers the target rejects or does not answer */
    const char *trouble; /* reason of the last failed or ended connection; "": none */
};

/** Number of pushes to this target, and the n-th of them, from 0. */
unsigned push_target_count(const struct push_target *target);
void push_target_state(const struct push_target *target, unsigned n, struct push_state_of *state);

/** Logs the counters. */
void push_target_free(struct push_target *target);

/** Values of a source (NULL: any) are new, or have become stale: sends what is due before it
 * returns, if the target is ready. To be called at least once a second. */
void push_target_values_changed(struct push_target *target, const struct source *source,
                                double now);
