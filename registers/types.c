// SPDX-License-Identifier: MIT
/* The types of registers. */
#include "types.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define TWO_TO_48_LESS_1 281474976710655.0

// clang-format off
const struct map_type_info map_types[MAP_TYPES] = {
    /*                 name   registers unknown         whole                           clear of unknown */
    [REG_U16]      = {"u16",     1, 0xFFFF,             {0, 65535},                     {0, 65534}},
    [REG_S16]      = {"s16",     1, 0x8000,             {-32768, 32767},                {-32767, 32767}},
    [REG_U32]      = {"u32",     2, 0xFFFFFFFF,         {0, 4294967295.0},              {0, 4294967294.0}},
    [REG_S32]      = {"s32",     2, 0x80000000,         {-2147483648.0, 2147483647.0},  {-2147483647.0, 2147483647.0}},
    [REG_U32_HIGH] = {"u32",     2, 0xFFFFFFFF,         {0, 4294967295.0},              {0, 4294967294.0}},
    [REG_FLOAT32]  = {"float32", 2, 0x7FC00000,         {-FLT_MAX, FLT_MAX},            {-FLT_MAX, FLT_MAX}},
    [REG_STRING]   = {"string", 16, 0,                  {0, 0},                         {0, 0}},
    [REG_BITS16]   = {"bits16",  1, 0xFFFF,             {0, 65535},                     {0, 65535}},
    [REG_BITS32]   = {"bits32",  2, 0xFFFFFFFF,         {0, 4294967295.0},              {0, 4294967295.0}},
    [REG_BITS64]   = {"bits64",  4, 0xFFFFFFFFFFFFFFFF, {0, TWO_TO_48_LESS_1},          {0, TWO_TO_48_LESS_1}},
};
// clang-format on

uint64_t map_pattern(enum map_type type, double number)
{
    if (type != REG_FLOAT32)
        return (uint64_t) (int64_t) round(number);
    float f = (float) number + 0.0f; /* makes 0 of -0, which some clients show with its sign */
    uint32_t pattern;
    memcpy(&pattern, &f, sizeof pattern);
    return pattern;
}

int64_t map_unknown(enum map_type type)
{
    uint64_t pattern = map_types[type].unknown;
    return type == REG_S16 ? (int64_t) pattern - 0x10000 : (int64_t) pattern;
}

void map_put_words(uint16_t *to, uint64_t pattern, unsigned words, bool high_first)
{
    for (unsigned i = 0; i < words; i++)
        to[high_first ? words - 1 - i : i] = (uint16_t) (pattern >> 16 * i);
}
