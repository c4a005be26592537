// SPDX-License-Identifier: MIT
/* Values of the rows of views and pushes: of their terms, and the number for the register. Pure. */
#pragma once

#include "config/config.h"
#include "packs/source.h"

#include <math.h>

/** Whether a term is known even while its source is silent. */
static inline bool row_term_lasts(const struct row_term *term)
{
    return term->what != ROW_VALUE || value_traits(&term->value).is_status;
}

/** The value of a term, however old it is. `seconds` is the gateway's counter. NaN: unknown. */
static inline double row_term(const struct row_term *term, const struct source *source,
                              double seconds, double now)
{
    if (term->what == ROW_NUMBER)
        return term->number;
    if (term->what == ROW_SECONDS)
        return (uint16_t) (uint64_t) seconds; /* wraps, as in the register map */
    const struct map_status status = source_status_at(source, now);
    return term->what == ROW_FRESH ? status.state == MAP_STATE_FRESH
                                   : value_of(&term->value, source->values, &status);
}

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
