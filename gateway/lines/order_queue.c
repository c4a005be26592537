// SPDX-License-Identifier: MIT
/* The orders of a line. */
#include "order_queue.h"

#include "plan.h"

void order_queue_add(struct order_queue *queue, struct order *order, double now)
{
    struct order **last = &queue->first;
    while (*last)
        last = &(*last)->next;
    order->queued_at = now;
    order->next = NULL;
    *last = order;
}

struct order *order_queue_next(const struct order_queue *queue)
{
    struct order *order = queue->first;
    while (order && (order->looking || plan_is_due_first(order->poller)))
        order = order->next;
    return order;
}

/* A pack to which something was sent is read anew. */
static void end_order(struct order_queue *queue, struct order *order, enum order_result result,
                      double now)
{
    struct order **link = &queue->first;
    while (*link != order)
        link = &(*link)->next;
    *link = order->next;
    if (order->request.size > 0)
        plan_reread_all(order->poller, now);
    order->done(order->data, result);
}

void order_queue_end(struct order_queue *queue, double now)
{
    while (queue->first)
        end_order(queue, queue->first,
                  queue->first->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE, now);
}

void order_queue_go_on(struct order_queue *queue, struct order *order, enum order_result result,
                       double now)
{
    if (result == ORDER_LOOK && order->switches.sets)
        plan_reread_value(order->poller, order->switches.setting, now);
    else if (result == ORDER_LOOK)
        plan_reread_all(order->poller, now);
    else if (result != ORDER_PENDING)
        end_order(queue, order, result, now);
}

void order_queue_look_back(struct order_queue *queue, const struct poller *poller, bool open,
                           double now)
{
    struct order *order = queue->first;
    while (order && (!order->looking || order->poller != poller))
        order = order->next;
    if (order)
        order_queue_go_on(queue, order, order_look(order, open, now), now);
}
