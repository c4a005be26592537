// SPDX-License-Identifier: MIT
/*
 * Small random numbers that repeat for the same seed: SplitMix64 (Steele, Lea, Flood 2014). For
 * simulated packs and tests, not for secrets.
 */
#pragma once

#include <stdint.h>

/** The next 64 bits; any state is a good one to start with. */
static inline uint64_t prng_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/** 0 ≤ x < 1. */
static inline double prng_unit(uint64_t *state)
{
    return (double) (prng_next(state) >> 11) * 0x1p-53;
}

/** low … high, both included. */
static inline int prng_range(uint64_t *state, int low, int high)
{
    return low + (int) (prng_next(state) % ((uint64_t) high - (uint64_t) low + 1));
}
