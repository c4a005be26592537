// SPDX-License-Identifier: MIT
/*
 * Spikes: a value that jumps further between two polls than a pack can is held back once, and
 * published when the next reading confirms it. Pure; what is compared is one published cycle with
 * the one before.
 *
 * While a value is held, the one before is published again, for one poll only: what is not
 * confirmed then either becomes unknown until two readings agree. Nothing old is ever published in
 * place of an unknown value. What follows from a held value (extremes, averages, power) is made
 * unknown, so that pack_derive takes it from what is published.
 */
#ifndef PACKGATE_LINES_SPIKE_H
#define PACKGATE_LINES_SPIKE_H

#include "config/config.h"
#include "bms/pack.h"

/* What was made of the last reading of a value. */
enum spike_state {
    SPIKE_FIRST,    /* there was none to compare with */
    SPIKE_ACCEPTED, /* published as it was read */
    SPIKE_HELD,     /* the one before was published instead */
    SPIKE_WITHHELD  /* published as unknown */
};

struct spike_value {
    enum spike_state state;
    double accepted;  /* the last reading that was believed */
    double candidate; /* the last one that was not; NaN: none is waiting */
    double read_at;   /* when the last reading was taken */
    double seen_at;   /* when the value was last published or held back */
    bool gap;         /* unknown in the cycle before */
};

/* Of one pack; zeroed is empty. */
struct spike {
    struct spike_value values[PACK_VALUES];
};

void spike_clear(struct spike *spike);

/** Filters a cycle before pack_derive. `read_at` tells when each value was read, so that one
 * that is read rarely is not confirmed by the same reading in the next cycle; NULL: all of them
 * now. A value that was unknown for longer than `forget_s` is not compared with what it was
 * before. Returns how many jumps there were: one at most for each of SOC, voltage, cells and
 * temperatures. */
unsigned spike_filter(struct spike *spike, const struct spike_limits *limits, const double *read_at,
                      double now, double forget_s, struct pack *pack);

/** Whether the last reading of a value waits to be confirmed: it should be read again soon. */
bool spike_waits(const struct spike *spike, enum pack_value id);

#endif
