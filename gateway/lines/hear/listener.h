// SPDX-License-Identifier: MIT
/*
 * Listens to a line that has another master: `listen = yes`. Finds the master's requests and
 * the replies to them, and updates the packs. It never sends. Pure; time is an argument.
 *
 * A reply counts only if its request was received (lines/ledger.h), for a pack of this line.
 * Replies without a request, partial ones and repeated ones are ignored. The master's commands are
 * requests whose replies have no values.
 *
 * Values are as old as the first byte of their request; if more bytes followed in the same
 * piece, older by their time on the wire.
 *
 * What the master reads of a pack becomes one set of values when it has repeated all its requests.
 * spike.h judges each answer by itself. A set is as old as its oldest answer. Stale answers are
 * omitted, except for values that never change.
 */
#pragma once

#include "lines/turns.h"

/* Serial servers split frames, and deliver the rest within this time. */
#define QUIET_S 0.3

struct listener;

/** New poller->values of a pack. */
typedef void listener_published(void *data, struct poller *poller, double now);

/** For the packs of a line, which must outlive it. Shows whole frames with their secrets blanked: '>' of the master, '<' of
 * a pack; or '#' and the number of bytes that are not shown. */
struct listener *listener_new(const struct turns *turns, listener_published *published, void *data);
void listener_free(struct listener *listener);

/** The port was opened: earlier bytes do not count any more. */
void listener_reset(struct listener *listener);

/** Bytes were received, which may be `lag_s` old. */
void listener_take(struct listener *listener, const uint8_t *bytes, size_t size, double now,
                   double lag_s);

/** No bytes were received for a while: skips the apparent start of a frame. Returns when to call it
 * again; INFINITY: not before more bytes arrive. */
double listener_wait(struct listener *listener, double now);
