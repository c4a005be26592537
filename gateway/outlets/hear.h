// SPDX-License-Identifier: MIT
/* What an outlet says: orders, notes, reports, questions. */
#ifndef PACKGATE_OUTLETS_HEAR_H
#define PACKGATE_OUTLETS_HEAR_H

#include "running.h"

/** Something is in the pipe. An outlet that floods has its turn like everybody else, and then a rest, so that it cannot
 * keep the gateway busy. */
void hear_on_readable(struct ev_loop *loop, ev_io *io, int revents);
void hear_on_rested(struct ev_loop *loop, ev_timer *timer, int revents);

/** A turn of the loop begins late (base/late_turn.h): of what is in the pipe, orders are refused and questions are not
 * answered. */
void hear_late(struct process *process);

/** What it said last, before it ended or is not listened to any more. */
void hear_last(struct process *process);
/** Closes the pipe; it may be closed already. */
void hear_no_more(struct process *process);

#endif
