// SPDX-License-Identifier: MIT
/* What is said on a line that has a master already. */
#include "listener.h"

#include "heard.h"
#include "lines/ledger.h"
#include "lines/plan.h"
#include "rounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_S 0.3 /* serial servers tear frames, by less than that */
#define REPLY_LEAST_S                                                                              \
    1.0               /* for a reply to begin, or to go on; replies also wait in a serial server */
#define OPENING_S 0.5 /* what comes so soon after the port was opened may be old */
#define QUESTION_MOST 13 /* bytes; what is longer sets something, a password maybe */
#define HEAD_SIZE 5      /* of a frame that tells itself: what it is; what follows may count */

/* The last question, whose replies are shown, be they ours or not. */
struct question {
    bool open;
    struct rounds *ear; /* whom it was for; NULL: none of ours */
    const struct bms *bms;
    struct bms_request request;
    double heard_at; /* it, or a part of its reply */
};

struct listener {
    struct listener_events events;
    void *data;
    struct rounds *ears;
    unsigned count;
    struct ledger ledger; /* what the master has asked our packs */
    struct question question;
    struct pack incoming;
    struct heard heard;
    double heard_at;
    double deaf_until;
    size_t skipped; /* bytes of no frame, not yet shown */
};

bool listener_can(const struct bms_driver *driver)
{
    return bms_talks(driver) || driver->question;
}

struct listener *listener_new(struct poller *const *pollers, unsigned count, unsigned baud,
                              const struct listener_events *events, void *data)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return NULL;
    listener->ears = calloc(count, sizeof *listener->ears);
    if (!listener->ears) {
        free(listener);
        return NULL;
    }
    listener->events = *events;
    listener->data = data;
    listener->count = count;
    listener->heard.byte_s = 10.0 / baud;
    for (unsigned i = 0; i < count; i++) {
        rounds_init(&listener->ears[i], pollers[i]);
        /* Frames that say whose they are are told apart by it. */
        pollers[i]->bms.options.address = bms_address(&pollers[i]->bms);
    }
    listener_reset(listener, -INFINITY);
    return listener;
}

void listener_free(struct listener *listener)
{
    if (listener)
        free(listener->ears);
    free(listener);
}

void listener_reset(struct listener *listener, double now)
{
    listener->deaf_until = now + OPENING_S;
    heard_clear(&listener->heard);
    listener->skipped = 0;
    listener->ledger.count = 0;
    listener->question.open = false;
    listener->heard_at = -INFINITY;
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

static const struct bms_driver *driver_of(const struct rounds *ear)
{
    return ear->poller->config->driver;
}

static uint32_t hash_of(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619;
    return hash;
}

static void take_values(struct listener *listener, struct rounds *ear, uint32_t asked, double at,
                        double now)
{
    /* A copy: the values are put together in the poller. */
    const struct pack part = listener->incoming;
    if (rounds_take(ear, asked, &part, at, now))
        listener->events.heard(listener->data, ear->poller, now);
}

/* ---- frames ---- */

/* The master asks; true: it does, with so many bytes. */
static bool find_question(struct listener *listener, struct bms_span *span)
{
    bool more = false, found = false;
    struct question asked = {.open = true, .heard_at = listener->heard_at};
    for (unsigned i = 0; i < listener->count && !asked.ear; i++) {
        struct rounds *ear = &listener->ears[i];
        int address = -1;
        struct bms_span seen = driver_of(ear)->question(&ear->poller->bms, listener->heard.bytes,
                                                        listener->heard.size, &address);
        more |= seen.kind == BMS_MORE;
        if (seen.kind != BMS_FRAME || seen.size > listener->heard.size)
            continue;
        if (!found) {
            asked.bms = &ear->poller->bms;
            *span = seen;
        }
        found = true;
        if (address < 0 || address == bms_address(&ear->poller->bms)) {
            asked.ear = ear;
            asked.bms = &ear->poller->bms;
            *span = seen;
        }
    }
    if (!found) {
        *span = (struct bms_span){more ? BMS_MORE : BMS_SKIP, 1};
        return false;
    }
    asked.request.size = span->size < BMS_REQUEST_MAX ? span->size : 0;
    memcpy(asked.request.bytes, listener->heard.bytes, asked.request.size);
    show_question(listener, asked.bms->driver, listener->heard.bytes, span->size);
    listener->question = asked;
    if (asked.ear)
        ledger_send(&listener->ledger, asked.ear->poller, &asked.request, POLL, 0,
                    heard_since(&listener->heard));
    return true;
}

/* A frame that says by itself whose it is and what is in it; `asked` is not told of it. */
static void take_unasked(struct listener *listener, const struct bms_driver *driver,
                         const struct rounds *asked, const struct bms_span *span, double now)
{
    static const struct bms_request nothing;
    const double at = heard_since(&listener->heard);
    for (unsigned i = 0; i < listener->count; i++) {
        struct rounds *ear = &listener->ears[i];
        if (ear == asked || driver_of(ear) != driver)
            continue;
        pack_clear(&listener->incoming);
        const enum bms_result result = driver->decode(
            &ear->poller->bms, &nothing, listener->heard.bytes, span->size, &listener->incoming);
        if (result == BMS_DONE || result == BMS_PARTIAL)
            take_values(listener, ear, hash_of(listener->heard.bytes, HEAD_SIZE), at, now);
    }
}

static struct rounds *ear_of(struct listener *listener, const struct poller *poller)
{
    unsigned i = 0;
    while (listener->ears[i].poller != poller)
        i++;
    return &listener->ears[i];
}

/* An answer to one of the questions that are open: as old as the oldest that it can be the answer to. */
static void take_answer(struct listener *listener, const struct answer *answer, double now)
{
    struct poller *poller = answer->oldest.pack;
    struct question *question = &listener->question;
    if (answer->result == BMS_PARTIAL) {
        question->heard_at = listener->heard_at;
        return;
    }
    question->open &= !question->ear || question->ear->poller != poller;
    if (answer->result != BMS_DONE || !answer->usable)
        return;
    const struct bms_request *words = &answer->oldest.words;
    listener->incoming = poller->incoming;
    take_values(listener, ear_of(listener, poller), hash_of(words->bytes, words->size),
                answer->oldest.sent_at, now);
}

/* A whole frame that answers nothing that is open. A master that waits in vain for somebody's reply may go on with what
 * it tells of itself. */
static void take_other(struct listener *listener, const struct bms_driver *driver,
                       const struct bms_span *span, bool invalid, double now)
{
    struct question *question = &listener->question;
    show_reply(listener, driver, listener->heard.bytes, span->size);
    if (driver->tells_itself)
        take_unasked(listener, driver, question->open ? question->ear : NULL, span, now);
    if (invalid && question->ear)
        plan_disturbed(question->ear->poller, now);
}

/* What tells itself, where no question is open. */
static bool find_unasked(struct listener *listener, struct bms_span *span, double now)
{
    static const struct bms_request nothing;
    for (unsigned i = 0; i < listener->count; i++) {
        const struct bms_driver *driver = driver_of(&listener->ears[i]);
        struct bms_span seen = {BMS_SKIP, 1};
        if (driver->tells_itself)
            seen = driver->frame(&listener->ears[i].poller->bms, &nothing, listener->heard.bytes,
                                 listener->heard.size);
        if (seen.kind == BMS_FRAME && seen.size <= listener->heard.size) {
            *span = seen;
            take_other(listener, driver, span, false, now);
            return true;
        }
        if (seen.kind == BMS_MORE)
            *span = seen;
    }
    return false;
}

/* An answer to a question, else another frame behind it, else what tells itself. */
static bool find_reply(struct listener *listener, struct bms_span *span, double now)
{
    struct question *question = &listener->question;
    const uint8_t *bytes = listener->heard.bytes;
    const size_t size = listener->heard.size;
    struct answer answer = {.result = BMS_FOREIGN};
    *span = (struct bms_span){BMS_SKIP, 1};
    if (listener->ledger.count > 0)
        *span = ledger_look(&listener->ledger, bytes, size, &answer);
    const bool answers =
        answer.result == BMS_DONE || answer.result == BMS_PARTIAL || answer.result == BMS_REFUSED;
    if (answers) {
        show_reply(listener, driver_of(ear_of(listener, answer.oldest.pack)), bytes, span->size);
        take_answer(listener, &answer, now);
        return true;
    }
    if (!question->open)
        return find_unasked(listener, span, now);
    const struct bms_span seen =
        question->bms->driver->frame(question->bms, &question->request, bytes, size);
    if (seen.kind == BMS_FRAME && seen.size <= size) {
        *span = seen;
        take_other(listener, question->bms->driver, span, answer.result == BMS_INVALID, now);
        question->open &= answer.result != BMS_INVALID;
        return true;
    }
    if (seen.kind == BMS_DAMAGED && question->ear)
        question->ear->poller->counters.damaged++;
    if (seen.kind == BMS_MORE)
        *span = seen;
    return false;
}

/* Through what the buffer holds, byte by byte: a question of the master may stand anywhere, also
 * where a reply was cut off. `quiet`: nothing more is coming. */
static void go_through(struct listener *listener, bool quiet, double now)
{
    while (listener->heard.size > 0) {
        struct bms_span asked, replied;
        if (find_question(listener, &asked)) {
            heard_drop(&listener->heard, asked.size);
            continue;
        }
        if (find_reply(listener, &replied, now)) {
            heard_drop(&listener->heard, replied.size);
            continue;
        }
        const bool more = asked.kind == BMS_MORE || replied.kind == BMS_MORE;
        if (more && !quiet && listener->heard.size < BMS_FRAME_MAX)
            return;
        listener->skipped++;
        heard_drop(&listener->heard, 1);
    }
    show_skipped(listener);
}

/* ---- what comes ---- */

static void expire_question(struct listener *listener, double now)
{
    struct question *question = &listener->question;
    if (question->open &&
        now - question->heard_at > fmax(REPLY_LEAST_S, question->bms->driver->line.reply_ms / 1e3))
        question->open = false;
}

void listener_take(struct listener *listener, const uint8_t *bytes, size_t size, double now,
                   double lag_s)
{
    if (now < listener->deaf_until)
        return;
    if (now - listener->heard_at > QUIET_S)
        go_through(listener, true, now);
    expire_question(listener, now);
    listener->heard_at = now;
    ledger_expire(&listener->ledger, now - ANSWER_MOST_S);
    while (size > 0) {
        const size_t part = heard_append(&listener->heard, bytes, size, now - lag_s);
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
