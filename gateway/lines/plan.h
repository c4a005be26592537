// SPDX-License-Identifier: MIT
/*
 * What a pack is asked next: walks its driver's plan, repeats what stays unanswered, slows down when the pack is
 * silent, and counts. Pure; asker.h sends and receives.
 *
 * A step that fails although it used to be answered holds the cycle back; after a few such cycles the step is given up
 * for a while and its values become unknown. What was never answered, or is given up, is tried when the rest is
 * published: once, less and less often, and not while others on the line wait. One that stays unanswered ends the
 * cycle if there is no time for the next one.
 */
#ifndef PACKGATE_LINES_PLAN_H
#define PACKGATE_LINES_PLAN_H

#include "poller.h"

/** Builds the next request of the cycle, or the same once more. `*published`: there are new values before it. False: the
 * cycle is over; `*published`: it was published. */
bool plan_request(struct poller *poller, double now, struct bms_request *request, bool *published);

/** Ends the cycle under way if nothing of it is left to ask. `*published`: there are new values, possibly before its end.
 * Call it after a reply: the next request has to wait for a gap, new values need not. */
bool plan_end_if_done(struct poller *poller, double now, bool *published);

/* A reply to one of the pack's requests. */
struct plan_reply {
    unsigned step;
    double sent_at;   /* when it was asked for at the earliest, */
    double newest_at; /* and at the latest */
    bool in_flight;   /* a request of this pack's cycle is */
};

/** A reply is complete in poller->incoming. True: the request in flight is answered; if its values are not believed yet, the
 * next plan_request asks the same again. */
bool plan_answered(struct poller *poller, const struct plan_reply *reply, double now);

/** The BMS refused. Returns as plan_answered. */
bool plan_refused(struct poller *poller, const struct plan_reply *reply, double now);

/** What came cannot be used: the next plan_request asks the same again, as if nothing had been asked. */
void plan_ask_again(struct poller *poller, double now);

/** No reply. The next plan_request repeats the request or goes on. `behind`: a request for another step is open as well,
 * so that step after step might be answered one by one and stay behind for good; the same asked twice ends that. */
void plan_unanswered(struct poller *poller, bool behind, double now);

/** Noise or a damaged frame was received. */
void plan_disturbed(struct poller *poller, double now);

/** Drops the cycle under way and makes all steps due, also slow ones: something was switched. */
void plan_reread_all(struct poller *poller, double now);

/** Drops the cycle under way and makes the steps that bring this value due: an order needs it read back. */
void plan_reread_value(struct poller *poller, enum pack_value id, double now);

/** Whether orders have dropped several cycles in a row: poll before the next order, or endless orders starve the values. */
bool plan_is_due_first(const struct poller *poller);

/** A request for step `open` may still be answered: the answer to another step settles that, so one is made due where
 * none is asked each cycle. False: the pack has no other that it answers. */
bool plan_make_other_due(struct poller *poller, unsigned open, double now);

/** Makes a silent pack due at once, with two tries: its line is back. */
void plan_wake(struct poller *poller, double now);

/** Whether the request in flight may well stay unanswered: its pack is silent, or has never answered this one. */
bool plan_is_unsure(const struct poller *poller);

#endif
