// SPDX-License-Identifier: MIT
/*
 * Pushes values to a Modbus TCP server: a PLC, an inverter, SCADA. Nothing of it blocks, from the
 * name look-up to the answer; one request is in flight at a time and is matched by its transaction
 * number. A target that cannot be reached, says nothing or goes away is tried again with growing
 * pauses, and then gets everything anew.
 */
#ifndef PACKGATE_MODBUS_PUSH_H
#define PACKGATE_MODBUS_PUSH_H

#include "push_plan.h"

#include <ev.h>

struct push;

/** `config` must outlive it, what `find` finds too; `counts_from` is when the gateway's counter
 * of seconds was 0. It connects as soon as the loop runs. NULL: out of memory, or a source is
 * not there. */
struct push *push_new(struct ev_loop *loop, const struct push_config *config, push_find *find,
                      const void *data, double counts_from);

/** Says in the log what was counted. */
void push_free(struct push *push);

/** Values of a source (NULL: any) are new, or have become stale: what is due is sent before this
 * returns, as far as the target is ready for it. To be called at least once a second. */
void push_values_changed(struct push *push, const struct source *source, double now);

#endif
