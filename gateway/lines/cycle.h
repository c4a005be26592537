// SPDX-License-Identifier: MIT
/*
 * From the parts of a poll cycle to the values of a pack. A cycle is published whole or not at all, so that nobody
 * reads a mixture: parts that were asked for too far apart wait for newer ones. What is published is as old as its
 * oldest part. Pure.
 */
#ifndef PACKGATE_LINES_CYCLE_H
#define PACKGATE_LINES_CYCLE_H

#include "poller.h"

void cycle_begin(struct poller *poller, double now);

/** Publishes what was read if all steps were answered, close enough together. */
bool cycle_publish(struct poller *poller, double now);

/** Nothing is left to ask: sets when the next cycle is due, and learns the line's pace. */
void cycle_end(struct poller *poller, double now);

/** Ends the cycle because its vital step is missing: without that it is worth nothing. */
void cycle_abandon(struct poller *poller, double now);

/** Whether the values in poller->incoming, the answer to a step's request, are believed at once, compared with what the
 * same request brought before. `spike`: what was in doubt so far. */
enum spike_verdict cycle_judge(struct poller *poller, struct spike *spike, unsigned step,
                               double now);

/** Whether a reading is believed that nobody has asked for. `before`: the one that was believed last; NULL: there is none
 * that is still good. */
bool cycle_judge_heard(struct poller *poller, struct spike *spike, const struct pack *before,
                       const struct pack *reading, double now);

/** Publishes poller->incoming, which was heard and is believed; it may be `age_s` old. */
void cycle_publish_heard(struct poller *poller, double now, double age_s);

/** A pack that talks unasked has completed a set of values in poller->incoming, which may be `age_s` old. Publishes it.
 * False: it is in doubt, and the next sets will tell. */
bool cycle_heard(struct poller *poller, double now, double age_s);

/** A pack that talks unasked was silent until its values became stale. Drops half a set; another device may talk next. */
void cycle_unheard(struct poller *poller);

#endif
