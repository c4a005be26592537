// SPDX-License-Identifier: MIT
/*
 * An outlet process as seen by the gateway: its life cycle. tell.h sends messages to it, hear.h
 * handles its messages, outlets.c decides which processes run, running.h is their shared state.
 */
#pragma once

#include "running.h"

/** Prepares a zeroed struct: not running. */
void process_init(struct process *process);
/** Closes its pipe, so that it ends, without waiting. NULL is fine. */
void process_free(struct process *process);
/** Removes it from the list. */
void process_unlink(struct process *process);

void process_start(struct process *process);
/** Starts the processes that wait, for their predecessor or for one that withdraws. Two sections can use the same client id at a broker, where a new
 * connection replaces the old: what the old one withdraws must not be what the new one has just
 * announced. */
void process_start_waiting(struct outlets *outlets);

/** Asks it to end, by end of file; `gone`: it first withdraws what it published. It receives no
 * more values, and is not restarted. */
void process_leave(struct process *process, bool gone);
/** The packs were freed: it receives no more values. */
void process_forget_sources(struct process *process);
