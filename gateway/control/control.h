// SPDX-License-Identifier: MIT
/*
 * What can be asked of the running gateway, over the control socket: docs/status.md lists the
 * requests. Whoever may connect may look; what changes anything is for root and the service's own
 * user.
 */
#ifndef PACKGATE_CONTROL_CONTROL_H
#define PACKGATE_CONTROL_CONTROL_H

#include "status.h"

#include <ev.h>

struct control;

/** Listens where the configuration says; that this is not possible is logged, and no reason for
 * NULL (memory ran out). `overview` is kept by reference. */
struct control *control_new(struct ev_loop *loop, const struct overview *overview,
                            struct packs *packs);
void control_free(struct control *control);

/** After a reload, when `overview` is that of now. */
void control_renew(struct control *control);

/** The answer to a question of an outlet (outlet_ask), from malloc. NULL: there is none. `data` is the
 * control. */
char *control_tell_outlet(void *data, const char *from, bool may_order, const char *question);

#endif
