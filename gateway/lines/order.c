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

enum order_result order_build(struct order *order, double now)
{
    struct bms *bms = &order->poller->bms;
    unsigned which = next_switch(order);
    if (which == ORDER_SWITCHES)
        return ORDER_DONE;
    if (now - order->given_at > ORDER_VALID_S)
        return order->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE;
    order->request.size = 0;
    order->sent_at = now;
    order->poller->before = *bms;
    bool built = bms->driver->control(bms, (enum bms_switch) which, order->switches.on[which],
                                      &order->request);
    return built ? ORDER_PENDING : ORDER_NOT_NOW;
}

/* After a refusal some drivers know a second way (JBD: FB instead of E1). The same request is
 * never sent twice. */
static enum order_result try_other_way(struct order *order, double now)
{
    struct bms_request before = order->request;
    enum order_result result = order_build(order, now);
    bool same = before.size == order->request.size &&
                memcmp(before.bytes, order->request.bytes, before.size) == 0;
    return result == ORDER_PENDING && !same ? ORDER_PENDING : ORDER_REFUSED;
}

/* One switch is in its position: on with the other one, if it is wanted. */
static enum order_result go_on(struct order *order)
{
    order->switches.wanted[next_switch(order)] = false;
    order->repeated = false;
    return next_switch(order) == ORDER_SWITCHES ? ORDER_DONE : ORDER_PENDING;
}

/* What a doubtful answer has taught the driver is forgotten as well. */
static enum order_result begin_to_look(struct order *order)
{
    order->poller->bms = order->poller->before;
    order->looking = true;
    order->looks = 0;
    return ORDER_LOOK;
}

enum order_result order_settle(struct order *order, enum reply_state answer, double now)
{
    struct poller *poller = order->poller;
    /* What comes while nothing is known of the pack may be the echo of its line. */
    bool doubtful = poller->bms.driver->control_blindly || poller->forgotten ||
                    poller->disorder_s > 0 || now < poller->order_open_until;
    if (answer == REPLY_WAITING)
        poller->order_open_until = now + ORDER_LATE_S;
    if (answer == REPLY_WAITING || doubtful)
        return begin_to_look(order);
    return answer == REPLY_DONE ? go_on(order) : try_other_way(order, now);
}

enum order_result order_look(struct order *order, double now)
{
    unsigned which = next_switch(order);
    enum pack_value id = which == BMS_CHARGE_MOS ? CHARGE_MOS : DISCHARGE_MOS;
    /* Not what is published: that is of before the order while a cycle since did not come to its end. */
    bool done = poller_read_since(order->poller, id, order->sent_at) == order->switches.on[which];
    if (!done && ++order->looks < ORDER_LOOKS)
        return ORDER_LOOK;
    order->looking = false;
    if (done)
        return go_on(order);
    if (order->repeated || now - order->given_at > ORDER_VALID_S)
        return ORDER_UNANSWERED;
    order->repeated = true;
    return ORDER_PENDING;
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
