// SPDX-License-Identifier: MIT
/* A line on which nobody is asked by us. */
#include "hearer.h"

#include "lines/cycle.h"
#include "lines/plan.h"

#include <math.h>
#include <stdlib.h>

#define WATCH_S 1.0  /* longest wait without a look at the clock */
#define AFRESH_S 5.0 /* between two openings for what may be late, if the one before helped, */
#define AFRESH_IN_VAIN_S 60.0 /* or if it did not */
#define HEARD_GAP_S 2.0       /* a master was held up, if it was silent for longer */
#define PAUSE_FACTOR 1.5      /* times its usual pause is held up, too */

/* What comes may have been held up on its way. Over a new connection nothing comes that was under way before. A delay
 * that is always there would be met again: then it is tried rarely, and what comes is taken for as old as it can be. */
static bool open_afresh(struct hearer *hearer, double now)
{
    double pause_s = hearer->afresh_helped ? AFRESH_S : AFRESH_IN_VAIN_S;
    if (now - hearer->afresh_at < pause_s)
        return false;
    hearer->afresh_at = now;
    hearer->afresh_helped = false;
    wire_reopen(hearer->wire, "it was silent, and what comes now may be old", now);
    return true;
}

/* ---- who is missed ---- */

static void await(struct hearer *hearer, unsigned i, double now)
{
    const struct poller *poller = hearer->turns->list[i].poller;
    hearer->missed_at[i] =
        now + (hearer->listener ? poller_stale_after(poller) : poller->config->stale_after_s);
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
    double next = now + WATCH_S;
    if (hearer->listener)
        next = fmin(next, listener_wait(hearer->listener, now));
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

/* ---- a device that talks ---- */

/* A set of values. What is older than what was published already is passed over. */
static void take_set(struct hearer *hearer, double now)
{
    struct member *member = &hearer->turns->list[0];
    struct poller *poller = member->poller;
    const double age_s = talk_said(&hearer->talk, now);
    await(hearer, 0, now);
    if (isinf(age_s) || now - age_s < poller->published_at)
        pack_clear(&poller->incoming);
    else if (cycle_heard(poller, now, age_s))
        hearer->events->published(hearer->data, member, now);
}

static void hear_talk(struct hearer *hearer, const uint8_t *bytes, size_t size, double now)
{
    static const struct bms_request nothing;
    struct poller *poller = hearer->turns->list[0].poller;
    if (!port_is_prompt(hearer->wire->port) && talk_heard(&hearer->talk, now) &&
        open_afresh(hearer, now))
        return;
    hearer->afresh_helped |= hearer->talk.lag_s == 0;
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
    hearer->turns->list[0].heard |= damaged > 0 || after->skipped_bytes != before.skipped_bytes;
}

/* ---- another master ---- */

/* A master that has its rounds is silent between them: two pauses that were alike, with less than
 * their length between them, are its habit. */
static void note_pause(struct hearer *hearer, double pause_s, double now)
{
    if (PAUSE_FACTOR * pause_s < HEARD_GAP_S)
        return;
    const bool rhythm = now - pause_s - hearer->pause.ended_at < pause_s;
    hearer->pause.usual_s = rhythm ? fmin(pause_s, hearer->pause.last_s) : 0;
    hearer->pause.last_s = pause_s;
    hearer->pause.ended_at = now;
}

static bool is_held_up(struct hearer *hearer, double now)
{
    const double silence_s = now - hearer->heard_at;
    note_pause(hearer, silence_s, now);
    if (silence_s < fmax(HEARD_GAP_S, PAUSE_FACTOR * hearer->pause.usual_s)) {
        hearer->afresh_helped |= hearer->lag_s == 0;
        return false;
    }
    hearer->lag_s = fmax(hearer->lag_s, silence_s);
    return open_afresh(hearer, now);
}

/* One of its packs has answered the line's master. */
static void on_overheard(void *data, struct poller *poller, double now)
{
    struct hearer *hearer = data;
    struct member *member = turns_find(hearer->turns, poller);
    await(hearer, (unsigned) (member - hearer->turns->list), now);
    hearer->afresh_helped |= hearer->lag_s == 0;
    hearer->events->published(hearer->data, member, now);
}

static void on_shown(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct hearer *hearer = data;
    hearer->wire->mask.show(hearer->wire->mask.data, direction, bytes, size);
}

void hearer_received(struct hearer *hearer, const uint8_t *bytes, size_t size, double now)
{
    if (!hearer->listener) {
        hear_talk(hearer, bytes, size, now);
        return;
    }
    if (is_held_up(hearer, now))
        return;
    hearer->heard_at = now;
    listener_take(hearer->listener, bytes, size, now, hearer->lag_s);
    hearer_due(hearer, now);
}

/* ---- life ---- */

void hearer_opened(struct hearer *hearer, bool away, double now)
{
    hearer->wire->health.unheard_since = now;
    hearer->heard_at = now;
    hearer->lag_s = 0;
    reply_clear(&hearer->buffer);
    talk_opened(&hearer->talk, hearer->any_age || port_forgets(hearer->wire->port), now);
    if (hearer->listener)
        listener_reset(hearer->listener, now);
    for (unsigned i = 0; i < hearer->turns->count; i++) {
        hearer->turns->list[i].missing_since = NAN;
        await(hearer, i, now);
        if (away)
            poller_reset(hearer->turns->list[i].poller, now);
    }
    hearer_due(hearer, now);
}

static bool make_listener(struct hearer *hearer)
{
    static const struct listener_events events = {.heard = on_overheard, .show = on_shown};
    const struct turns *turns = hearer->turns;
    struct poller **pollers = calloc(turns->count, sizeof(struct poller *));
    hearer->turns->listens = true;
    for (unsigned i = 0; pollers && i < turns->count; i++)
        pollers[i] = turns->list[i].poller;
    if (pollers)
        hearer->listener = listener_new(pollers, turns->count, hearer->wire->baud, &events, hearer);
    free(pollers);
    return hearer->listener != NULL;
}

bool hearer_init(struct hearer *hearer, struct wire *wire, struct turns *turns,
                 const struct asker_events *events, void *data)
{
    *hearer = (struct hearer){.wire = wire, .turns = turns, .events = events, .data = data};
    hearer->any_age = wire->config->any_age;
    hearer->afresh_at = hearer->pause.ended_at = NAN;
    talk_init(&hearer->talk);
    hearer->missed_at = calloc(turns->count, sizeof *hearer->missed_at);
    if (!hearer->missed_at)
        return false;
    return bms_talks(turns->list[0].poller->config->driver) || make_listener(hearer);
}

void hearer_free(struct hearer *hearer)
{
    listener_free(hearer->listener);
    free(hearer->missed_at);
}
