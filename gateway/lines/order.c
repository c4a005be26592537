// SPDX-License-Identifier: MIT
#include "order.h"

#include "plan.h"

#include <math.h>
#include <string.h>

#define SOC_DRIFT_PERCENT 0.5

/* The switch that is next, or ORDER_SWITCHES when all are through. */
static unsigned next_switch(const struct order *order)
{
    unsigned which = 0;
    while (which < ORDER_SWITCHES && !order->switches.wanted[which])
        which++;
    return which;
}

/* Rounds the value to whole steps. With steps of 1 or more, such as a switch has, it must fit exactly. */
enum order_result order_check(const struct bms_driver *driver, struct switches *switches)
{
    if (!switches->sets)
        return driver->control ? ORDER_PENDING : ORDER_NOT_ALLOWED;
    const struct bms_setting *setting = bms_setting_find(driver, switches->setting);
    if (!setting)
        return ORDER_NO_SETTING;
    double value = switches->value;
    double rounded = round(value / setting->step) * setting->step;
    bool fits =
        value >= setting->min && value <= setting->max && (setting->step < 1 || rounded == value);
    if (!fits)
        return ORDER_OUT_OF_RANGE;
    switches->value = rounded;
    return ORDER_PENDING;
}

static enum order_result look(struct order *order)
{
    order->looking = true;
    order->looks = 0;
    return ORDER_LOOK;
}

static const struct bms_setting *setting_of(const struct order *order)
{
    return bms_setting_find(order->poller->bms.driver, order->switches.setting);
}

static bool is_too_late(const struct order *order, double now)
{
    /* A setting is read before it is written. */
    return now - order->queued_at > (order->switches.sets ? 2 * ORDER_VALID_S : ORDER_VALID_S);
}

/* Within half a step: a reading is a whole number of steps and cannot be nearer. */
static bool is_set(const struct order *order, double reading)
{
    return fabs(reading - order->switches.value) <= 0.51 * setting_of(order)->step;
}

/* Checks the present value of the setting. ORDER_PENDING: it is known and differs, so write it. If
 * an earlier order may still be carried out (`open`), the value is written even if it is set
 * already, so that it has the last word. */
static enum order_result learn_setting(struct order *order, double since, bool open)
{
    double reading = poller_read_since(order->poller, order->switches.setting, since);
    if (isnan(reading))
        return ORDER_LOOK;
    order->switches.before = reading;
    return !open && is_set(order, reading) ? ORDER_DONE : ORDER_PENDING;
}

static unsigned last_part(const struct order *order)
{
    const unsigned parts = order->switches.sets ? setting_of(order)->parts : 0;
    return parts > 1 ? parts - 1 : 0;
}

/* Skips the parts of a setting that are left, but not the last one, which brings the device back. */
static void skip_parts(struct order *order, enum order_result fault)
{
    order->fault = fault;
    order->part = last_part(order);
}

static bool build_part(struct order *order, const struct bms_moment *local)
{
    struct bms *bms = &order->poller->bms;
    const struct switches *switches = &order->switches;
    bool built = bms->driver->set(bms, switches->setting, switches->value, order->part, local,
                                  &order->request);
    /* A doubtful answer will be forgotten; that the device may be in another mode since will not. */
    order->poller->before = *bms;
    return built;
}

enum order_result order_build(struct order *order, const struct bms_moment *local, bool open,
                              double now)
{
    struct bms *bms = &order->poller->bms;
    const struct switches *switches = &order->switches;
    unsigned which = next_switch(order);
    if (!switches->sets && which == ORDER_SWITCHES)
        return ORDER_DONE;
    if (order->part == 0 && is_too_late(order, now))
        return order->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE;
    if (switches->sets && isnan(switches->before)) {
        enum order_result result = learn_setting(order, now - ORDER_VALID_S, open);
        order->sent_at = now;
        if (result != ORDER_PENDING)
            return result == ORDER_LOOK ? look(order) : result;
    }
    order->request.size = 0;
    order->sent_at = now;
    order->poller->before = *bms;
    if (!switches->sets)
        return bms->driver->control(bms, (enum bms_switch) which, switches->on[which],
                                    &order->request)
                   ? ORDER_PENDING
                   : ORDER_NOT_NOW;
    const unsigned last = last_part(order);
    if (order->part > 0 && order->part < last && is_too_late(order, now))
        skip_parts(order, ORDER_UNANSWERED);
    bool built = build_part(order, local);
    if (!built && order->part > 0 && order->part < last) {
        skip_parts(order, ORDER_NOT_NOW);
        built = build_part(order, local);
    }
    return built ? ORDER_PENDING : ORDER_NOT_NOW;
}

/* One switch is in its position: the other one follows, if it is wanted. */
static enum order_result go_on(struct order *order)
{
    order->switches.wanted[next_switch(order)] = false;
    order->repeated = false;
    return next_switch(order) == ORDER_SWITCHES ? ORDER_DONE : ORDER_PENDING;
}

/* A part that was refused was not written; one that stayed unanswered may have been. */
static enum order_result settle_setting(struct order *order, bool answered, bool denied)
{
    const unsigned last = last_part(order);
    if (order->part < last && answered)
        order->part++;
    else if (order->part < last)
        skip_parts(order, denied ? ORDER_REFUSED : ORDER_UNANSWERED);
    else if (last == 0 && denied)
        return ORDER_REFUSED;
    else if (last == 0 || answered || denied || ++order->returns >= SETTING_RETURNS)
        return order->fault == ORDER_PENDING || order->fault == ORDER_UNANSWERED ? look(order)
                                                                                 : order->fault;
    return ORDER_PENDING;
}

enum order_result order_settle(struct order *order, enum reply_state answer, bool single,
                               double now)
{
    struct poller *poller = order->poller;
    /* While nothing is known of the pack, an answer may be the echo of its line. */
    bool doubtful = poller->bms.driver->control_blindly || poller->presence.forgotten || !single;
    bool waits = answer == REPLY_WAITING || doubtful;
    /* The driver also forgets what a doubtful answer has taught it. */
    if (waits && order->part == last_part(order))
        poller->bms = poller->before;
    if (order->switches.sets)
        return settle_setting(order, answer == REPLY_DONE, answer == REPLY_REFUSED && !doubtful);
    if (waits)
        return look(order);
    if (answer == REPLY_DONE)
        return go_on(order);
    /* Some drivers have a second request (JBD: FB for E1). The same one is never sent twice. */
    const struct bms_request before = order->request;
    const bool built = order_build(order, NULL, false, now) == ORDER_PENDING;
    return built && !bms_request_same(&before, &order->request) ? ORDER_PENDING : ORDER_REFUSED;
}

enum order_result order_look(struct order *order, bool open, double now)
{
    const bool sets = order->switches.sets;
    const bool last = ++order->looks >= (sets ? SETTING_LOOKS : ORDER_LOOKS);
    if (sets && isnan(order->switches.before)) {
        enum order_result result = learn_setting(order, order->sent_at, open);
        order->looking = result == ORDER_LOOK && !last;
        return result == ORDER_LOOK && last ? ORDER_NOT_NOW : result;
    }
    /* Published values may be from before the order, if no cycle has ended since. */
    const struct switches *switches = &order->switches;
    const unsigned which = next_switch(order);
    const enum pack_value id = sets                      ? switches->setting
                               : which == BMS_CHARGE_MOS ? CHARGE_MOS
                                                         : DISCHARGE_MOS;
    const double reading = poller_read_since(order->poller, id, order->sent_at);
    const double off = fabs(reading - switches->value);
    /* A flowing charge moves the SOC that was set: a reading that came this near to it is enough. */
    const bool moved = sets && id == SOC_PERCENT &&
                       off <= fmax(SOC_DRIFT_PERCENT, setting_of(order)->step) &&
                       off < fabs(switches->before - switches->value);
    const bool done = sets ? moved || is_set(order, reading) : reading == switches->on[which];
    if (!done && !last)
        return ORDER_LOOK;
    order->looking = false;
    if (done)
        return sets ? ORDER_DONE : go_on(order);
    if (order->repeated || is_too_late(order, now))
        return ORDER_UNANSWERED;
    order->repeated = true;
    order->part = order->returns = 0;
    order->fault = ORDER_PENDING;
    return ORDER_PENDING;
}

struct order *order_queue_next(const struct order_queue *queue)
{
    struct order *order = TAILQ_FIRST(queue);
    while (order && (order->looking || plan_is_due_first(order->poller)))
        order = TAILQ_NEXT(order, entry);
    return order;
}

/* A pack to which something was sent is read anew. */
static void end_order(struct order_queue *queue, struct order *order, enum order_result result,
                      double now)
{
    TAILQ_REMOVE(queue, order, entry);
    if (order->request.size > 0)
        plan_reread(order->poller, NULL, now);
    order->done(order->data, result);
}

void order_queue_end(struct order_queue *queue, double now)
{
    for (struct order *order; (order = TAILQ_FIRST(queue));)
        end_order(queue, order, order->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE, now);
}

void order_queue_go_on(struct order_queue *queue, struct order *order, enum order_result result,
                       double now)
{
    if (result == ORDER_LOOK)
        plan_reread(order->poller, order->switches.sets ? &order->switches.setting : NULL, now);
    else if (result != ORDER_PENDING)
        end_order(queue, order, result, now);
}

void order_queue_look_back(struct order_queue *queue, const struct poller *poller, bool open,
                           double now)
{
    struct order *order = TAILQ_FIRST(queue);
    while (order && (!order->looking || order->poller != poller))
        order = TAILQ_NEXT(order, entry);
    if (order)
        order_queue_go_on(queue, order, order_look(order, open, now), now);
}
