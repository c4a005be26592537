// SPDX-License-Identifier: MIT
/* From a value to the number in a register, for the rows of views and pushes. Pure. */
#pragma once

#include "config/config.h"

#include <math.h>

/** Whether the row shows a limit, of which a register must not represent more. */
static inline bool row_is_limit(const struct register_row *row)
{
    bool limit = false;
    for (unsigned n = 0; row->type != REG_STRING && n < row->term_count; n++)
        limit |= row->terms[n].what == ROW_VALUE && value_traits(&row->terms[n].value).is_limit;
    return limit;
}

/** The value translated and scaled, and within the row's bounds; NaN: unknown. */
static inline double row_number(const struct register_row *row, double value)
{
    unsigned i = 0;
    while (i < row->pair_count && row->pairs[i].in != value)
        i++;
    if (row->pair_count > 0)
        value = i < row->pair_count ? row->pairs[i].out : (double) NAN;
    return isnan(value) ? value : fmin(fmax(value * row->scale + row->offset, row->min), row->max);
}
