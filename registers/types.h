// SPDX-License-Identifier: MIT
/*
 * The types of registers: how wide, what they can hold, which pattern means "unknown". One table for
 * the map, for what is pushed into other devices' registers, and for whoever else serves some.
 */
#ifndef PACKGATE_REGISTERS_TYPES_H
#define PACKGATE_REGISTERS_TYPES_H

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
    REG_U32_HIGH, /* high word first whatever the float order */
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
    struct map_limits whole; /* where numbers saturate */
    struct map_limits known; /* the same, short of the pattern of unknown */
};
extern const struct map_type_info map_types[MAP_TYPES];

/** What a register of a type shows of a number: rounded to nearest where it takes whole numbers only, and the nearest that
 * fits. `reserved`: the pattern of unknown is not for numbers that are known. */
double map_fit(enum map_type type, double number, bool reserved);

/** The bits of a number in a register type, which must be within its limits: integers are rounded
 * to nearest, a float is never minus zero. */
uint64_t map_pattern(enum map_type type, double number);

/** The pattern of an unknown integer, as the number that a client reads it as. */
int64_t map_unknown(enum map_type type);

/** Writes a pattern into `words` registers. */
void map_put_words(uint16_t *to, uint64_t pattern, unsigned words, bool high_first);

#endif
