// SPDX-License-Identifier: MIT
/* A pack without values, and what the values of a pack have to be:
 *
 *     assert_values(&pack, {VOLTAGE_V, 13.2}, {CELL_MV + 1, 3300}, {SOH_PERCENT, NAN});
 */
#pragma once

#include "bms/pack.h"

#include <math.h>

#include "unit.h"

static inline struct pack cleared_pack(void)
{
    struct pack pack;
    pack_clear(&pack);
    return pack;
}

struct expected_value {
    int64_t id;   /* of enum pack_value */
    double value; /* NAN: unknown */
};

static inline void check_values(const struct pack *pack, const struct expected_value *expected,
                                size_t count, int line)
{
    char name[VALUE_NAME_SIZE];
    for (size_t i = 0; i < count; i++) {
        const double wanted = expected[i].value, got = pack->value[expected[i].id];
        if (isnan(wanted) ? !isnan(got) : !(fabs(got - wanted) < 1e-9))
            fail_msg("line %d: %s is %g, expected %g", line,
                     pack_value_name((enum pack_value) expected[i].id, name), got, wanted);
    }
}

#define assert_values(pack, ...)                                                                   \
    check_values(pack, (const struct expected_value[]){__VA_ARGS__},                               \
                 sizeof((const struct expected_value[]){__VA_ARGS__}) /                            \
                     sizeof(struct expected_value),                                                \
                 __LINE__)
