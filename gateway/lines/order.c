// SPDX-License-Identifier: MIT
/* Switching the MOS of a pack. */
#include "order.h"

#include <stdio.h>
#include <string.h>

/* The switch that is next, or CONTROL_SWITCHES when all are through. */
static unsigned next_switch(const struct control *control)
{
    unsigned which = 0;
    while (which < CONTROL_SWITCHES && !control->switches.wanted[which])
        which++;
    return which;
}

enum control_result control_build(struct control *control)
{
    struct bms *bms = &control->poller->bms;
    unsigned which = next_switch(control);
    if (which == CONTROL_SWITCHES)
        return CONTROL_DONE;
    control->request.size = 0;
    bool built = bms->driver->control(bms, (enum bms_switch) which, control->switches.on[which],
                                      &control->request);
    return built ? CONTROL_PENDING : CONTROL_NOT_NOW;
}

/* After a refusal some drivers know a second way (JBD: FB instead of E1). The same request is
 * never sent twice. */
static enum control_result try_other_way(struct control *control)
{
    struct bms_request before = control->request;
    enum control_result result = control_build(control);
    bool same = before.size == control->request.size &&
                memcmp(before.bytes, control->request.bytes, before.size) == 0;
    return result == CONTROL_PENDING && !same ? CONTROL_PENDING : CONTROL_REFUSED;
}

enum control_result control_settle(struct control *control, enum feed_state answer)
{
    switch (answer) {
    case FEED_DONE:
        control->switches.wanted[next_switch(control)] = false;
        return next_switch(control) == CONTROL_SWITCHES ? CONTROL_DONE : CONTROL_PENDING;
    case FEED_REFUSED:
        return try_other_way(control);
    case FEED_WAITING:
        break;
    }
    return CONTROL_UNANSWERED;
}

const char *switches_format(const struct switches *switches, char out[SWITCHES_TEXT])
{
    static const char *const names[CONTROL_SWITCHES] = {
        [BMS_CHARGE_MOS] = "charge", [BMS_DISCHARGE_MOS] = "discharge"};
    out[0] = '\0';
    for (unsigned i = 0; i < CONTROL_SWITCHES; i++) {
        size_t used = strlen(out);
        if (switches->wanted[i])
            snprintf(out + used, SWITCHES_TEXT - used, "%s%s %s", used ? ", " : "", names[i],
                     switches->on[i] ? "on" : "off");
    }
    return out;
}
