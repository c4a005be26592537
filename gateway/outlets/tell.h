// SPDX-License-Identifier: MIT
/*
 * What an outlet is sent.
 *
 * Each outlet owes at most one message a pack: what changed since the last one that its pipe took,
 * with the values as they are when it takes the next. A change of state, switches or alarms is an
 * event, though, and is not to be lost in the next one: as long as there is room such messages wait
 * in their order.
 */
#ifndef PACKGATE_OUTLETS_TELL_H
#define PACKGATE_OUTLETS_TELL_H

#include "running.h"

/** The observer of the packs; `data` is struct outlets. */
void tell_changed(void *data, const struct source *source, unsigned changes, double now);
void tell_ordered(void *data, const struct source *source, const struct order_report *report);

/** Whether the pipe took it. A full one is refused at once, whatever the outlet does. */
bool tell_send(struct process *process, const uint8_t *bytes, size_t size);
/** The same of what is not to be lost: it waits behind what waits already. */
void tell_event(struct process *process, const uint8_t *bytes, size_t size);
/** Of its n-th pack this is to be told, with the next change of any. */
void tell_owe(struct process *process, unsigned n, unsigned changes);

#endif
