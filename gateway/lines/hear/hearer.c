// SPDX-License-Identifier: MIT
/* A line on which we send no requests. */
#include "hearer.h"

#include "lines/cycle.h"
#include "lines/plan.h"

#include <math.h>
#include <stdlib.h>

#define TALK_S 1.0 /* from one set of a talker to the next: all known ones do so */

/* ---- silent packs ---- */

static void await(struct hearer *hearer, unsigned i, double now)
{
    hearer->missed_at[i] = now + poller_stale_after(hearer->turns->list[i].poller);
}

static void miss(struct hearer *hearer, unsigned i, double now)
{
    struct member *member = &hearer->turns->list[i];
    await(hearer, i, now);
    cycle_unheard(member->poller);
    if (isnan(member->missing_since))
        member->missing_since = now;
    hearer->events->missed(hearer->data, member, now);
}

void hearer_due(struct hearer *hearer, double now)
{
    double next = hearer->listener ? listener_wait(hearer->listener, now) : INFINITY;
    for (unsigned i = 0; i < hearer->turns->count; i++) {
        if (now >= hearer->missed_at[i])
            miss(hearer, i, now);
        next = fmin(next, hearer->missed_at[i]);
    }
    if (wire_is_deaf(hearer->wire, now))
        wire_reopen(hearer->wire, "nothing was received, opening it again", now);
    else
        wire_wait(hearer->wire, next, now);
}

/* ---- what comes ---- */

/* New values of one of the packs. */
static void on_heard(void *data, struct poller *poller, double now)
{
    struct hearer *hearer = data;
    struct member *member = turns_find(hearer->turns, poller);
    await(hearer, (unsigned) (member - hearer->turns->list), now);
    hearer->events->published(hearer->data, member, now);
}

static void on_shown(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct hearer *hearer = data;
    hearer->wire->mask.show(hearer->wire->mask.data, direction, bytes, size);
}

/* A set of values of a talker. What is older than what was published already is passed over. */
static void take_set(struct hearer *hearer, double now)
{
    struct poller *poller = hearer->turns->list[0].poller;
    await(hearer, 0, now);
    if (now - hearer->lag.late_s < poller->published_at)
        pack_clear(&poller->incoming);
    else if (cycle_heard(poller, now, hearer->lag.late_s))
        on_heard(hearer, poller, now);
}

static void hear_talk(struct hearer *hearer, const uint8_t *bytes, size_t size, double now)
{
    static const struct bms_request nothing;
    struct poller *poller = hearer->turns->list[0].poller;
    mask_received(&hearer->wire->mask, &poller->bms, bytes, size);
    reply_append(&hearer->buffer, bytes, size);
    const struct reply_counters before = hearer->buffer.counters;
    while (reply_decode(&hearer->buffer, &poller->bms, &nothing, false, &poller->incoming) ==
           REPLY_DONE)
        take_set(hearer, now);
    const struct reply_counters *after = &hearer->buffer.counters;
    uint32_t damaged = after->damaged - before.damaged + after->invalid - before.invalid;
    poller->counters.damaged += damaged;
    if (damaged > 0)
        plan_disturbed(poller, now);
    hearer->turns->list[0].noisy |= damaged > 0 || after->skipped_bytes != before.skipped_bytes;
}

/* Radio loses bytes but does not hold them up. In a search everything counts, however old it is. */
static bool may_lag(const struct hearer *hearer)
{
    return !port_is_prompt(hearer->wire->port) && !hearer->wire->config->any_age;
}

/* The port is reopened once in a while only, but before values become stale for that reason. */
static bool open_afresh(struct hearer *hearer, double now)
{
    if (now - hearer->afresh_at < poller_stale_after(hearer->turns->list[0].poller) / 2)
        return false;
    hearer->afresh_at = now;
    wire_reopen(hearer->wire, "it was silent, and what comes now may be old", now);
    return true;
}

void hearer_received(struct hearer *hearer, const uint8_t *bytes, size_t size, double now)
{
    if (may_lag(hearer) && lag_heard(&hearer->lag, now) && open_afresh(hearer, now))
        return;
    if (now < hearer->deaf_until)
        return;
    if (hearer->listener)
        listener_take(hearer->listener, bytes, size, now, hearer->lag.late_s);
    else
        hear_talk(hearer, bytes, size, now);
    hearer_due(hearer, now);
}

/* ---- life ---- */

void hearer_opened(struct hearer *hearer, bool away, double now)
{
    hearer->wire->health.unheard_since = now;
    const bool forgets = !hearer->listener && port_forgets(hearer->wire->port);
    hearer->deaf_until = may_lag(hearer) && !forgets ? now + QUIET_S : now;
    lag_opened(&hearer->lag, now);
    reply_clear(&hearer->buffer);
    if (hearer->listener)
        listener_reset(hearer->listener);
    for (unsigned i = 0; i < hearer->turns->count; i++) {
        hearer->turns->list[i].missing_since = NAN;
        await(hearer, i, now);
        if (away)
            poller_reset(hearer->turns->list[i].poller, now);
    }
    hearer_due(hearer, now);
}

bool hearer_init(struct hearer *hearer, struct wire *wire, struct turns *turns,
                 const struct asker_events *events, void *data)
{
    static const struct listener_events listener_events = {.heard = on_heard, .show = on_shown};
    const bool talks = bms_talks(turns->list[0].poller->config->driver);
    *hearer = (struct hearer){
        .wire = wire, .turns = turns, .events = events, .data = data, .afresh_at = NAN};
    lag_init(&hearer->lag, TALK_S, !talks);
    hearer->missed_at = calloc(turns->count, sizeof *hearer->missed_at);
    turns->listens = !talks;
    if (!talks)
        hearer->listener = listener_new(turns, wire->baud, &listener_events, hearer);
    return hearer->missed_at && (talks || hearer->listener);
}

void hearer_free(struct hearer *hearer)
{
    listener_free(hearer->listener);
    free(hearer->missed_at);
}
