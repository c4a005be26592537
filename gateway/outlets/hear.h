// SPDX-License-Identifier: MIT
/* Handles the messages of outlets: orders, notes, reports, questions. */
#pragma once

#include "running.h"

/** Handles what is in the pipe. An outlet that floods it gets its turn, then a pause, so that it
 * cannot keep the gateway busy. */
void hear_on_readable(struct ev_loop *loop, ev_io *io, int revents);
void hear_on_rested(struct ev_loop *loop, ev_timer *timer, int revents);

/** A turn of the loop begins late (base/late_turn.h): of the messages in the pipe, orders are
 * refused and questions are not answered. */
void hear_late(struct process *process);

/** Handles the outlet's last messages, after it ended or before its pipe is closed. */
void hear_last(struct process *process);
/** Answers a question; NULL: there is no answer. */
void hear_answer(struct process *process, uint64_t ticket, const char *text);
/** Closes the pipe; it may be closed already. */
void hear_no_more(struct process *process);
