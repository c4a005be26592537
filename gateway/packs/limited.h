// SPDX-License-Identifier: MIT
/* What limits a pack or a bank, for status and messages: the pack of the bank, and its cell. */
#pragma once

#include "limits.h"
#include "source.h"

struct limited {
    double amps; /* what is allowed */
    enum limit_reason by;
    const char *pack; /* name of the limiting pack of a bank; NULL: no single one */
    unsigned cell;    /* limiting cell, highest or lowest; 0: none, or unknown */
    double cell_v;    /* its voltage; NaN: none */
};

/** `allowed`: what map_allowed returns for the source. */
struct limited limited_of(const struct source *source, const struct map_allowed *allowed,
                          enum limits_direction direction);
