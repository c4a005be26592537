// SPDX-License-Identifier: MIT
/* Which registers of a push are due. */
#include "push_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Readings in steps of 0.1 differ by 0.1000000000000014: a step as large as the dead band is
 * inside of it. */
#define ROUNDING 1e-9

bool push_plan_init(struct push_plan *plan, const struct push_config *config, push_find *find,
                    const void *data, double counts_from, double now)
{
    *plan = (struct push_plan){.config = config, .started_at = now, .counts_from = counts_from};
    plan->items = calloc(config->write_count, sizeof *plan->items);
    if (!plan->items)
        return false;
    for (unsigned i = 0; i < config->write_count; i++) {
        struct push_item *item = &plan->items[i];
        item->write = &config->writes[i];
        if (item->write->what == PUSH_SECONDS)
            continue;
        item->source = find(data, item->write->source);
        if (!item->source)
            return false;
    }
    plan->count = config->write_count;
    return true;
}

void push_plan_close(struct push_plan *plan)
{
    free(plan->items);
    *plan = (struct push_plan){0};
}

void push_plan_all(struct push_plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++)
        plan->items[i].due = true;
}

/* NaN: stale or not known. */
static double value_now(const struct push_plan *plan, const struct push_item *item, double now)
{
    const struct source *source = item->source;
    if (item->write->what == PUSH_SECONDS)
        return (uint16_t) (uint64_t) (now - plan->counts_from); /* wraps, as in the register map */
    const bool fresh = source_fresh(source, now);
    if (item->write->what == PUSH_FRESH)
        return fresh;
    if (!fresh && !value_traits(&item->write->value).is_status)
        return NAN;
    return value_of(&item->write->value, source->values, &source->status);
}

/* What the item would put into its registers. After the start a pack gets the time to answer
 * before it is told to the target as missing. */
static enum push_encoded encode(const struct push_plan *plan, const struct push_item *item,
                                double now, double *value, uint16_t words[2])
{
    *value = value_now(plan, item, now);
    if (isnan(*value) && !item->ever_known && item->source &&
        now - plan->started_at < item->source->settle_s)
        return PUSH_NOTHING;
    return push_encode(item->write, *value, words);
}

static bool has_changed(const struct push_plan *plan, const struct push_item *item, double value,
                        const uint16_t words[2])
{
    if (!item->sent || isnan(value) != isnan(item->sent_value))
        return true;
    bool matters = plan->config->on_change || item->write->what == PUSH_FRESH;
    if (!matters || isnan(value))
        return false;
    return memcmp(words, item->sent_words, sizeof item->sent_words) != 0 &&
           fabs(value - item->sent_value) > item->write->deadband * (1 + ROUNDING);
}

void push_plan_changes(struct push_plan *plan, const struct source *source, double now)
{
    for (unsigned i = 0; i < plan->count; i++) {
        struct push_item *item = &plan->items[i];
        double value;
        uint16_t words[2] = {0};
        if (source && item->source && item->source != source)
            continue;
        if (encode(plan, item, now, &value, words) == PUSH_NOTHING)
            item->due |= item->sent && !isnan(item->sent_value);
        else
            item->due |= has_changed(plan, item, value, words);
    }
}

static bool single(const struct push_plan *plan)
{
    return plan->config->function == PUSH_SINGLE;
}

/* Puts the item behind the span; false: it is no neighbour, does not fit, or is to be skipped. */
static bool append(const struct push_plan *plan, const struct push_item *item, double now,
                   struct push_span *span)
{
    unsigned size = map_types[item->write->type].registers;
    unsigned most = single(plan) ? 1 : PUSH_REGISTERS_MAX;
    uint16_t words[2];
    double value;
    if (span->count > 0 &&
        (item->write->address != span->address + span->size || span->size + size > most))
        return false;
    if (encode(plan, item, now, &value, words) == PUSH_NOTHING)
        return false;
    memcpy(span->words + span->size, words, size * sizeof *words);
    span->size += size;
    span->count++;
    return true;
}

/* The neighbours from `first` on, up to the last that is due: one request with a few unchanged
 * registers in between is better than two. */
static bool gather(const struct push_plan *plan, unsigned first, double now, struct push_span *span)
{
    unsigned count = 0, size = 0;
    *span = (struct push_span){.first = first, .address = plan->items[first].write->address};
    for (unsigned i = first; i < plan->count && append(plan, &plan->items[i], now, span); i++)
        if (plan->items[i].due) {
            count = span->count;
            size = span->size;
        }
    span->count = count;
    span->size = size;
    return count > 0;
}

static void mark_sent(const struct push_plan *plan, struct push_item *item, double now)
{
    item->clipped = encode(plan, item, now, &item->sent_value, item->sent_words) == PUSH_CLIPPED;
    item->ever_known |= !isnan(item->sent_value);
    item->sent = true;
    item->due = false;
}

bool push_plan_take(struct push_plan *plan, double now, struct push_span *span)
{
    for (unsigned n = 0; n < plan->count; n++) {
        unsigned first = (plan->cursor + n) % plan->count;
        if (!plan->items[first].due || !gather(plan, first, now, span))
            continue;
        for (unsigned i = 0; i < span->count; i++)
            mark_sent(plan, &plan->items[first + i], now);
        plan->cursor = (first + span->count) % plan->count;
        return true;
    }
    plan->cursor = 0; /* so that neighbours, when they come due together, go together */
    return false;
}

void push_plan_lost(struct push_plan *plan, const struct push_span *span)
{
    for (unsigned i = 0; i < span->count; i++) {
        plan->items[span->first + i].sent = false;
        plan->items[span->first + i].due = true;
    }
}
