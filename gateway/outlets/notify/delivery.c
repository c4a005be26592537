// SPDX-License-Identifier: MIT
#include "delivery.h"
#include "events.h"

#include "base/alloc.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NOBODY (~0u)

/* Pauses between tries: a gap in the radio, a restart of a router, an outage. */
static const double pauses[DELIVERY_TRIES - 1] = {10, 110, 780, 2700};

void delivery_init(struct delivery *delivery, unsigned limit)
{
    *delivery = (struct delivery){.limit = limit};
    TAILQ_INIT(&delivery->parcels);
    for (unsigned i = 0; i < DELIVERY_LIMIT; i++)
        delivery->accepted[i] = -INFINITY;
}

static void drop_parcel(struct delivery *delivery, struct parcel *parcel)
{
    TAILQ_REMOVE(&delivery->parcels, parcel, entry);
    delivery->count--;
    free(parcel->message.values);
    free(parcel);
}

/* Whether the message accepted `limit` messages ago is an hour old. */
static bool is_below_limit(const struct delivery *delivery, double now)
{
    const unsigned before = (delivery->at + DELIVERY_LIMIT - delivery->limit) % DELIVERY_LIMIT;
    return now - delivery->accepted[before] >= DELIVERY_HOUR_S;
}

static bool queue_message(struct delivery *delivery, const struct message *message, unsigned pack,
                          unsigned watch, double now)
{
    if (delivery->count >= DELIVERY_QUEUE)
        return false;
    struct parcel *parcel = alloc_zeroed(1, sizeof *parcel);
    parcel->message = *message;
    parcel->pack = pack;
    parcel->watch = watch;
    parcel->due = now;
    TAILQ_INSERT_TAIL(&delivery->parcels, parcel, entry);
    delivery->count++;
    delivery->accepted[delivery->at] = now;
    delivery->at = (delivery->at + 1) % DELIVERY_LIMIT;
    return true;
}

bool delivery_add(struct delivery *delivery, struct message *message, unsigned pack, unsigned watch,
                  double now)
{
    /* While messages are held back, the message about them has precedence. */
    if (delivery->held == 0 && is_below_limit(delivery, now) &&
        queue_message(delivery, message, pack, watch, now)) {
        message->values = NULL;
        return true;
    }
    if (delivery->held == 0)
        delivery->held_since = message->time;
    snprintf(delivery->titles[delivery->held++ % DELIVERY_TITLES], MESSAGE_TITLE_SIZE, "%s",
             message->title);
    free(message->values);
    message->values = NULL;
    delivery->dropped++;
    return false;
}

void delivery_tell_held(struct delivery *delivery, const char *gateway, double now, double time)
{
    if (delivery->held == 0 || !is_below_limit(delivery, now) || delivery->count >= DELIVERY_QUEUE)
        return;
    struct message message = {
        .event = NOTIFY_ALARM, .alarm = -1, .level = ALARM_WARNING, .time = time};
    char since[32];
    message_clock(delivery->held_since, time, since, sizeof since);
    snprintf(message.title, sizeof message.title, "%u more", delivery->held);
    struct text text = text_in(message.text, sizeof message.text);
    text_format(&text,
                "%u more messages of gateway %s since %s were not sent, as `limit` is %u an hour. "
                "The last of them:",
                delivery->held, gateway, since, delivery->limit);
    const unsigned listed = delivery->held < DELIVERY_TITLES ? delivery->held : DELIVERY_TITLES;
    for (unsigned i = delivery->held - listed; i < delivery->held; i++)
        text_format(&text, "\n%s", delivery->titles[i % DELIVERY_TITLES]);
    if (queue_message(delivery, &message, NOBODY, NOBODY, now))
        delivery->held = 0;
}

struct parcel *delivery_next(struct delivery *delivery, double now)
{
    struct parcel *parcel;
    TAILQ_FOREACH(parcel, &delivery->parcels, entry)
    if (now >= parcel->due)
        break;
    return parcel;
}

bool delivery_settle(struct delivery *delivery, struct parcel *parcel, enum outcome outcome,
                     double now, double *pause_s)
{
    parcel->tries++;
    delivery->sent += outcome == OUTCOME_SENT;
    delivery->failed += outcome != OUTCOME_SENT;
    if (outcome == OUTCOME_AGAIN && parcel->tries < DELIVERY_TRIES) {
        *pause_s = pauses[parcel->tries - 1];
        parcel->due = now + *pause_s;
        return true;
    }
    delivery->dropped += outcome != OUTCOME_SENT;
    /* Earlier messages about the same event are not retried: the beginning of an alarm must not arrive after its end. */
    struct parcel *other = TAILQ_FIRST(&delivery->parcels), *next;
    for (; outcome == OUTCOME_SENT && other != parcel; other = next) {
        next = TAILQ_NEXT(other, entry);
        if (other->watch < WATCHES && other->watch == parcel->watch &&
            other->pack == parcel->pack) {
            drop_parcel(delivery, other);
            delivery->dropped++;
        }
    }
    drop_parcel(delivery, parcel);
    return false;
}
