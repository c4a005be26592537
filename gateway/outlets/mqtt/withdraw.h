// SPDX-License-Identifier: MIT
/*
 * Removes from the broker what it retains for removed packs, or for all of them. The state file
 * keeps a note until the broker has confirmed the removal.
 */
#pragma once

#include "mqtt.h"

/** Begins to withdraw noted packs: all of them and the gateway, or those that no longer exist.
 * False: out of memory; the notes stay. */
bool withdraw_noted(struct mqtt *mqtt, bool all);

/** Sends the next message. False: nothing can be sent now, or the broker still has to confirm. */
bool withdraw_step(struct mqtt *mqtt);

/** Call for a new connection: unconfirmed withdrawals restart. */
void withdraw_again(struct mqtt *mqtt);

/** Frees unfinished withdrawals. */
void withdraw_free(struct mqtt *mqtt);
