// SPDX-License-Identifier: MIT
/* All pushes of a configuration. */
#ifndef PACKGATE_MODBUS_PUSHES_H
#define PACKGATE_MODBUS_PUSHES_H

#include "push.h"

struct pushes;

/** push_new for each. `config` must outlive it, what `find` finds too. NULL: out of memory, or a
 * source is not there. */
struct pushes *pushes_new(struct ev_loop *loop, const struct config *config, push_find *find,
                          void *data, double counts_from);
void pushes_free(struct pushes *pushes);

/** push_values_changed for each. */
void pushes_values_changed(struct pushes *pushes, double now);

#endif
