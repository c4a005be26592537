// SPDX-License-Identifier: MIT
/* Types of registers: reading returns what was written. */
#include "registers/types.h"

#include "bms/count.h"

#include <math.h>
#include <stdint.h>

#include "unit.h"

static const double numbers[] = {0, 1, 12345, -1, -12345, 65534, 70000, -70000, 0x12345678};

TEST(round_trip)
{
    for (int type = 0; type < MAP_TYPES; type++)
        for (size_t i = 0; type != REG_STRING && i < COUNT(numbers); i++)
            for (int high = 0; high <= 1; high++) {
                const double shown = map_fit(type, numbers[i], true);
                uint16_t words[4];
                map_put_words(words, map_pattern(type, shown), map_types[type].registers, high);
                const double read = map_number_of(type, words, high);
                if (fabs(read - shown) > fabs(shown) * 1e-7)
                    fail_msg("%s: %g is read as %g", map_types[type].name, shown, read);
            }
}

TEST(unknown)
{
    for (int type = 0; type < MAP_TYPES; type++) {
        uint16_t words[16] = {0};
        map_put_words(words, map_types[type].unknown,
                      map_types[type].registers > 4 ? 0 : map_types[type].registers, true);
        assert_true(isnan(map_number_of(type, words, true)));
    }
}
