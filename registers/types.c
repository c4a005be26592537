// SPDX-License-Identifier: MIT
/* The types of registers. */
#include "types.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define TWO_TO_48_LESS_1 281474976710655.0
/* The largest doubles below them. */
#define BELOW_2_63 9223372036854774784.0
#define BELOW_2_64 18446744073709549568.0

// clang-format off
const struct map_type_info map_types[MAP_TYPES] = {
    /*                 name   registers unknown         whole                           clear of unknown */
    [REG_U16]      = {"u16",     1, 0xFFFF,             {0, 65535},                     {0, 65534}},
    [REG_S16]      = {"s16",     1, 0x8000,             {-32768, 32767},                {-32767, 32767}},
    [REG_U32]      = {"u32",     2, 0xFFFFFFFF,         {0, 4294967295.0},              {0, 4294967294.0}},
    [REG_S32]      = {"s32",     2, 0x80000000,         {-2147483648.0, 2147483647.0},  {-2147483647.0, 2147483647.0}},
    [REG_U32_HIGH] = {"u32",     2, 0xFFFFFFFF,         {0, 4294967295.0},              {0, 4294967294.0}},
    [REG_FLOAT32]  = {"float32", 2, 0x7FC00000,         {-FLT_MAX, FLT_MAX},            {-FLT_MAX, FLT_MAX}},
    [REG_U64]      = {"u64",     4, 0xFFFFFFFFFFFFFFFF, {0, BELOW_2_64},                {0, BELOW_2_64}},
    [REG_S64]      = {"s64",     4, 0x8000000000000000, {-0x1p63, BELOW_2_63},          {-BELOW_2_63, BELOW_2_63}},
    [REG_FLOAT64]  = {"float64", 4, 0x7FF8000000000000, {-DBL_MAX, DBL_MAX},            {-DBL_MAX, DBL_MAX}},
    [REG_STRING]   = {"string", 16, 0,                  {0, 0},                         {0, 0}},
    [REG_BITS16]   = {"bits16",  1, 0xFFFF,             {0, 65535},                     {0, 65535}},
    [REG_BITS32]   = {"bits32",  2, 0xFFFFFFFF,         {0, 4294967295.0},              {0, 4294967295.0}},
    [REG_BITS64]   = {"bits64",  4, 0xFFFFFFFFFFFFFFFF, {0, TWO_TO_48_LESS_1},          {0, TWO_TO_48_LESS_1}},
};
// clang-format on

double map_fit(enum map_type type, double number, bool reserved)
{
    const struct map_limits *limits = reserved ? &map_types[type].known : &map_types[type].whole;
    const bool whole = type != REG_FLOAT32 && type != REG_FLOAT64;
    return fmin(fmax(whole ? round(number) : number, limits->min), limits->max);
}

double map_lower(enum map_type type, double number)
{
    const bool whole = type != REG_FLOAT32 && type != REG_FLOAT64;
    return whole ? trunc((float) number) : number; /* as a float, 46.3 x 10 is 463 */
}

uint64_t map_pattern(enum map_type type, double number)
{
    number += 0.0; /* turns -0 into 0, as below: some clients show the sign */
    if (type == REG_FLOAT32) {
        const float single = (float) number + 0.0f;
        uint32_t pattern;
        memcpy(&pattern, &single, sizeof pattern);
        return pattern;
    }
    if (type == REG_FLOAT64) {
        uint64_t pattern;
        memcpy(&pattern, &number, sizeof pattern);
        return pattern;
    }
    number = round(number);
    return number < 0 ? (uint64_t) (int64_t) number : (uint64_t) number;
}

void map_put_words(uint16_t *to, uint64_t pattern, unsigned words, bool high_first)
{
    for (unsigned i = 0; i < words; i++)
        to[high_first ? words - 1 - i : i] = (uint16_t) (pattern >> 16 * i);
}

double map_number_of(enum map_type type, const uint16_t *from, bool high_first)
{
    const unsigned words = map_types[type].registers;
    uint64_t bits = 0;
    float single;
    double number;
    for (unsigned i = 0; type != REG_STRING && i < words; i++)
        bits |= (uint64_t) from[high_first ? words - 1 - i : i] << 16 * i;
    if (type == REG_FLOAT32) {
        const uint32_t low = (uint32_t) bits;
        memcpy(&single, &low, sizeof single);
        return (double) single;
    }
    if (type == REG_FLOAT64) {
        memcpy(&number, &bits, sizeof number);
        return number;
    }
    if (type == REG_STRING || bits == map_types[type].unknown)
        return (double) NAN;
    return type == REG_S16   ? (int16_t) bits
           : type == REG_S32 ? (int32_t) bits
           : type == REG_S64 ? (double) (int64_t) bits
                             : (double) bits;
}
