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

static inline void take_answer(struct poller *poller, enum bms_result result, double now)
{
    const struct poller_cycle *cycle = &poller->cycle;
    const struct answer answer = {.oldest = {.step = cycle->step, .sent_at = cycle->asked_at},
                                  .newest_at = cycle->asked_at,
                                  .result = result};
    plan_answered(poller, &answer, true, now);
}

static inline void answer_request(struct poller *poller, double now)
{
    take_answer(poller, BMS_DONE, now);
}

static inline void refuse_request(struct poller *poller, double now)
{
    take_answer(poller, BMS_REFUSED, now);
}
