// SPDX-License-Identifier: MIT
/* From a value to the number in a register, for the rows of views and pushes. Pure. */
#pragma once

#include "config/config.h"

/** Whether the row shows a limit, of which a register must not represent more. */
bool row_is_limit(const struct register_row *row);

/** The value translated and scaled, and within the row's bounds; NaN: unknown. */
double row_number(const struct register_row *row, double value);
