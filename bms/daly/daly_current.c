// SPDX-License-Identifier: MIT
/*
 * Direction of the current in the Daly protocols: the sheets `daly`, section 8 and `daly-d2`,
 * section 6. The state of the same cycle decides; if it says idle, the polarity learned earlier is
 * used; before that, the protocol's default.
 */
#include "daly_current.h"

#include <math.h>

static const double LEARN_FROM_A = 1; /* A; below, noise around zero can have either sign */

/* The polarity that follows from the state, given the sign on the wire. */
static enum daly_polarity polarity_of_state(double flow, double offset_a)
{
    bool above = offset_a > 0;
    if (flow == FLOW_CHARGING)
        return above ? DALY_ABOVE_CHARGES : DALY_ABOVE_DISCHARGES;
    if (flow == FLOW_DISCHARGING)
        return above ? DALY_ABOVE_DISCHARGES : DALY_ABOVE_CHARGES;
    return DALY_POLARITY_UNKNOWN;
}

static int find_polarity(struct daly_current *notes, double flow, double offset_a,
                         enum daly_polarity usual)
{
    enum daly_polarity stated = polarity_of_state(flow, offset_a);
    if (stated != DALY_POLARITY_UNKNOWN) {
        if (fabs(offset_a) >= LEARN_FROM_A)
            notes->learned = (int8_t) stated;
        return stated;
    }
    return notes->learned != DALY_POLARITY_UNKNOWN ? notes->learned : usual;
}

void daly_current_settle(struct daly_current *notes, struct pack *pack, double offset_a,
                         enum daly_polarity usual, enum bms_current option)
{
    if (isnan(offset_a)) {
        pack_unset(pack, CURRENT_A);
        return;
    }
    int polarity = option == BMS_CURRENT_INVERTED ? -usual : usual;
    if (option == BMS_CURRENT_AUTO)
        polarity = find_polarity(notes, pack->value[FLOW], offset_a, usual);
    pack_set(pack, CURRENT_A, offset_a * polarity + 0.0); /* + 0.0: never minus zero */
}
