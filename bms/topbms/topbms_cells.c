// SPDX-License-Identifier: MIT
/* Checks whether the cells of a reply add up to the pack voltage. */
#include "topbms_cells.h"

#include "bms/bytes.h"

#include <math.h>

#define CELL_MV_MAX 6000
#define SUM_TOLERANCE 0.02

bool topbms_cells_fit(const uint8_t *cells, unsigned count, double volts)
{
    double sum = 0, highest = 0, missing = 0;
    for (unsigned i = 0; i < count; i++) {
        double mv = be16(cells + 2 * i);
        if (mv > CELL_MV_MAX)
            return false;
        sum += mv / 1000;
        highest = fmax(highest, mv / 1000);
        missing += mv == 0;
    }
    return sum > 0 && volts >= sum * (1 - SUM_TOLERANCE) &&
           volts <= (sum + missing * highest) * (1 + SUM_TOLERANCE);
}
