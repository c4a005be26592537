// SPDX-License-Identifier: MIT
/*
 * The types of registers: size, range, and the pattern that means "unknown". One table for the
 * map, for pushes into other devices, and for all other registers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum map_type {
    REG_U16,
    REG_S16,
    REG_U32,
    REG_S32,
    REG_FLOAT32,
    REG_U64,
    REG_S64,
    REG_FLOAT64,
    REG_BITS16,
    REG_BITS32,
    REG_STRING,
    REG_U32_HIGH, /* high word first regardless of the float order */
    REG_BITS64,
    MAP_TYPES
};

struct map_limits {
    double min, max;
};

struct map_type_info {
    const char *name;
    unsigned registers;
    uint64_t unknown;        /* pattern of an unknown value; a string has none */
    struct map_limits whole; /* range in which numbers saturate */
    struct map_limits known; /* the same without the pattern of unknown */
};
extern const struct map_type_info map_types[MAP_TYPES];

/** The number that a register of a type can represent: rounded to nearest if the type is an
 * integer, and saturated. `reserved`: a known number must not become the pattern of unknown. */
double map_fit(enum map_type type, double number, bool reserved);

/** For a limit, of which a register must not represent more: rounded towards 0 if the type is an
 * integer. */
double map_lower(enum map_type type, double number);

/** The bits of a number in a register type; it must be within the type's limits. Integers are
 * rounded to nearest, a float is never minus zero. */
uint64_t map_pattern(enum map_type type, double number);

/** The inverse: the number that registers of a type show; NaN: unknown, or a text. */
double map_number_of(enum map_type type, const uint16_t *from, bool high_first);

/** Writes a pattern into `words` registers. */
void map_put_words(uint16_t *to, uint64_t pattern, unsigned words, bool high_first);
