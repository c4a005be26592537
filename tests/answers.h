// SPDX-License-Identifier: MIT
/* For tests that answer a poller without a line: the reply belongs to the request in flight. */
#pragma once

#include "lines/plan.h"

/* Decodes the reply into poller->incoming, which is cleared first. */
static inline bool next_request(struct poller *poller, double now, struct bms_request *request,
                                bool *published)
{
    pack_clear(&poller->incoming);
    return plan_request(poller, now, request, published);
}

static inline struct plan_reply reply_in_flight(const struct poller *poller)
{
    const struct poller_cycle *cycle = &poller->cycle;
    return (struct plan_reply){cycle->step, cycle->asked_at, cycle->asked_at, true};
}

static inline void answer_request(struct poller *poller, double now)
{
    const struct plan_reply reply = reply_in_flight(poller);
    plan_answered(poller, &reply, now);
}

static inline void refuse_request(struct poller *poller, double now)
{
    const struct plan_reply reply = reply_in_flight(poller);
    plan_refused(poller, &reply, now);
}
