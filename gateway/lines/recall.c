// SPDX-License-Identifier: MIT
/* What was asked of one pack in the last seconds, and what came in answer. */
#include "recall.h"

#include <math.h>

/* The n-th from the last, which is 0; NULL: there are not so many, or it is too long ago. */
static const struct recall_entry *entry(const struct recall *recall, unsigned n, double now)
{
    if (n >= recall->count)
        return NULL;
    const struct recall_entry *found =
        &recall->list[(recall->next + 2 * RECALL_MOST - 1 - n) % RECALL_MOST];
    return now - found->at <= RECALL_S ? found : NULL;
}

void recall_ask(struct recall *recall, uint32_t asked, double now)
{
    recall->list[recall->next] = (struct recall_entry){.at = now, .asked = asked};
    recall->next = (recall->next + 1) % RECALL_MOST;
    if (recall->count < RECALL_MOST)
        recall->count++;
}

void recall_answer(struct recall *recall, uint32_t asked, double at, uint32_t reply)
{
    for (unsigned i = 0; i < recall->count; i++) {
        struct recall_entry *sent = &recall->list[i];
        if (sent->asked == asked && sent->at == at)
            sent->reply = reply;
    }
}

static bool can_be(const struct recall_entry *sent, uint32_t reply)
{
    return sent->reply == reply || sent->reply == 0;
}

bool recall_suspects(const struct recall *recall, uint32_t asked, double at, uint32_t reply)
{
    const struct recall_entry *sent;
    for (unsigned n = 0; (sent = entry(recall, n, at)); n++)
        if (sent->asked == asked && sent->at < at && can_be(sent, reply))
            return true;
    return false;
}

bool recall_knows(const struct recall *recall, uint32_t asked, double at, uint32_t reply)
{
    const struct recall_entry *sent;
    for (unsigned n = 0; (sent = entry(recall, n, at)); n++)
        if (sent->asked == asked && sent->at < at && sent->reply == reply)
            return true;
    return false;
}

bool recall_returns(const struct recall *recall, uint32_t asked, double at, uint32_t reply)
{
    const struct recall_entry *sent;
    bool other = false;
    for (unsigned n = 0; (sent = entry(recall, n, at)); n++) {
        if (sent->asked != asked || sent->at >= at || sent->reply == 0)
            continue;
        if (other && sent->reply == reply)
            return true;
        other |= sent->reply != reply;
    }
    return false;
}

bool recall_suspects_talk(const struct recall *recall, double now, uint32_t reply)
{
    const struct recall_entry *said;
    bool other = false;
    for (unsigned n = 0; (said = entry(recall, n, now)); n++) {
        if (said->reply == 0 || (other && said->reply == reply))
            return true;
        other |= said->reply != reply;
    }
    return false;
}

/* An answer that had come before was no answer, if a better one follows: the request is as good as open, and what was
 * taken for its answer was on its way since this other one. */
static double taken_for_another(const struct recall *recall, uint32_t asked, double until,
                                double now)
{
    const struct recall_entry *sent, *last = NULL;
    for (unsigned n = 0; (sent = entry(recall, n, now)); n++) {
        if (sent->asked != asked || sent->at >= until)
            continue;
        if (!last)
            last = sent;
        else if (sent->reply == last->reply)
            return sent->at;
    }
    return NAN;
}

double recall_asked_for(const struct recall *recall, uint32_t asked, double until, double now,
                        uint32_t reply)
{
    const struct recall_entry *sent;
    for (unsigned n = 0; (sent = entry(recall, n, now)); n++)
        if (sent->asked == asked && sent->at < until && can_be(sent, reply))
            return sent->at;
    return taken_for_another(recall, asked, until, now);
}

double recall_first(const struct recall *recall, uint32_t asked, double since, double now,
                    uint32_t reply)
{
    const struct recall_entry *sent;
    double first = now;
    for (unsigned n = 0; (sent = entry(recall, n, now)); n++)
        if (sent->asked == asked && sent->at >= since && can_be(sent, reply))
            first = fmin(first, sent->at);
    return first;
}

uint32_t recall_hash(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619;
    return hash ? hash : 1;
}
