// SPDX-License-Identifier: MIT
/*
 * A Modbus TCP server that is written to: a PLC, an inverter, SCADA, or several of them behind one
 * address. All pushes to one host and port share a connection, as many such servers take only one,
 * and take turns, request by request. Nothing of it blocks, from the name look-up to the answer;
 * one request is in flight at a time and is matched by its transaction number. A target that cannot
 * be reached, says nothing or goes away is tried again with growing pauses, and then gets everything
 * anew. A unit behind it that says nothing while others answer waits until those have been served.
 */
#ifndef PACKGATE_MODBUS_PUSH_TARGET_H
#define PACKGATE_MODBUS_PUSH_TARGET_H

#include "push_plan.h"

#include <ev.h>

struct push_target;

/** For up to `most` pushes to the target of `config`. It connects as soon as the loop runs. NULL:
 * out of memory. */
struct push_target *push_target_new(struct ev_loop *loop, const struct push_config *config,
                                    unsigned most);

/** Whether a push goes to this target: the same host and port, whatever the unit. */
bool push_target_is_of(const struct push_target *target, const struct push_config *config);

/** Adds a push. `config` must outlive it, what `find` finds too; `counts_from` is when the
 * gateway's counter of seconds was 0. False: out of memory, or a source is not there. */
bool push_target_add(struct push_target *target, const struct push_config *config, push_find *find,
                     const void *data, double counts_from);

/* How one push does, and its target. */
struct push_state_of {
    const struct push_config *config;
    bool connected;
    bool mute; /* its unit says nothing while others behind the same address answer */
    uint32_t requests, confirmed, exceptions, malformed, timeouts; /* of this push */
    uint32_t connections, failures; /* of the target: that came about, and that did not or ended */
    unsigned barred;                /* values whose registers the target does not take or answer */
    const char *trouble;            /* why the connection ended or failed last; "": never */
};

/** Pushes to this target, and the n-th of them, from 0. */
unsigned push_target_count(const struct push_target *target);
void push_target_state(const struct push_target *target, unsigned n, struct push_state_of *state);

/** Says in the log what was counted. */
void push_target_free(struct push_target *target);

/** Values of a source (NULL: any) are new, or have become stale: what is due is sent before this
 * returns, as far as the target is ready for it. To be called at least once a second. */
void push_target_values_changed(struct push_target *target, const struct source *source,
                                double now);

#endif
