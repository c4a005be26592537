// SPDX-License-Identifier: MIT
#include "threshold.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* Reads a number at `*text` and advances behind it. Rejects hexadecimal numbers and infinity. */
static bool parse_number(const char **text, double *number)
{
    const char *c = *text + (**text == '-' || **text == '+');
    char *end;
    if (!isdigit((unsigned char) *c) && *c != '.')
        return false;
    if (c[0] == '0' && (c[1] == 'x' || c[1] == 'X'))
        return false;
    *number = strtod(*text, &end);
    if (end == *text || !isfinite(*number))
        return false;
    *text = end;
    return true;
}

bool threshold_parse(const char *text, struct threshold *threshold)
{
    struct threshold found = {.start = 0, .end = INFINITY};
    double number = 0;
    if (*text == '@') {
        found.inside = true;
        text++;
    }
    bool has_start = false;
    if (*text == '~') {
        found.start = -INFINITY;
        has_start = true;
        text++;
    } else if (parse_number(&text, &number)) {
        if (*text == '\0') {
            found.end = number;
            *threshold = found;
            return number >= 0;
        }
        found.start = number;
        has_start = true;
    }
    if (*text++ != ':')
        return false;
    if (*text != '\0' && !parse_number(&text, &found.end))
        return false;
    if (*text != '\0' || found.start > found.end || (!has_start && isinf(found.end)))
        return false;
    *threshold = found;
    return true;
}

bool threshold_alerts(const struct threshold *threshold, double value)
{
    const bool within = value >= threshold->start && value <= threshold->end;
    return within == threshold->inside;
}
