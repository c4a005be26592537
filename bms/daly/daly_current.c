// SPDX-License-Identifier: MIT
/*
 * Direction of the current in the Daly protocols: the sheets `daly`, section 8 and `daly-d2`,
 * section 6. The state of the same cycle decides; if it says idle, the polarity learned earlier is
 * used; before that, the protocol's default.
 */
#include "daly_current.h"

#include <math.h>

static const double LEARN_FROM_A = 1; /* A; below, noise around zero can have either sign */

void daly_current_settle(struct daly_current *notes, struct pack *pack, double offset_a,
                         enum daly_polarity usual, enum bms_current option)
{
    if (isnan(offset_a)) {
        pack_unset(pack, CURRENT_A);
        return;
    }
    int polarity = option == BMS_CURRENT_INVERTED ? -usual : usual;
    const double flow = pack->value[FLOW];
    if (option == BMS_CURRENT_AUTO && (flow == FLOW_CHARGING || flow == FLOW_DISCHARGING)) {
        polarity =
            (offset_a > 0) == (flow == FLOW_CHARGING) ? DALY_ABOVE_CHARGES : DALY_ABOVE_DISCHARGES;
        if (fabs(offset_a) >= LEARN_FROM_A)
            notes->learned = (int8_t) polarity;
    } else if (option == BMS_CURRENT_AUTO && notes->learned != DALY_POLARITY_UNKNOWN) {
        polarity = notes->learned;
    }
    pack_set(pack, CURRENT_A, offset_a * polarity + 0.0); /* + 0.0: never minus zero */
}
