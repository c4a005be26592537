// SPDX-License-Identifier: MIT
/* What is said on a line that has a master already. */
#include "listener.h"

#include "lines/ledger.h"
#include "lines/plan.h"
#include "rounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION_MOST 13 /* bytes; a longer one sets something, maybe a password */
#define HEAD_SIZE 5      /* of a frame that identifies itself; counters may follow */

/* The last request, whose replies are shown, also those of other packs. */
struct question {
    const struct bms *bms; /* NULL: none is open, and all of this empty */
    struct rounds *rounds; /* whom it was for; NULL: none of ours */
    struct bms_request request;
};

struct listener {
    struct listener_events events;
    void *data;
    struct rounds *rounds;
    unsigned count;
    struct ledger ledger; /* requests of the master to packs of this line */
    struct question question;
    struct reply heard;
    double byte_s;   /* what a byte takes on the wire */
    double first_at; /* latest time at which the first byte in `heard` was sent */
    double last_at;  /* and the last piece */
    size_t last_size;
    double heard_at;
    size_t skipped; /* bytes of no frame, not yet shown */
};

struct listener *listener_new(const struct turns *turns, unsigned baud,
                              const struct listener_events *events, void *data)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return NULL;
    listener->rounds = calloc(turns->count, sizeof *listener->rounds);
    if (!listener->rounds) {
        free(listener);
        return NULL;
    }
    listener->events = *events;
    listener->data = data;
    listener->count = turns->count;
    listener->byte_s = 10.0 / baud;
    for (unsigned i = 0; i < turns->count; i++) {
        struct poller *poller = turns->list[i].poller;
        listener->rounds[i].poller = poller;
        /* Distinguishes frames that contain an address. */
        poller->bms.options.address = bms_address(&poller->bms);
    }
    listener_reset(listener);
    return listener;
}

void listener_free(struct listener *listener)
{
    if (listener)
        free(listener->rounds);
    free(listener);
}

void listener_reset(struct listener *listener)
{
    reply_clear(&listener->heard);
    listener->skipped = 0;
    listener->ledger.count = 0;
    listener->question = (struct question){.bms = NULL};
    listener->heard_at = -INFINITY;
}

/* ---- bytes, and when they were said ---- */

/* As much as fits. */
static size_t append(struct listener *listener, const uint8_t *bytes, size_t size, double at)
{
    if (listener->heard.size == 0)
        listener->first_at = at;
    listener->last_at = at;
    listener->last_size = reply_append(&listener->heard, bytes, size);
    return listener->last_size;
}

static void drop(struct listener *listener, size_t size)
{
    reply_drop(&listener->heard, size);
    if (listener->heard.size <= listener->last_size)
        listener->first_at = listener->last_at;
}

/* When the first byte was sent, at the latest: the bytes behind it took their time on the wire. */
static double said_at(const struct listener *listener)
{
    return fmin(listener->first_at,
                listener->last_at - (double) listener->heard.size * listener->byte_s);
}

/* ---- what passes is shown ---- */

static void show_skipped(struct listener *listener)
{
    if (listener->skipped > 0)
        listener->events.show(listener->data, '#', NULL, listener->skipped);
    listener->skipped = 0;
}

static void show_reply(struct listener *listener, const struct bms_driver *driver,
                       const uint8_t *bytes, size_t size)
{
    uint8_t masked[BMS_FRAME_MAX];
    show_skipped(listener);
    if (size > sizeof masked)
        return;
    memcpy(masked, bytes, size);
    if (driver->mask)
        driver->mask(masked, size);
    listener->events.show(listener->data, '<', masked, size);
}

/* An order may set a password. */
static void show_question(struct listener *listener, const struct bms_driver *driver,
                          const uint8_t *bytes, size_t size)
{
    show_skipped(listener);
    if (driver->mask && size > QUESTION_MOST)
        listener->events.show(listener->data, '#', NULL, size);
    else
        listener->events.show(listener->data, '>', bytes, size);
}

/* ---- values ---- */

static const struct bms_driver *driver_of(const struct rounds *rounds)
{
    return rounds->poller->config->driver;
}

static uint32_t hash_of(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619;
    return hash;
}

/* `values` is a copy: the poller puts together what is known. */
static void take_values(struct listener *listener, struct rounds *rounds, uint32_t asked,
                        struct pack values, double at, double now)
{
    if (rounds_take(rounds, asked, &values, at, now))
        listener->events.heard(listener->data, rounds->poller, now);
}

/* ---- frames ---- */

/* Finds a question of the master at the beginning of the buffer; its size is in *span. */
static bool find_question(struct listener *listener, struct bms_span *span)
{
    const uint8_t *bytes = listener->heard.bytes;
    struct question asked = {.bms = NULL};
    *span = (struct bms_span){BMS_SKIP, 1};
    for (unsigned i = 0; i < listener->count && !asked.rounds; i++) {
        struct rounds *rounds = &listener->rounds[i];
        const struct bms *bms = &rounds->poller->bms;
        int address = -1;
        const struct bms_span seen =
            bms->driver->question(bms, bytes, listener->heard.size, &address);
        const bool whole = seen.kind == BMS_FRAME && seen.size <= listener->heard.size;
        const bool its = whole && (address < 0 || address == bms_address(bms));
        if (its)
            asked.rounds = rounds;
        if (its || (whole && !asked.bms))
            asked.bms = bms;
        if (asked.bms == bms || (seen.kind == BMS_MORE && !asked.bms))
            *span = seen;
    }
    if (!asked.bms)
        return false;
    asked.request.size = span->size < BMS_REQUEST_MAX ? span->size : 0;
    memcpy(asked.request.bytes, bytes, asked.request.size);
    show_question(listener, asked.bms->driver, bytes, span->size);
    listener->question = asked;
    if (asked.rounds)
        ledger_send(&listener->ledger, asked.rounds->poller, &asked.request, POLL, 0,
                    said_at(listener));
    return true;
}

/* A frame that identifies its pack and its content by itself. `asked` does not get it. */
static void take_unasked(struct listener *listener, const struct bms_driver *driver,
                         const struct rounds *asked, const struct bms_span *span, double now)
{
    static const struct bms_request nothing;
    const uint8_t *bytes = listener->heard.bytes;
    for (unsigned i = 0; i < listener->count; i++) {
        struct rounds *rounds = &listener->rounds[i];
        struct pack values;
        if (rounds == asked || driver_of(rounds) != driver)
            continue;
        pack_clear(&values);
        const enum bms_result result =
            driver->decode(&rounds->poller->bms, &nothing, bytes, span->size, &values);
        if (result == BMS_DONE || result == BMS_PARTIAL)
            take_values(listener, rounds, hash_of(bytes, HEAD_SIZE), values, said_at(listener),
                        now);
    }
}

static struct rounds *rounds_of(struct listener *listener, const struct poller *poller)
{
    unsigned i = 0;
    while (listener->rounds[i].poller != poller)
        i++;
    return &listener->rounds[i];
}

/* An answer to one of the questions that are open: as old as the oldest that it can be the answer to. */
static void take_answer(struct listener *listener, const struct answer *answer, double now)
{
    struct poller *poller = answer->oldest.pack;
    const struct bms_request *words = &answer->oldest.words;
    if (answer->result == BMS_PARTIAL)
        return;
    if (listener->question.rounds && listener->question.rounds->poller == poller)
        listener->question = (struct question){.bms = NULL};
    if (answer->result == BMS_DONE && answer->usable)
        take_values(listener, rounds_of(listener, poller), hash_of(words->bytes, words->size),
                    poller->incoming, answer->oldest.sent_at, now);
}

/* A frame that answers no open request. A master that is itself a pack may send its own values
 * after a request that stayed unanswered. */
static bool find_other(struct listener *listener, bool invalid, struct bms_span *span, double now)
{
    const struct question asked = listener->question;
    const uint8_t *bytes = listener->heard.bytes;
    for (unsigned i = 0; i < (asked.bms ? 1 : listener->count); i++) {
        const struct bms *bms = asked.bms ? asked.bms : &listener->rounds[i].poller->bms;
        if (!asked.bms && !bms->driver->tells_itself)
            continue;
        const struct bms_span seen =
            bms->driver->frame(bms, &asked.request, bytes, listener->heard.size);
        if (seen.kind == BMS_DAMAGED && asked.rounds)
            asked.rounds->poller->counters.damaged++;
        if (seen.kind == BMS_MORE || seen.kind == BMS_FRAME)
            *span = seen;
        if (seen.kind != BMS_FRAME || seen.size > listener->heard.size)
            continue;
        show_reply(listener, bms->driver, bytes, span->size);
        if (bms->driver->tells_itself)
            take_unasked(listener, bms->driver, asked.rounds, span, now);
        if (invalid)
            listener->question = (struct question){.bms = NULL};
        if (invalid && asked.rounds)
            plan_disturbed(asked.rounds->poller, now);
        return true;
    }
    return false;
}

/* An answer to a question, else another frame. */
static bool find_reply(struct listener *listener, struct bms_span *span, double now)
{
    const uint8_t *bytes = listener->heard.bytes;
    struct answer answer = {.result = BMS_FOREIGN};
    *span = (struct bms_span){BMS_SKIP, 1};
    if (listener->ledger.count > 0)
        *span = ledger_look(&listener->ledger, bytes, listener->heard.size, &answer);
    if (answer.result == BMS_FOREIGN || answer.result == BMS_INVALID)
        return find_other(listener, answer.result == BMS_INVALID, span, now);
    show_reply(listener, driver_of(rounds_of(listener, answer.oldest.pack)), bytes, span->size);
    take_answer(listener, &answer, now);
    return true;
}

/* Through what the buffer holds, byte by byte: a question of the master may stand anywhere, also
 * where a reply was cut off. `quiet`: nothing more is coming. */
static void go_through(struct listener *listener, bool quiet, double now)
{
    while (listener->heard.size > 0) {
        struct bms_span asked, replied;
        if (find_question(listener, &asked)) {
            drop(listener, asked.size);
            continue;
        }
        if (find_reply(listener, &replied, now)) {
            drop(listener, replied.size);
            continue;
        }
        const bool more = asked.kind == BMS_MORE || replied.kind == BMS_MORE;
        if (more && !quiet && listener->heard.size < BMS_FRAME_MAX)
            return;
        listener->skipped++;
        drop(listener, 1);
    }
    show_skipped(listener);
}

/* ---- what comes ---- */

void listener_take(struct listener *listener, const uint8_t *bytes, size_t size, double now,
                   double lag_s)
{
    if (now - listener->heard_at > QUIET_S)
        go_through(listener, true, now);
    listener->heard_at = now;
    ledger_expire(&listener->ledger, now - ANSWER_MOST_S);
    while (size > 0) {
        const size_t part = append(listener, bytes, size, now - lag_s);
        bytes += part;
        size -= part;
        go_through(listener, false, now);
    }
}

double listener_wait(struct listener *listener, double now)
{
    if (listener->heard.size == 0)
        return INFINITY;
    if (now - listener->heard_at < QUIET_S)
        return listener->heard_at + QUIET_S;
    go_through(listener, true, now);
    return INFINITY;
}
