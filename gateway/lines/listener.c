// SPDX-License-Identifier: MIT
/* What is said on a line that has a master already. */
#include "listener.h"

#include "cycle.h"
#include "plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_S 0.3 /* serial servers tear frames, by less than that */
#define REPLY_LEAST_S                                                                              \
    1.0               /* for a reply to begin, or to go on; replies also wait in a serial server */
#define OPENING_S 0.5 /* what comes so soon after the port was opened may be old */
#define LASTING_S 7200.0 /* for settings and the like, which we would ask for each hour */
#define KINDS 24         /* different questions to one pack */
#define DOUBTS_MOST 3    /* answers to one of them, until they count all the same */
#define ROUNDS_FIRST 2   /* heard, until it is clear what belongs together */
#define REPEATS_MOST 3   /* of one question, before it is a round of its own */
#define MARKS 64         /* pieces in which the bytes that wait have come */
#define BUFFER_SIZE (2 * BMS_FRAME_MAX)
#define QUESTION_MOST 13 /* bytes; what is longer sets something, a password maybe */
#define HEAD_SIZE 5      /* of a frame that tells itself: what it is; what follows may count */

/* What one question has brought. */
struct kind {
    uint32_t asked; /* the question, as a hash */
    struct pack part;
    double at;
    double every_s;    /* since the answer before it; INFINITY: it is the first */
    struct pack good;  /* of the same question, as it was believed last, */
    double good_at;    /* and when it was; -INFINITY: never */
    double doubted_at; /* the answer that is in doubt; NaN: none is */
    unsigned doubts;   /* answers in a row that were */
    bool renewed;      /* in this round of the master */
    bool before;       /* in the round before */
    bool expected;     /* once all that are are renewed, the round is over */
};

struct ear {
    struct poller *poller;
    struct kind kinds[KINDS];
    unsigned count;
    unsigned rounds;         /* that a question began anew, up to ROUNDS_FIRST */
    uint32_t last;           /* the question that was answered last, */
    unsigned repeats;        /* and how often it was asked again with no other between */
    double told_at, round_s; /* last; NaN: not yet */
};

/* Bytes from here on came then. */
struct mark {
    size_t offset;
    double at;
};

/* The question that the next reply belongs to. */
struct question {
    bool open;
    struct ear *ear; /* whom it was for; NULL: none of ours */
    const struct bms *bms;
    struct bms_request request;
    double at;
    double heard_at; /* it, or a part of its reply */
};

struct listener {
    struct listener_events events;
    void *data;
    struct ear *ears;
    unsigned count;
    double byte_s;
    struct question question;
    struct pack incoming;
    struct mark marks[MARKS];
    unsigned mark_count;
    double heard_at;
    double deaf_until;
    size_t skipped; /* bytes of no frame, not yet shown */
    size_t size;
    uint8_t bytes[BUFFER_SIZE];
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
    listener->byte_s = 10.0 / baud;
    for (unsigned i = 0; i < count; i++) {
        listener->ears[i].poller = pollers[i];
        listener->ears[i].told_at = listener->ears[i].round_s = NAN;
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
    listener->size = listener->skipped = 0;
    listener->mark_count = 0;
    listener->question.open = false;
    listener->heard_at = -INFINITY;
}

/* ---- when bytes came ---- */

/* Where there is no room, bytes are taken to have come with those before them. */
static void set_mark(struct listener *listener, double at)
{
    if (listener->mark_count < MARKS)
        listener->marks[listener->mark_count++] = (struct mark){listener->size, at};
}

/* When the first byte of the buffer was sent, at the latest: what has come by then behind it took its
 * time on the wire. */
static double time_of_first(const struct listener *listener)
{
    double time = listener->marks[0].at;
    for (unsigned i = 0; i < listener->mark_count; i++) {
        const bool last = i + 1 == listener->mark_count;
        const size_t end = last ? listener->size : listener->marks[i + 1].offset;
        time = fmin(time, listener->marks[i].at - (double) end * listener->byte_s);
    }
    return time;
}

static void drop(struct listener *listener, size_t size)
{
    unsigned past = 0;
    listener->size -= size;
    memmove(listener->bytes, listener->bytes + size, listener->size);
    while (past + 1 < listener->mark_count && listener->marks[past + 1].offset <= size)
        past++;
    listener->mark_count -= past;
    memmove(listener->marks, listener->marks + past,
            listener->mark_count * sizeof *listener->marks);
    for (unsigned i = 0; i < listener->mark_count; i++)
        listener->marks[i].offset =
            listener->marks[i].offset > size ? listener->marks[i].offset - size : 0;
    if (listener->size == 0)
        listener->mark_count = 0;
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

static const struct bms_driver *driver_of(const struct ear *ear)
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

/* What hardly ever changes needs not be asked often. */
static bool is_lasting(enum pack_value id)
{
    return id == RATED_AH || id == SOH_PERCENT || id == CYCLES || id == CELL_COUNT ||
           id == TEMP_COUNT || (id >= SETTINGS_FIRST && id < CELL_MV);
}

static bool tells_values(const struct pack *pack)
{
    for (unsigned id = 0; id < PACK_VALUES; id++)
        if (!is_lasting((enum pack_value) id) && pack_known(pack, (enum pack_value) id))
            return true;
    return pack->alarms_known != 0;
}

static bool tells_anything(const struct pack *pack)
{
    for (unsigned id = 0; id < PACK_VALUES; id++)
        if (pack_known(pack, (enum pack_value) id))
            return true;
    for (unsigned id = 0; id < PACK_TEXTS; id++)
        if (pack->text[id][0])
            return true;
    return pack->alarms_known != 0;
}

static struct kind *kind_of(struct ear *ear, uint32_t asked)
{
    struct kind *oldest = &ear->kinds[0];
    for (unsigned i = 0; i < ear->count; i++) {
        if (ear->kinds[i].asked == asked)
            return &ear->kinds[i];
        if (ear->kinds[i].at < oldest->at)
            oldest = &ear->kinds[i];
    }
    struct kind *kind = ear->count < KINDS ? &ear->kinds[ear->count++] : oldest;
    *kind = (struct kind){.asked = asked, .at = -INFINITY, .good_at = -INFINITY, .doubted_at = NAN};
    return kind;
}

/* Whether values are too old to be told. What the master asks so rarely that it grows stale in between
 * goes sooner: its age would make all the others look old. */
static bool is_old(const struct ear *ear, const struct kind *kind, double now)
{
    const double stale_s = poller_stale_after(ear->poller);
    double good_s = kind->every_s < stale_s ? stale_s : stale_s / 2;
    if (!tells_values(&kind->part))
        good_s = LASTING_S;
    return now - kind->at > good_s;
}

/* Whether all that the master asks in each of its rounds was answered in this one. */
static bool is_over(const struct ear *ear)
{
    bool any = false;
    for (unsigned i = 0; i < ear->count; i++) {
        const struct kind *kind = &ear->kinds[i];
        if (kind->expected && !kind->renewed)
            return false;
        any |= kind->expected;
    }
    return any && ear->rounds == ROUNDS_FIRST;
}

/* A question that comes again before all expected ones have shows that the master's rounds are other
 * ones; one more in two rounds in a row belongs to them. */
static void end_round(struct ear *ear, bool begun_anew)
{
    for (unsigned i = 0; i < ear->count; i++) {
        struct kind *kind = &ear->kinds[i];
        kind->expected =
            begun_anew ? kind->renewed : kind->expected || (kind->renewed && kind->before);
        kind->before = kind->renewed;
        kind->renewed = false;
    }
    if (begun_anew && ear->rounds < ROUNDS_FIRST)
        ear->rounds++;
}

static int by_age(const void *a, const void *b)
{
    const struct kind *left = a, *right = b;
    return (left->at > right->at) - (left->at < right->at);
}

/* A master may take its time: values are good for as long as with a slow line of our own. One long
 * round is no habit. */
static void note_round(struct ear *ear, double now)
{
    const double round_s = now - ear->told_at;
    if (!isnan(ear->round_s) && !isnan(round_s))
        ear->poller->pace.round_s = fmin(round_s, ear->round_s);
    ear->round_s = round_s;
    ear->told_at = now;
}

/* Behind a weak check an answer that was in doubt, and that the master has not asked for again, would agree with itself
 * each time that something else of the pack is told: the one before it stands in its place. Several in a row count. */
static void take_back(struct kind *kind)
{
    if (kind->at != kind->doubted_at || kind->doubts >= DOUBTS_MOST || isinf(kind->good_at))
        return;
    kind->part = kind->good;
    kind->at = kind->good_at;
}

static void note_verdict(struct ear *ear, bool believed)
{
    for (unsigned i = 0; i < ear->count; i++) {
        struct kind *kind = &ear->kinds[i];
        if (kind->at == kind->good_at || (!believed && kind->at == kind->doubted_at))
            continue;
        if (believed) {
            kind->good = kind->part;
            kind->good_at = kind->at;
            kind->doubts = 0;
        } else {
            kind->doubted_at = kind->at;
            kind->doubts++;
        }
    }
}

/* What is known of the pack is put together, the newest last. */
static void tell(struct listener *listener, struct ear *ear, double now)
{
    struct poller *poller = ear->poller;
    double oldest = INFINITY;
    for (unsigned i = 0; i < ear->count && driver_of(ear)->check == BMS_CHECK_SUM; i++)
        take_back(&ear->kinds[i]);
    qsort(ear->kinds, ear->count, sizeof *ear->kinds, by_age);
    pack_clear(&poller->incoming);
    for (unsigned i = 0; i < ear->count; i++) {
        struct kind *kind = &ear->kinds[i];
        if (is_old(ear, kind, now))
            continue;
        pack_merge(&poller->incoming, &kind->part);
        kind->part.implausible = 0;
        if (tells_values(&kind->part))
            oldest = fmin(oldest, kind->at);
    }
    if (isinf(oldest) || !tells_values(&poller->incoming))
        return;
    note_round(ear, now);
    bool believed = cycle_heard(poller, now, now - oldest);
    note_verdict(ear, believed);
    if (believed)
        listener->events.heard(listener->data, poller, now);
}

/* One reply is whole. */
static void take_values(struct listener *listener, struct ear *ear, uint32_t asked, double at,
                        double now)
{
    if (!tells_anything(&listener->incoming))
        return;
    const bool again = kind_of(ear, asked)->renewed && tells_values(&listener->incoming);
    /* What is asked twice in a row was not believed at once, or its reply was lost for its master. */
    ear->repeats = asked != ear->last            ? 0
                   : ear->repeats < REPEATS_MOST ? ear->repeats + 1
                                                 : REPEATS_MOST;
    ear->last = asked;
    if (again && (ear->repeats == 0 || ear->repeats == REPEATS_MOST)) {
        end_round(ear, true);
        if (ear->rounds == ROUNDS_FIRST)
            tell(listener, ear, now);
    }
    struct kind *kind = kind_of(ear, asked);
    kind->part = listener->incoming;
    kind->every_s = at - kind->at;
    kind->at = at;
    kind->renewed = true;
    if (is_over(ear)) {
        end_round(ear, false);
        tell(listener, ear, now);
    }
}

/* ---- frames ---- */

/* The master asks; true: it does, with so many bytes. */
static bool find_question(struct listener *listener, struct bms_span *span)
{
    bool more = false, found = false;
    struct question asked = {.open = true, .heard_at = listener->heard_at};
    for (unsigned i = 0; i < listener->count && !asked.ear; i++) {
        struct ear *ear = &listener->ears[i];
        int address = -1;
        struct bms_span seen =
            driver_of(ear)->question(&ear->poller->bms, listener->bytes, listener->size, &address);
        more |= seen.kind == BMS_MORE;
        if (seen.kind != BMS_FRAME || seen.size > listener->size)
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
    asked.at = time_of_first(listener);
    asked.request.size = span->size < BMS_REQUEST_MAX ? span->size : 0;
    memcpy(asked.request.bytes, listener->bytes, asked.request.size);
    show_question(listener, asked.bms->driver, listener->bytes, span->size);
    listener->question = asked;
    pack_clear(&listener->incoming);
    return true;
}

/* A frame that says by itself whose it is and what is in it; `asked` is not told of it. */
static void take_unasked(struct listener *listener, const struct bms_driver *driver,
                         const struct ear *asked, const struct bms_span *span, double now)
{
    static const struct bms_request nothing;
    const double at = time_of_first(listener);
    for (unsigned i = 0; i < listener->count; i++) {
        struct ear *ear = &listener->ears[i];
        if (ear == asked || driver_of(ear) != driver)
            continue;
        pack_clear(&listener->incoming);
        const enum bms_result result = driver->decode(&ear->poller->bms, &nothing, listener->bytes,
                                                      span->size, &listener->incoming);
        if (result == BMS_DONE || result == BMS_PARTIAL)
            take_values(listener, ear, hash_of(listener->bytes, HEAD_SIZE), at, now);
    }
}

/* A frame behind the question. A master that waits in vain for somebody's reply may go on with what it tells of
 * itself. */
static void take_reply(struct listener *listener, const struct bms_span *span, double now)
{
    struct question *question = &listener->question;
    struct ear *ear = question->ear;
    enum bms_result result = BMS_FOREIGN;
    show_reply(listener, question->bms->driver, listener->bytes, span->size);
    if (ear)
        result = driver_of(ear)->decode(&ear->poller->bms, &question->request, listener->bytes,
                                        span->size, &listener->incoming);
    if (result == BMS_PARTIAL)
        question->heard_at = listener->heard_at;
    if (result == BMS_FOREIGN && question->bms->driver->tells_itself)
        take_unasked(listener, question->bms->driver, ear, span, now);
    if (result == BMS_PARTIAL || result == BMS_FOREIGN)
        return;
    question->open = false;
    if (result == BMS_DONE)
        take_values(listener, ear, hash_of(question->request.bytes, question->request.size),
                    question->at, now);
    else if (result == BMS_INVALID)
        plan_disturbed(ear->poller, now);
}

/* A reply to the question that is open, else what tells itself. */
static bool find_reply(struct listener *listener, struct bms_span *span, double now)
{
    static const struct bms_request nothing;
    struct question *question = &listener->question;
    if (question->open) {
        *span = question->bms->driver->frame(question->bms, &question->request, listener->bytes,
                                             listener->size);
        if (span->kind == BMS_FRAME && span->size <= listener->size) {
            take_reply(listener, span, now);
            return true;
        }
        if (span->kind == BMS_DAMAGED && question->ear)
            question->ear->poller->counters.damaged++;
        return false;
    }
    *span = (struct bms_span){BMS_SKIP, 1};
    for (unsigned i = 0; i < listener->count; i++) {
        const struct bms_driver *driver = driver_of(&listener->ears[i]);
        struct bms_span seen = {BMS_SKIP, 1};
        if (driver->tells_itself)
            seen = driver->frame(&listener->ears[i].poller->bms, &nothing, listener->bytes,
                                 listener->size);
        if (seen.kind == BMS_FRAME && seen.size <= listener->size) {
            *span = seen;
            show_reply(listener, driver, listener->bytes, span->size);
            take_unasked(listener, driver, NULL, span, now);
            return true;
        }
        if (seen.kind == BMS_MORE)
            *span = seen;
    }
    return false;
}

/* Through what the buffer holds, byte by byte: a question of the master may stand anywhere, also
 * where a reply was cut off. `quiet`: nothing more is coming. */
static void go_through(struct listener *listener, bool quiet, double now)
{
    while (listener->size > 0) {
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
        if (more && !quiet && listener->size < BMS_FRAME_MAX)
            return;
        listener->skipped++;
        drop(listener, 1);
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
    while (size > 0) {
        const size_t room = sizeof listener->bytes - listener->size;
        const size_t part = size < room ? size : room;
        set_mark(listener, now - lag_s);
        memcpy(listener->bytes + listener->size, bytes, part);
        listener->size += part;
        bytes += part;
        size -= part;
        go_through(listener, false, now);
    }
}

double listener_wait(struct listener *listener, double now)
{
    if (listener->size == 0)
        return INFINITY;
    if (now - listener->heard_at < QUIET_S)
        return listener->heard_at + QUIET_S;
    go_through(listener, true, now);
    return INFINITY;
}
