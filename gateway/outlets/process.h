// SPDX-License-Identifier: MIT
/*
 * A process that passes values on, as the gateway sees it: its life. tell.h has what it is sent, hear.h what it says,
 * outlets.c which processes there are to be, running.h what all of them share.
 */
#ifndef PACKGATE_OUTLETS_PROCESS_H
#define PACKGATE_OUTLETS_PROCESS_H

#include "running.h"

/** Of one that is all zeros: it does not run. */
void process_init(struct process *process);
/** Lets it end by itself, without waiting for it. NULL is fine. */
void process_free(struct process *process);
/** Takes it out of the list. */
void process_unlink(struct process *process);

void process_start(struct process *process);
/** Starts those that wait. Two sections can be one and the same to a broker, where one takes the place of the other: what
 * the old one withdraws must not be what the new one has just announced. */
void process_start_waiting(struct outlets *outlets);

/** Tells it to end, by the end of its file; `gone`: to withdraw before that what it has left with others. It gets no more
 * values, and is not started again. */
void process_leave(struct process *process, bool gone);
/** The packs are gone, and it gets no more values. */
void process_forget_sources(struct process *process);

#endif
