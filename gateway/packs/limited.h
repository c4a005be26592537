// SPDX-License-Identifier: MIT
/* What limits a pack or a bank, for people: which pack of the bank, and which of its cells. */
#ifndef PACKGATE_PACKS_LIMITED_H
#define PACKGATE_PACKS_LIMITED_H

#include "limits.h"
#include "source.h"

struct limited {
    double amps; /* what is allowed */
    enum limit_reason by;
    const char *pack; /* of a bank, its name; NULL: no single one */
    unsigned cell;    /* highest or lowest, where one limits; 0: none, or its number is not known */
    double cell_v;    /* its voltage; NaN: none */
};

/** `allowed`: as map_allowed gives it for the source. */
struct limited limited_of(const struct source *source, const struct map_allowed *allowed,
                          enum limits_direction direction);

#endif
