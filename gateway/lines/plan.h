// SPDX-License-Identifier: MIT
/*
 * Selects the next request to a pack: walks its driver's plan, repeats unanswered requests,
 * slows down when the pack is silent, and counts. Pure; asker.h sends and receives.
 *
 * A step that fails although it used to be answered holds the cycle back; after a few such
 * cycles the step is given up for a while and its values become unknown. A step that was never
 * answered, or is given up, is tried after the others were published: once, less and less often,
 * and not while other packs of the line wait; while a loan waits, one in each cycle. Before the
 * values are half as old as they may become, the cycle ends, and the next one tries the rest. The
 * pack is complete when no such step is left.
 */
#pragma once

#include "ledger.h"

/** Builds the next request of the cycle, or repeats the last one. `*published`: there are new
 * values before it. False: the cycle is over; `*published`: it was published. */
bool plan_request(struct poller *poller, double now, struct bms_request *request, bool *published);

/** Ends the cycle under way if none of its steps is left. `*published`: there are new values, maybe
 * before its end. Call it after a reply: these need not wait for the gap before the next request. */
bool plan_end_if_done(struct poller *poller, double now, bool *published);

/** A reply is complete in poller->incoming, or the BMS refused. `in_flight`: a request of this pack's cycle is. True: that one
 * is answered; if its values are not accepted yet, plan_request repeats it. */
bool plan_answered(struct poller *poller, const struct answer *answer, bool in_flight, double now);

/** The reply cannot be used: the next plan_request repeats the request, as if it had not been sent. */
void plan_ask_again(struct poller *poller, double now);

/** No reply. The next plan_request repeats the request or continues. */
void plan_unanswered(struct poller *poller, double now);

/** Noise or a damaged frame was received. */
void plan_disturbed(struct poller *poller, double now);

/** Counts the damage in the bytes that the buffer got since `before`. True: some of them are no whole frame. */
bool plan_count_damage(struct poller *poller, const struct reply_counters *before,
                       const struct reply_counters *after, double now);

/** Drops the cycle under way and makes the steps that bring a value due, which an order needs read back; NULL: all steps,
 * also slow ones, because something was switched. */
void plan_reread(struct poller *poller, const enum pack_value *id, double now);

/** Whether orders have dropped several cycles in a row: poll before the next order, or endless orders starve the values. */
bool plan_is_due_first(const struct poller *poller);

/** A request for step `open` may still be answered. The answer to another step settles that, so
 * this makes another one due unless each cycle has one. False: the pack answers no other step. */
bool plan_make_other_due(struct poller *poller, unsigned open, double now);

/** Makes a silent pack due at once, with two tries: its line is back. */
void plan_wake(struct poller *poller, double now);

/** Whether the request in flight may well stay unanswered: its pack is silent, or has never answered this one. */
bool plan_is_unsure(const struct poller *poller);
