// SPDX-License-Identifier: MIT
/* What limits a pack or a bank. */
#include "limited.h"

#include <math.h>

/* In the process of an outlet a bank can have members whose values the outlet does not receive. */
static void find_cell(struct limited *limited, const struct pack *values)
{
    const bool high = limited->by == LIMITED_BY_CELL_HIGH;
    if (!values || (!high && limited->by != LIMITED_BY_CELL_LOW))
        return;
    const double index = values->value[high ? CELL_MAX_INDEX : CELL_MIN_INDEX];
    limited->cell = index > 0 ? (unsigned) index : 0;
    limited->cell_v = values->value[high ? CELL_MAX_MV : CELL_MIN_MV] / 1000;
}

struct limited limited_of(const struct source *source, const struct map_allowed *allowed,
                          enum limits_direction direction)
{
    const bool charges = direction == LIMITS_CHARGE;
    const unsigned pack = charges ? allowed->charge_limited_pack : allowed->discharge_limited_pack;
    struct limited limited = {
        .amps = charges ? allowed->charge_current_a : allowed->discharge_current_a,
        .by = charges ? allowed->charge_limited_by : allowed->discharge_limited_by,
        .cell_v = NAN,
    };
    if (!source->members)
        find_cell(&limited, source->values);
    else if (pack > 0 && pack <= source->member_count) {
        limited.pack = source->members[pack - 1]->name;
        find_cell(&limited, source->members[pack - 1]->values);
    }
    return limited;
}
