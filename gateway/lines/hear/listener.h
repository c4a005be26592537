// SPDX-License-Identifier: MIT
/*
 * Listens to a line that has another master: `listen = yes`. Finds the master's questions and the replies to them, and
 * updates the packs. It never sends. Pure; time is an argument.
 *
 * A reply counts only if its question was received (lines/ledger.h), for a pack of this line. Replies without a question,
 * partial ones and repeated ones are ignored. The master's orders are questions whose replies have no values.
 *
 * Values are as old as the first byte of their question; where one piece held more bytes behind it, older by their time on
 * the wire. rounds.h puts replies together.
 */
#ifndef PACKGATE_LINES_LISTENER_H
#define PACKGATE_LINES_LISTENER_H

#include "lines/mask.h"
#include "lines/turns.h"

/* Serial servers tear frames apart, and deliver what they kept, by less than this. */
#define QUIET_S 0.3

struct listener;

struct listener_events {
    /** poller->values are new. */
    void (*heard)(void *data, struct poller *poller, double now);
    /** What passes, in whole frames with their secrets blanked: '>' of the master, '<' of a pack; or
     * '#' and how many bytes are not shown. */
    mask_show *show;
};

/** For the packs of a line, which must outlive it. NULL: out of memory. */
struct listener *listener_new(const struct turns *turns, unsigned baud,
                              const struct listener_events *events, void *data);
void listener_free(struct listener *listener);

/** The port was opened: what came before does not count any more. */
void listener_reset(struct listener *listener);

/** Bytes have come, which may be `lag_s` old. */
void listener_take(struct listener *listener, const uint8_t *bytes, size_t size, double now,
                   double lag_s);

/** Nothing came for a while: what only looks like the start of a frame is none. Returns when to call it again; INFINITY:
 * not before more bytes come. */
double listener_wait(struct listener *listener, double now);

#endif
