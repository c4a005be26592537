// SPDX-License-Identifier: MIT
/*
 * Decides which readings to believe. A whole reply is doubtful if one of its values moved further
 * than is possible, or if a value that seldom changes (states, counts, settings, limits,
 * capacities; on a protocol with a weak check any value) moved further than it ever did. The
 * request is then repeated at once until two replies agree; with a weak check three, after recent
 * damage four. Nothing is published in the meantime, so a true step shows one to three exchanges
 * later. Pure.
 *
 * The believed readings show how far each value moves. In steady operation this costs no requests.
 */
#pragma once

#include "config/config.h"

#include "bms/pack.h"

#define SPIKE_READINGS 7 /* most readings of a request that do not agree */

/* Of one pack; zeroed is empty. */
struct spike {
    struct pack doubtful[SPIKE_READINGS - 1]; /* the last readings, while they are not believed */
    unsigned doubted;                         /* how many of them there are */
    unsigned readings; /* believed and compared with the previous one, up to a small number */
    float moves[PACK_VALUES]; /* how far each value is known to move between two readings */
};

/* How a reading is judged. */
struct spike_rules {
    const struct spike_limits *limits; /* largest steps, by the configuration */
    bool weak;    /* two wrong bits can pass the protocol's check: everything is watched closely */
    bool noisy;   /* damage was seen a short while ago: the same, and a first reading is in doubt */
    bool first;   /* the same on a weak protocol: no pack waits, or no other reading follows soon */
    bool awaited; /* first values are needed soon: two readings are enough */
};

enum spike_verdict {
    SPIKE_BELIEVED,
    SPIKE_REFUTED,  /* believed, and the doubtful readings before were wrong */
    SPIKE_DOUBTED,  /* repeat the request at once */
    SPIKE_UNSETTLED /* too few agree, on a noisy line with a weak check: as good as no answer */
};

/** Judges the reply to a request. `before`: its last believed reply; NULL: none is still valid. */
enum spike_verdict spike_judge(struct spike *spike, const struct spike_rules *rules,
                               const struct pack *before, const struct pack *reading);

/** Drops the doubtful readings before another request. The learned moves stay, also for another
 * device, which will be of the same kind. */
void spike_drop(struct spike *spike);
