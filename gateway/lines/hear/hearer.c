// SPDX-License-Identifier: MIT
#include "hearer.h"

#include "lines/plan.h"

#include <math.h>

#define TALK_S 1.0 /* from one set of a talker to the next: all known ones do so */

static void await(struct member *member, double now)
{
    member->missed_at = now + poller_stale_after(member->poller);
}

void hearer_due(struct hearer *hearer, double now)
{
    struct turns *turns = hearer->turns;
    double next = hearer->listener ? listener_wait(hearer->listener, now) : INFINITY;
    for (unsigned i = 0; i < turns->count; i++) {
        struct member *member = &turns->list[i];
        if (now >= member->missed_at) {
            await(member, now);
            poller_unheard(member->poller);
            if (isnan(member->missing_since))
                member->missing_since = now;
            turns_missed(turns, member, now);
        }
        next = fmin(next, member->missed_at);
    }
    if (wire_is_deaf(turns->wire, now))
        wire_reopen(turns->wire, "nothing was received, opening it again", now);
    else
        wire_wait(turns->wire, next, now);
}

/* New values of one of the packs. */
static void on_heard(void *data, struct poller *poller, double now)
{
    struct hearer *hearer = data;
    struct turns *turns = hearer->turns;
    struct member *member = turns_find(turns, poller);
    await(member, now);
    turns_published(turns, member, now);
}

static void hear_talk(struct hearer *hearer, const uint8_t *bytes, size_t size, double now)
{
    static const struct bms_request nothing;
    struct member *member = &hearer->turns->list[0];
    struct poller *poller = member->poller;
    const double late_s = hearer->lag.late_s;
    mask_received(&hearer->turns->wire->mask, &poller->bms, bytes, size);
    reply_append(&hearer->buffer, bytes, size);
    const struct reply_counters before = hearer->buffer.counters;
    while (reply_decode(&hearer->buffer, &poller->bms, &nothing, false, &poller->incoming) ==
           REPLY_DONE) {
        await(member, now);
        if (now - late_s < poller->published_at) /* older than what was published already */
            pack_clear(&poller->incoming);
        else if (poller_heard(poller, now, late_s))
            on_heard(hearer, poller, now);
    }
    member->noisy |= plan_count_damage(poller, &before, &hearer->buffer.counters, now);
}

/* Radio loses bytes but does not hold them up. In a search everything counts, however old it is. */
static bool may_lag(const struct wire *wire)
{
    return !port_traits(wire->port)->prompt && !wire->config->any_age;
}

void hearer_received(struct hearer *hearer, const uint8_t *bytes, size_t size, double now)
{
    struct wire *wire = hearer->turns->wire;
    const double stale_s = poller_stale_after(hearer->turns->list[0].poller);
    /* The port is reopened once in a while only, but before values become stale for that reason. */
    if (may_lag(wire) && lag_heard(&hearer->lag, now) && !(now - hearer->afresh_at < stale_s / 2)) {
        hearer->afresh_at = now;
        wire_reopen(wire, "it was silent, and what comes now may be old", now);
        return;
    }
    if (now < hearer->deaf_until)
        return;
    if (hearer->listener)
        listener_take(hearer->listener, bytes, size, now, hearer->lag.late_s);
    else
        hear_talk(hearer, bytes, size, now);
    hearer_due(hearer, now);
}

void hearer_opened(struct hearer *hearer, double now)
{
    struct turns *turns = hearer->turns;
    turns->wire->health.unheard_since = now;
    const struct port_traits *traits = port_traits(turns->wire->port);
    const bool clean = !hearer->listener && traits->forgets && !traits->stores;
    hearer->deaf_until = may_lag(turns->wire) && !clean ? now + QUIET_S : now;
    lag_opened(&hearer->lag, now);
    reply_clear(&hearer->buffer);
    if (hearer->listener)
        listener_reset(hearer->listener);
    for (unsigned i = 0; i < turns->count; i++)
        await(&turns->list[i], now);
    hearer_due(hearer, now);
}

void hearer_init(struct hearer *hearer, struct turns *turns)
{
    const bool talks = bms_talks(turns->list[0].poller->config->driver);
    *hearer = (struct hearer){.turns = turns, .afresh_at = NAN};
    lag_init(&hearer->lag, TALK_S, !talks);
    if (!talks)
        hearer->listener = listener_new(turns, on_heard, hearer);
}
