// SPDX-License-Identifier: MIT
/* Switching the MOS of a pack. */
#include "order.h"

#include <stdio.h>
#include <string.h>

/* The switch that is next, or ORDER_SWITCHES when all are through. */
static unsigned next_switch(const struct order *order)
{
    unsigned which = 0;
    while (which < ORDER_SWITCHES && !order->switches.wanted[which])
        which++;
    return which;
}

enum order_result order_build(struct order *order)
{
    struct bms *bms = &order->poller->bms;
    unsigned which = next_switch(order);
    if (which == ORDER_SWITCHES)
        return ORDER_DONE;
    order->request.size = 0;
    bool built = bms->driver->control(bms, (enum bms_switch) which, order->switches.on[which],
                                      &order->request);
    return built ? ORDER_PENDING : ORDER_NOT_NOW;
}

/* After a refusal some drivers know a second way (JBD: FB instead of E1). The same request is
 * never sent twice. */
static enum order_result try_other_way(struct order *order)
{
    struct bms_request before = order->request;
    enum order_result result = order_build(order);
    bool same = before.size == order->request.size &&
                memcmp(before.bytes, order->request.bytes, before.size) == 0;
    return result == ORDER_PENDING && !same ? ORDER_PENDING : ORDER_REFUSED;
}

enum order_result order_settle(struct order *order, enum reply_state answer)
{
    switch (answer) {
    case REPLY_DONE:
        order->switches.wanted[next_switch(order)] = false;
        return next_switch(order) == ORDER_SWITCHES ? ORDER_DONE : ORDER_PENDING;
    case REPLY_REFUSED:
        return try_other_way(order);
    case REPLY_WAITING:
        break;
    }
    return ORDER_UNANSWERED;
}

const char *switches_format(const struct switches *switches, char out[SWITCHES_TEXT])
{
    static const char *const names[ORDER_SWITCHES] = {
        [BMS_CHARGE_MOS] = "charge", [BMS_DISCHARGE_MOS] = "discharge"};
    out[0] = '\0';
    for (unsigned i = 0; i < ORDER_SWITCHES; i++) {
        size_t used = strlen(out);
        if (switches->wanted[i])
            snprintf(out + used, SWITCHES_TEXT - used, "%s%s %s", used ? ", " : "", names[i],
                     switches->on[i] ? "on" : "off");
    }
    return out;
}
