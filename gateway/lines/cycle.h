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

/** Nothing of it is left to be asked: when the next one is due, and what is learned of the line's pace. */
void cycle_end(struct poller *poller, double now);

/** Ends without the vital step, without which it is worth nothing. */
void cycle_abandon(struct poller *poller, double now);

/** Whether the values in poller->incoming, the answer to a step's request, are believed at once, compared with what the
 * same request brought before. `spike`: what was in doubt so far. */
enum spike_verdict cycle_judge(struct poller *poller, struct spike *spike, unsigned step,
                               double now);

/** Whether a reading is believed that nobody has asked for. `before`: the one that was believed last; NULL: there is none
 * that is still good. */
bool cycle_judge_heard(struct poller *poller, struct spike *spike, const struct pack *before,
                       const struct pack *reading, double now);

/** Publishes poller->incoming, which was heard and is believed, and may be so old. */
void cycle_publish_heard(struct poller *poller, double now, double age_s);

/** One that talks unasked has completed a set of values in poller->incoming, which may be so old.
 * False: they are in doubt, and its next ones will tell; else they are published. */
bool cycle_heard(struct poller *poller, double now, double age_s);

/** It has not for so long that its values are stale. Half a set is dropped, and who speaks next may
 * be another device. */
void cycle_unheard(struct poller *poller);

#endif
