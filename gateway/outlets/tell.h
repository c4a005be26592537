// SPDX-License-Identifier: MIT
/*
 * Sends messages to outlets.
 *
 * Each outlet is owed at most one message per pack: the changes since the last accepted message,
 * with the values at the time when the next one is accepted. A change of state, switches or alarms
 * is an event, however, and must not be merged into the next one: as long as there is room such
 * messages wait in their order.
 */
#pragma once

#include "running.h"

/** Callback of an observer of the packs; `data` is struct outlets. */
void tell_changed(void *data, const struct source *source, unsigned changes, double now);
void tell_ordered(void *data, const struct source *source, const struct order_report *report);

/** Sends a message. False: the pipe does not accept it. Never waits. */
bool tell_send(struct process *process, const struct pipe_message *message);
/** The same for a message that must not be lost: it is queued behind those that wait. */
void tell_event(struct process *process, const struct pipe_message *message);
/** Marks changes of its n-th pack, to be sent with the next change of any pack. */
void tell_owe(struct process *process, unsigned n, unsigned changes);
