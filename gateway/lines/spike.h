// SPDX-License-Identifier: MIT
/*
 * Which readings are believed. A whole reply is doubtful if one of its values moved further than it can, or if a value that
 * seldom changes (states, counts, settings, limits, capacities; on a protocol with a weak check any value) moved further
 * than it was seen to. The same request is then asked again at once until two replies agree; with a weak check three, after
 * recent damage four. Nothing is published in the meantime, so that a true step shows one to three exchanges later. Pure.
 *
 * How far a value moves is learned from the readings that were believed. That costs no requests in steady operation.
 */
#ifndef PACKGATE_LINES_SPIKE_H
#define PACKGATE_LINES_SPIKE_H

#include "config/config.h"

#include "bms/pack.h"

#define SPIKE_READINGS 7 /* most of a request that do not agree */

/* Of one pack; zeroed is empty. */
struct spike {
    struct pack doubtful[SPIKE_READINGS - 1]; /* the last readings, which were not believed */
    unsigned doubted;                         /* how many of them there are */
    unsigned readings; /* that were believed and compared with one before, while they are few */
    float moves[PACK_VALUES]; /* how far each value is known to move between two readings */
};

/* How a reading is judged. */
struct spike_rules {
    const struct spike_limits *limits; /* largest steps, by the configuration */
    bool weak;    /* two wrong bits can pass the protocol's check: everything is watched closely */
    bool noisy;   /* damage was seen a short while ago: the same, and a first reading is in doubt */
    bool first;   /* so it is on a weak protocol: no pack waits, or no other reading follows soon */
    bool awaited; /* somebody waits for it: two first readings are enough */
};

enum spike_verdict {
    SPIKE_BELIEVED,
    SPIKE_REFUTED,  /* believed, and what was doubted before is wrong */
    SPIKE_DOUBTED,  /* to be asked again at once */
    SPIKE_UNSETTLED /* too few agree, on a noisy line with a weak check: as good as no answer */
};

/** Judges the reply to one request. `before`: what was believed of the same request last, NULL when
 * there is nothing, or nothing that is still good. */
enum spike_verdict spike_judge(struct spike *spike, const struct spike_rules *rules,
                               const struct pack *before, const struct pack *reading);

/** Forgets doubtful readings, as another request is next. What was learned of moves stays, also for another device: it will
 * be of the same kind. */
void spike_drop(struct spike *spike);

#endif
