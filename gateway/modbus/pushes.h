// SPDX-License-Identifier: MIT
/* All pushes of a configuration: observes the packs and banks for them. */
#ifndef PACKGATE_MODBUS_PUSHES_H
#define PACKGATE_MODBUS_PUSHES_H

#include "push.h"

#include "packs/packs.h"

struct pushes;

/** push_new for each push of packs_config. To be freed before the packs are renewed, and made
 * anew after it. NULL: out of memory. */
struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs);
void pushes_free(struct pushes *pushes);

#endif
