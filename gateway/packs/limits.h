// SPDX-License-Identifier: MIT
/*
 * What a pack or a bank may be charged and discharged with, from its values, their age, and a [limits] section. Pure.
 *
 * Everything fails to 0: a value that is needed and not known allows no current, and nor do values that are stale; only
 * with on_stale = discharge they allow to discharge as before, for LIMITS_STOP_S. A limit falls at once. It rises only when
 * more was allowed for a while, and slowly.
 *
 * Packs of a bank are wired in parallel, so that nobody can steer the current of one of them: the pack that reaches its
 * limit first, by its measured share of the current, limits the bank.
 */
#ifndef PACKGATE_PACKS_LIMITS_H
#define PACKGATE_PACKS_LIMITS_H

#include "alarms.h"

#include "config/config.h"
#include "registers/map.h"

/* With on_stale = discharge: s in which stale values still allow to discharge; and as long as inverters are told to stop. */
#define LIMITS_STOP_S 10.0

/* A pack at one moment. */
struct limits_pack {
    const struct pack *values;
    bool fresh;                    /* false: nothing of it is looked at */
    double age_s, stale_after_s;   /* of the values, and at which age they allow nothing */
    const struct map_allowed *own; /* by a section of its own, in a bank; NULL: it has none */
};

enum limits_direction { LIMITS_CHARGE, LIMITS_DISCHARGE, LIMITS_DIRECTIONS };

/* A current on its way up. */
struct limits_ramp {
    double allowed_a;
    double waits_since; /* more has been allowed since; NaN: it is not */
};

/* A pack, from one update to the next. */
struct limits_member {
    struct alarms alarms; /* as read last */
    /* What it has ever reported of its optional values, protections and sensors, a bit for each: all of that must be
     * known from then on. */
    uint32_t reports, protections, sensors;
    double share[LIMITS_DIRECTIONS]; /* of the bank's current, as measured last */
};

struct limits_state {
    double at;       /* of the last update */
    double fresh_at; /* of the last one with enough packs */
    struct limits_ramp ramps[LIMITS_DIRECTIONS];
    struct limits_member members[MAX_BANK_PACKS];
    uint32_t shared[LIMITS_DIRECTIONS]; /* the packs whose shares these are, a bit for each */
    double cell_v;                      /* each cell may have, on its way between float and full */
    bool full;         /* the cells have been full and even for long enough, up to now */
    bool floating;     /* they were, and are kept at float */
    bool fills;        /* soc_ceiling does not apply: whoever calls sets and clears it */
    double full_since; /* NaN: they are not */
    double lowered_v;  /* the voltage of the pack, because a cell stayed too high */
    double excess_at;  /* when one last was */
};

/** Before the first update: nothing is allowed. */
void limits_init(struct limits_state *state, const struct limits_config *config, double now);

/** Takes over what a pack has reported, from the same pack under another section. */
void limits_remember(struct limits_member *member, const struct limits_member *old);

/** What is allowed now. To be called when there are new values, and once a second. A pack is a bank of one. `needed`:
 * with fewer fresh packs nothing is allowed. */
struct map_allowed limits_update(const struct limits_config *config,
                                 const struct limits_pack *packs, unsigned count, unsigned needed,
                                 struct limits_state *state, double now);

/** The share at a value; of NaN, NaN. */
double limits_share(const struct curve *curve, double value);

#endif
