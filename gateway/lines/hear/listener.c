// SPDX-License-Identifier: MIT
#include "listener.h"

#include "lines/ledger.h"
#include "lines/plan.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

#define QUESTION_MOST 13 /* bytes; a longer one sets something, maybe a password */
#define HEAD_SIZE 5      /* of a frame that identifies itself; counters may follow */
#define LASTING_S 7200.0 /* for settings and the like, which packgate would poll once an hour */

/* The answers to one request of the master. */
struct kind {
    uint32_t asked;     /* hash of the request */
    struct pack part;   /* the last accepted answer, */
    double at;          /* and the time of its request; -INFINITY: none yet */
    struct spike spike; /* answers that were not accepted */
    double asked_at;    /* time of the last request, accepted or not; -INFINITY: never */
    double every_s;     /* between the last two requests; INFINITY: there was one only */
    bool renewed;       /* answered in this round of the master */
    bool before;        /* in the round before */
    bool expected;      /* a round ends when all expected kinds are renewed */
};

/* One pack, as its master reads it. */
struct rounds {
    struct poller *poller;
    struct kind kinds[BMS_PLAN_MAX];
    unsigned count;
};

/* The last request, whose replies are shown, also those of other packs. */
struct question {
    const struct bms *bms; /* NULL: none is open, and all of this empty */
    struct rounds *rounds; /* whom it was for; NULL: none of ours */
    struct bms_request request;
};

struct listener {
    const struct wire *wire;
    listener_published *published;
    void *data;
    struct ledger ledger; /* requests of the master to packs of this line */
    struct question question;
    struct reply heard;
    double first_at; /* latest time at which the first byte in `heard` was sent */
    double last_at;  /* and the last piece */
    size_t last_size;
    double heard_at;
    size_t skipped; /* bytes of no frame, not yet shown */
    unsigned count;
    struct rounds rounds[];
};

struct listener *listener_new(const struct turns *turns, listener_published *published, void *data)
{
    struct listener *listener =
        alloc_zeroed(1, sizeof *listener + turns->count * sizeof *listener->rounds);
    listener->wire = turns->wire;
    listener->published = published;
    listener->data = data;
    listener->count = turns->count;
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
                listener->last_at - wire_s(listener->wire, listener->heard.size));
}

static void show(const struct listener *listener, char direction, const uint8_t *bytes, size_t size)
{
    const struct mask *mask = &listener->wire->mask;
    mask->show(mask->data, direction, bytes, size);
}

static void show_skipped(struct listener *listener)
{
    if (listener->skipped > 0)
        show(listener, '#', NULL, listener->skipped);
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
    show(listener, '<', masked, size);
}

/* Whether it holds more than values that hardly ever change. */
static bool tells_values(const struct pack *pack)
{
    for (unsigned id = 0; id < PACK_VALUES; id++) {
        const bool lasting = id == RATED_AH || id == SOH_PERCENT || id == CYCLES ||
                             id == CELL_COUNT || id == TEMP_COUNT ||
                             (id >= SETTINGS_FIRST && id < CELL_MV);
        if (!lasting && pack_known(pack, (enum pack_value) id))
            return true;
    }
    return pack->alarms_known != 0;
}

static struct kind *kind_of(struct rounds *rounds, uint32_t asked)
{
    struct kind *oldest = &rounds->kinds[0];
    for (unsigned i = 0; i < rounds->count; i++) {
        if (rounds->kinds[i].asked == asked)
            return &rounds->kinds[i];
        if (rounds->kinds[i].at < oldest->at)
            oldest = &rounds->kinds[i];
    }
    struct kind *kind = rounds->count < BMS_PLAN_MAX ? &rounds->kinds[rounds->count++] : oldest;
    *kind = (struct kind){.asked = asked, .at = -INFINITY, .asked_at = -INFINITY};
    return kind;
}

/* Whether an answer is too old to be published. An answer that becomes stale between two requests
 * of the master is dropped sooner, because its age would make all others look old. */
static bool is_old(const struct rounds *rounds, const struct kind *kind, double now)
{
    const double stale_s = poller_stale_after(rounds->poller);
    const double good_s = kind->every_s < stale_s ? stale_s : stale_s / 2;
    return now - kind->at > (tells_values(&kind->part) ? good_s : LASTING_S);
}

/* Puts together what is known of the pack, the newest last. */
static bool publish(struct rounds *rounds, double now)
{
    struct poller *poller = rounds->poller;
    struct poller_pace *pace = &poller->pace;
    struct kind *kinds[BMS_PLAN_MAX];
    double oldest = INFINITY;
    for (unsigned i = 0, k; i < rounds->count; i++) {
        for (k = i; k > 0 && kinds[k - 1]->at > rounds->kinds[i].at; k--)
            kinds[k] = kinds[k - 1];
        kinds[k] = &rounds->kinds[i];
    }
    pack_clear(&poller->incoming);
    for (unsigned i = 0; i < rounds->count; i++) {
        if (is_old(rounds, kinds[i], now))
            continue;
        pack_merge(&poller->incoming, &kinds[i]->part);
        kinds[i]->part.implausible = 0; /* counted once */
        if (tells_values(&kinds[i]->part))
            oldest = fmin(oldest, kinds[i]->at);
    }
    if (isinf(oldest))
        return false;
    /* A slow master's values stay good for as long as those of a slow line of our own. One long round is no habit. */
    const double round_s = now - pace->last_started;
    if (pace->last_round_s > 0)
        poller_learn_round(pace, round_s);
    else if (!isnan(round_s))
        pace->last_round_s = round_s;
    pace->last_started = now;
    poller_publish_heard(poller, now, now - oldest);
    return true;
}

/* If a request is repeated before all expected ones were seen, the rounds are different from what
 * was assumed. A request that is in two rounds in a row belongs to them. True: there are new values. */
static bool end_round(struct rounds *rounds, bool begun_anew, double now)
{
    for (unsigned i = 0; i < rounds->count; i++) {
        struct kind *kind = &rounds->kinds[i];
        kind->expected =
            begun_anew ? kind->renewed : kind->expected || (kind->renewed && kind->before);
        kind->before = kind->renewed;
        kind->renewed = false;
    }
    return publish(rounds, now);
}

/* Takes the answer to a request (`asked`: its hash) that was sent at `at`. `part` is a copy: the
 * poller puts together what is known. */
static void take_values(struct listener *listener, struct rounds *rounds, uint32_t asked,
                        struct pack part, double at, double now)
{
    struct pack empty;
    pack_clear(&empty);
    if (pack_same(&part, &empty))
        return;
    struct kind *kind = kind_of(rounds, asked);
    bool news = kind->renewed && tells_values(&part) && end_round(rounds, true, now);
    const struct pack *before = is_old(rounds, kind, now) ? NULL : &kind->part;
    if (poller_judge_heard(rounds->poller, &kind->spike, before, &part, now)) {
        kind->part = part;
        kind->at = at;
    }
    kind->every_s = at - kind->asked_at;
    kind->asked_at = at;
    kind->renewed = true;
    bool any = false, all = true;
    for (unsigned i = 0; i < rounds->count; i++) {
        any |= rounds->kinds[i].expected;
        all &= rounds->kinds[i].renewed || !rounds->kinds[i].expected;
    }
    news |= any && all && end_round(rounds, false, now);
    if (news)
        listener->published(listener->data, rounds->poller, now);
}

static uint32_t hash_of(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619;
    return hash;
}

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
    show_skipped(listener);
    if (asked.bms->driver->mask && span->size > QUESTION_MOST) /* it may set a password */
        show(listener, '#', NULL, span->size);
    else
        show(listener, '>', bytes, span->size);
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
        if (rounds == asked || rounds->poller->config->driver != driver)
            continue;
        pack_clear(&values);
        const enum bms_result result =
            driver->decode(&rounds->poller->bms, &nothing, bytes, span->size, &values);
        if (result == BMS_DONE || result == BMS_PARTIAL)
            take_values(listener, rounds, hash_of(bytes, HEAD_SIZE), values, said_at(listener),
                        now);
    }
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

/* An answer to one of the open questions, as old as the oldest that it can be the answer to; else another frame. */
static bool find_reply(struct listener *listener, struct bms_span *span, double now)
{
    const uint8_t *bytes = listener->heard.bytes;
    struct answer answer = {.result = BMS_FOREIGN};
    *span = (struct bms_span){BMS_SKIP, 1};
    if (listener->ledger.count > 0)
        *span = ledger_look(&listener->ledger, bytes, listener->heard.size, &answer);
    if (answer.result == BMS_FOREIGN || answer.result == BMS_INVALID)
        return find_other(listener, answer.result == BMS_INVALID, span, now);
    const struct poller *poller = answer.oldest.pack;
    const struct bms_request *words = &answer.oldest.words;
    struct rounds *rounds = listener->rounds;
    while (rounds->poller != poller)
        rounds++;
    show_reply(listener, poller->config->driver, bytes, span->size);
    if (answer.result == BMS_PARTIAL)
        return true;
    if (listener->question.rounds == rounds)
        listener->question = (struct question){.bms = NULL};
    if (answer.result == BMS_DONE && answer.usable)
        take_values(listener, rounds, hash_of(words->bytes, words->size), poller->incoming,
                    answer.oldest.sent_at, now);
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

void listener_take(struct listener *listener, const uint8_t *bytes, size_t size, double now,
                   double lag_s)
{
    if (now - listener->heard_at > QUIET_S)
        go_through(listener, true, now);
    listener->heard_at = now;
    ledger_expire(&listener->ledger, now - ANSWER_MOST_S);
    while (size > 0) {
        if (listener->heard.size == 0)
            listener->first_at = now - lag_s;
        listener->last_at = now - lag_s;
        listener->last_size = reply_append(&listener->heard, bytes, size);
        bytes += listener->last_size;
        size -= listener->last_size;
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
