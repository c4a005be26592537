// SPDX-License-Identifier: MIT
/*
 * Computes what a section [limits] would have allowed: earlier rows of a pack, or of each pack of a
 * bank, go through limits_update second by second, as in the gateway (packs/limiter.h). Pure.
 */
#pragma once

#include "packs/limits.h"

/* A row: its time and its values. */
struct past_row {
    double at; /* s */
    struct pack pack;
    char time[40]; /* as in the file */
};

/* A pack with its rows, in the order of their times. The caller fills in the first four members. */
struct replay_pack {
    bool (*next)(void *data, struct past_row *row); /* false: there are no more */
    void *data;
    double every_s;                  /* longest time between two rows; NaN: derived from the rows */
    const struct limits_config *own; /* its own section, in a bank; NULL: none */
    struct past_row row, ahead;      /* at NaN: none yet; infinity: there is none ahead */
    double usual_s;                  /* usual time between two rows: the same, or derived */
    struct limits_state state;
    struct map_allowed allowed; /* by `own` */
};

struct replay {
    const struct limits_config *limits;
    struct replay_pack packs[MAX_BANK_PACKS];
    unsigned count, needed; /* as for limits_update */
    struct limits_state state;
    double held_s[LIMIT_REASON_COUNT][LIMITS_DIRECTIONS];
    double total_s;
};

/** Begins, after the caller has filled in `limits`, `count`, `needed` and the packs. */
void replay_start(struct replay *replay);

/** Continues to the next time at which a pack has a row; `*time` is its text until the next call.
 * `allowed` are the limits at the end of the time up to the next row. False: there is none. */
bool replay_next(struct replay *replay, const char **time, struct map_allowed *allowed);
