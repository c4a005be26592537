// SPDX-License-Identifier: MIT
/*
 * Assembles the parts of a poll cycle to the values of a pack. A cycle is published whole or not
 * at all, so that clients never read a mixture: parts that were requested too far apart wait for
 * newer ones. Published values are as old as their oldest part. Pure.
 */
#pragma once

#include "poller.h"

void cycle_begin(struct poller *poller, double now);

/** Publishes the parts if all steps were answered, close enough together. */
bool cycle_publish(struct poller *poller, double now);

/** No step is left: schedules the next cycle, and learns the pace of the line. */
void cycle_end(struct poller *poller, double now);

/** Ends the cycle because its vital step is missing; the other steps are useless without it. */
void cycle_abandon(struct poller *poller, double now);

/** Whether to accept the values in poller->incoming, the answer to a step's request, at once,
 * compared with the previous answer to the same request. `spike`: the doubtful readings so far. */
enum spike_verdict cycle_judge(struct poller *poller, struct spike *spike, unsigned step,
                               double now);

/** Whether to accept an unsolicited reading. `before`: the last accepted one; NULL: none that is
 * still valid. */
bool cycle_judge_heard(struct poller *poller, struct spike *spike, const struct pack *before,
                       const struct pack *reading, double now);

/** Publishes poller->incoming, an accepted unsolicited reading; it may be `age_s` old. */
void cycle_publish_heard(struct poller *poller, double now, double age_s);

/** A pack that sends by itself has completed a set of values in poller->incoming, which may be
 * `age_s` old. Publishes it. False: it is doubtful until later sets confirm it. */
bool cycle_heard(struct poller *poller, double now, double age_s);

/** A pack that sends by itself was silent until its values became stale. Drops the incomplete set;
 * another device may send next. */
void cycle_unheard(struct poller *poller);
