// SPDX-License-Identifier: MIT
/*
 * Computes the charge and discharge limits of a pack or a bank, from its values, their age, and a
 * [limits] section. Pure.
 *
 * Every failure means 0 A: while a required value is unknown or the values are stale, no current is
 * allowed. The only exception is on_stale = discharge, with which stale values allow discharging as
 * before for LIMITS_STOP_S. A limit falls at once. It rises slowly, and only after its inputs have
 * allowed more for a while.
 *
 * Packs of a bank are wired in parallel, so the current of a single one cannot be controlled: the
 * pack that reaches its limit first, by its measured share of the current, limits the bank.
 */
#pragma once

#include "alarms.h"
#include "seen.h"
#include "source.h"

#include "config/config.h"
#include "registers/map.h"

/* Seconds for which stale values still allow discharging with on_stale = discharge, and for which
 * the outlet `present` sends a stop. */
#define LIMITS_STOP_S 10.0

/* A pack at one moment. */
struct limits_pack {
    const struct pack *values;
    bool fresh;                    /* false: its values are ignored */
    bool begins;                   /* its first requests are not all answered */
    double age_s, stale_after_s;   /* age of the values, and the age at which they allow nothing */
    const struct map_allowed *own; /* limits by the pack's own section, in a bank; NULL: none */
    unsigned device;               /* poller->devices */
};

enum limits_direction { LIMITS_CHARGE, LIMITS_DISCHARGE, LIMITS_DIRECTIONS };

/* A rising current limit. */
struct limits_ramp {
    double allowed_a;
    double waits_since; /* since when more could be allowed; NaN: it cannot */
};

/* A pack, between two updates. */
struct limits_member {
    struct alarms alarms;            /* as read last */
    struct seen seen;                /* its optional values, protections and sensors */
    double share[LIMITS_DIRECTIONS]; /* of the bank's current, as last measured */
};

struct limits_state {
    double at;       /* of the last update */
    double fresh_at; /* time of the last update with enough packs */
    struct limits_ramp ramps[LIMITS_DIRECTIONS];
    struct limits_member members[MAX_BANK_PACKS];
    uint32_t shared[LIMITS_DIRECTIONS]; /* the packs to which these shares belong, a bit for each */
    double cell_v;     /* target voltage of a cell, moving between float and full */
    bool full;         /* the cells have been full and balanced for long enough, until now */
    bool floating;     /* they were, and are now held at float */
    bool fills;        /* soc_ceiling does not apply; set and cleared by the caller */
    double full_since; /* NaN: they are not */
    double lowered_v;  /* reduction of the pack voltage, because a cell stayed too high */
    double excess_at;  /* when one last was */
};

/** Before the first update: nothing is allowed. */
void limits_init(struct limits_state *state, const struct limits_config *config, double now);

/** Computes the limits at `now`. Call it with new values, and once a second. A pack is a bank of
 * one. `needed`: with fewer fresh packs nothing is allowed. */
struct map_allowed limits_update(const struct limits_config *config,
                                 const struct limits_pack *packs, unsigned count, unsigned needed,
                                 struct limits_state *state, double now);

/* What limits a pack or a bank, for status and messages: the pack of the bank, and its cell. */
struct limited {
    double amps; /* what is allowed */
    enum limit_reason by;
    const char *pack; /* name of the limiting pack of a bank; NULL: no single one */
    unsigned cell;    /* limiting cell, highest or lowest; 0: none, or unknown */
    double cell_v;    /* its voltage; NaN: none */
};

/** `allowed`: what map_allowed returns for the source. */
struct limited limited_of(const struct source *source, const struct map_allowed *allowed,
                          enum limits_direction direction);
