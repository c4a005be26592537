// SPDX-License-Identifier: MIT
/*
 * What is said on a line that has a master already: `listen = yes`. Finds the master's questions in
 * what passes, and the replies to them, and gives the packs their values. Nothing is ever sent: there
 * is no way from here to a port. Pure; time is an argument.
 *
 * A reply counts only behind its own question (lines/ledger.h), to a pack of this line. What has no question, was heard
 * in halves or came twice is passed over. An order that the master gives is a question like any other: what answers it
 * tells no values.
 *
 * Values are as old as their question, by the time at which its first byte came; and what came in
 * one piece with more behind it is older by as long as a wire takes for that. A set of values is told
 * when the master has asked everything again that it asks; its age is that of the oldest reply in it.
 * Replies that are older than what counts as stale are left out, but for what never changes.
 */
#ifndef PACKGATE_LINES_LISTENER_H
#define PACKGATE_LINES_LISTENER_H

#include "lines/mask.h"
#include "lines/turns.h"

/* Serial servers tear frames, or deliver what they kept, by less than that. */
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

/** Bytes that have come, which may be so much older than now. */
void listener_take(struct listener *listener, const uint8_t *bytes, size_t size, double now,
                   double lag_s);

/** Nothing came for a while: what only looks like the start of a frame is none. Returns when it wants
 * to be called again; INFINITY: not before there are more bytes. */
double listener_wait(struct listener *listener, double now);

#endif
