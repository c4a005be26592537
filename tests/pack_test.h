// SPDX-License-Identifier: MIT
/* A pack without values, values that it gets, and what they have to be:
 *
 *     set_values(&pack, {VOLTAGE_V, 13.2}, {CELL_MV + 1, 3300});
 *     assert_values(&pack, {VOLTAGE_V, 13.2}, {CELL_MV + 1, 3300}, {SOH_PERCENT, NAN});
 */
#pragma once

#include "bms/count.h"
#include "bms/pack.h"

#include <math.h>

#include "unit.h"

static inline struct pack cleared_pack(void)
{
    struct pack pack;
    pack_clear(&pack);
    return pack;
}

struct numbered_value {
    int64_t id;   /* of enum pack_value */
    double value; /* NAN: unknown */
};

static inline void set_each(struct pack *pack, const struct numbered_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pack_set(pack, (enum pack_value) values[i].id, values[i].value);
}

static inline void check_each(const struct pack *pack, const struct numbered_value *expected,
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

#define VALUES(...)                                                                                \
    (const struct numbered_value[]){__VA_ARGS__},                                                  \
        COUNT(((const struct numbered_value[]){__VA_ARGS__}))
#define set_values(pack, ...) set_each(pack, VALUES(__VA_ARGS__))
#define assert_values(pack, ...) check_each(pack, VALUES(__VA_ARGS__), __LINE__)
