// SPDX-License-Identifier: MIT
/*
 * The direction of the current in the Daly protocols, on which firmwares disagree.
 */
#pragma once

#include "bms/driver.h"

/* The meaning of a raw current above 30000; also the factor from (raw - 30000) / 10 to our sign. */
enum daly_polarity {
    DALY_ABOVE_DISCHARGES = -1,
    DALY_POLARITY_UNKNOWN = 0,
    DALY_ABOVE_CHARGES = 1
};

/* What was learned about one pack, a member of the driver's memory. All zeros: nothing. */
struct daly_current {
    int8_t learned; /* enum daly_polarity */
};

/** Sets CURRENT_A. `offset_a` is (raw - 30000) / 10 with the sign of the wire; FLOW in `pack` must
 * be of the same cycle or unknown. `usual` is the protocol's default; `option` overrides the
 * detection: NORMAL uses `usual` and INVERTED the opposite, whatever direction the BMS reports. A
 * NaN offset makes the current unknown. */
void daly_current_settle(struct daly_current *notes, struct pack *pack, double offset_a,
                         enum daly_polarity usual, enum bms_current option);
