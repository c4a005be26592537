// SPDX-License-Identifier: MIT
/* From a value to the number in a register. */
#include "row_number.h"

#include <math.h>

bool row_is_limit(const struct register_row *row)
{
    bool limit = false;
    for (unsigned n = 0; row->type != REG_STRING && n < row->term_count; n++)
        limit |= row->terms[n].what == ROW_VALUE && value_traits(&row->terms[n].value).is_limit;
    return limit;
}

static double translate(const struct register_row *row, double value)
{
    if (row->pair_count == 0)
        return value;
    for (unsigned i = 0; i < row->pair_count; i++)
        if (row->pairs[i].in == value)
            return row->pairs[i].out;
    return (double) NAN;
}

double row_number(const struct register_row *row, double value)
{
    value = translate(row, value);
    return isnan(value) ? value : fmin(fmax(value * row->scale + row->offset, row->min), row->max);
}
