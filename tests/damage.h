// SPDX-License-Identifier: MIT
/*
 * What becomes of damaged frames: a simulated pack whose values stand still is polled through the
 * whole path (buffer, framer, decoder, poller, what of it is believed), some of its replies are
 * damaged on the way, and what is published is compared with what the pack said. For the test, which
 * tries some thousands, and for the benchmark, which tries as many as it is told to.
 */
#pragma once

#include "lines/poller.h"
#include "answers.h"
#include "lines/reply.h"
#include "bms/battery.h"
#include "bms/prng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAMAGE_WARM_UP 6 /* cycles; after them everything that the pack reports has been read */
#define DAMAGE_FIRST 120 /* cycles after which all values are known not to change */
#define DAMAGE_STORM 100 /* cycles in which half of the replies are damaged */
#define DAMAGE_CALM 200  /* cycles before a storm, in which a few replies are damaged */
#define DAMAGE_EXCHANGE_S 0.05

struct damage_counts {
    unsigned long damaged;   /* replies that were changed on the way */
    unsigned long passed;    /* of these, accepted by the framer and by the decoder */
    unsigned long published; /* cycles */
    unsigned long wrong;     /* cycles with a value, state or text that the pack never sent */
    unsigned long unknown;   /* cycles between storms without a value that the pack always sends */
    unsigned long asked;     /* requests */
    char first_wrong[200];   /* describes the first wrong cycle; empty: none */
};

/* Caches the replies of the far end: its driver is pure and its values do not change, so the same request in the same
 * state gets the same reply. Computing replies would be most of the work of a trial. */
struct damage_reply {
    struct bms before, after;
    struct bms_request request;
    struct bms_output out;
    bool known;
};
#define DAMAGE_REPLIES 64

struct damage {
    struct line_config line;
    struct pack_config config;
    struct poller *poller;
    struct bms far_end;
    struct damage_reply replies[DAMAGE_REPLIES];
    struct pack told, truth;
    struct pack readable; /* values known at the end of the last storm */
    struct reply reply;
    struct damage_counts counts;
    uint64_t seed;
    double now;
    unsigned left; /* replies that are still to be damaged in a row */
    bool storm;
    bool armed; /* damage may begin in this cycle */
    bool known; /* `truth` has been read */
};

static inline void damage_flip(uint8_t *bytes, size_t size, uint64_t *seed)
{
    unsigned bit = (unsigned) (prng_next(seed) % (8 * size));
    bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
}

/* Flips the same bit of two bytes, one up and one down: no sum detects that. */
static inline void damage_compensate(uint8_t *bytes, size_t size, uint64_t *seed)
{
    uint8_t bit = (uint8_t) (1u << prng_range(seed, 0, 7));
    size_t a = (size_t) (prng_next(seed) % size);
    for (size_t tries = 0; tries < size; tries++) {
        size_t b = (size_t) (prng_next(seed) % size);
        if ((bytes[a] ^ bytes[b]) & bit) {
            bytes[a] ^= bit;
            bytes[b] ^= bit;
            return;
        }
    }
    damage_flip(bytes, size, seed);
}

/* Loses or inserts a byte; returns the new size. */
static inline size_t damage_shift(uint8_t *bytes, size_t size, size_t room, uint64_t *seed)
{
    size_t at = (size_t) (prng_next(seed) % size);
    if (prng_range(seed, 0, 1) == 0 || size == room) {
        memmove(bytes + at, bytes + at + 1, size - at - 1);
        return size - 1;
    }
    memmove(bytes + at + 1, bytes + at, size - at);
    bytes[at] = (uint8_t) prng_next(seed);
    return size + 1;
}

/* Returns the size of the damaged reply, which always differs from the original. */
static inline size_t damage_reply(uint8_t *bytes, size_t size, size_t room, uint64_t *seed)
{
    size_t at = (size_t) (prng_next(seed) % size), run = (size_t) prng_range(seed, 2, 8);
    switch (prng_range(seed, 0, 7)) {
    case 0:
        damage_flip(bytes, size, seed);
        break;
    case 1:
    case 2:
        damage_flip(bytes, size, seed);
        damage_flip(bytes, size, seed);
        break;
    case 3:
        for (int i = 0; i < 3; i++)
            damage_flip(bytes, size, seed);
        break;
    case 4:
        bytes[at] ^= (uint8_t) prng_range(seed, 1, 255);
        break;
    case 5:
        for (size_t i = at; i < size && i < at + run; i++)
            bytes[i] = (uint8_t) prng_next(seed);
        break;
    case 6:
        return damage_shift(bytes, size, room, seed);
    default:
        damage_compensate(bytes, size, seed);
    }
    return size;
}

static inline bool damage_is_due(struct damage *damage)
{
    if (!damage->known)
        return false;
    if (damage->storm)
        return prng_range(&damage->seed, 0, 1) == 0;
    if (damage->left == 0 && damage->armed && prng_range(&damage->seed, 0, 3) == 0) {
        damage->armed = false;
        damage->left = (unsigned) prng_range(&damage->seed, 1, 2);
    }
    if (damage->left == 0)
        return false;
    damage->left--;
    return true;
}

static inline void damage_note(struct damage *damage, unsigned long *count, const char *name,
                               double got, double expected)
{
    ++*count;
    if (!damage->counts.first_wrong[0])
        snprintf(damage->counts.first_wrong, sizeof damage->counts.first_wrong,
                 "after %lu damaged: %s is %.10g, the pack said %.10g", damage->counts.damaged,
                 name, got, expected);
}

/* After a storm some cells or sensors may be missing; values derived from the others are right. So is a power that
 * was computed from voltage and current because the reported power was not read. */
static inline bool damage_follows(const struct pack *got, const struct pack *truth, int id)
{
    if (id == POWER_W)
        return got->value[POWER_W] == truth->value[VOLTAGE_V] * truth->value[CURRENT_A];
    bool of_cells = id == CELL_MAX_MV || id == CELL_MIN_MV || id == CELL_MAX_INDEX ||
                    id == CELL_MIN_INDEX || id == CELL_DELTA_MV || id == CELL_AVG_MV;
    unsigned first = of_cells ? CELL_MV : TEMP_C, count = of_cells ? MAX_CELLS : MAX_TEMPS;
    bool missing = false;
    for (unsigned i = first; i < first + count; i++)
        missing |= isnan(got->value[i]) && !isnan(truth->value[i]);
    return missing && (of_cells || id == TEMP_AVG_C);
}

/* During a storm a value may become unknown: it could not be read. */
static inline void damage_compare(struct damage *damage)
{
    const struct pack *got = &damage->poller->values, *truth = &damage->truth;
    char name[VALUE_NAME_SIZE];
    for (int id = 0; id < PACK_VALUES; id++) {
        double value = got->value[id], expected = truth->value[id];
        if (!isnan(value) && value != expected && id != CELLS_UNREAD &&
            !(damage->storm && damage_follows(got, truth, id))) {
            damage_note(damage, &damage->counts.wrong, pack_value_name((enum pack_value) id, name),
                        value, expected);
            return;
        }
        if (isnan(value) && !isnan(damage->readable.value[id]) && !damage->storm &&
            !poller_stale(damage->poller, damage->now)) {
            damage_note(damage, &damage->counts.unknown,
                        pack_value_name((enum pack_value) id, name), value, expected);
            return;
        }
    }
    uint32_t known = got->alarms_known;
    if ((known & ~truth->alarms_known) || (got->alarms_warning & ~truth->alarms_warning) ||
        (got->alarms_protection & ~truth->alarms_protection) ||
        (known & truth->alarms_warning & ~got->alarms_warning) ||
        (known & truth->alarms_protection & ~got->alarms_protection))
        damage_note(damage, &damage->counts.wrong, "alarms", got->alarms_known,
                    truth->alarms_known);
    for (int i = 0; i < PACK_TEXTS; i++)
        if (got->text[i][0] && strcmp(got->text[i], truth->text[i]) != 0)
            damage_note(damage, &damage->counts.wrong, got->text[i], 0, 0);
}

static inline void damage_published(struct damage *damage)
{
    damage->counts.published++;
    if (damage->known)
        damage_compare(damage);
}

static inline enum reply_state damage_decode(struct damage *damage,
                                             const struct bms_request *request, bool silent)
{
    struct poller *poller = damage->poller;
    struct reply_counters before = damage->reply.counters;
    enum reply_state state =
        reply_decode(&damage->reply, &poller->bms, request, silent, &poller->incoming);
    const struct reply_counters *after = &damage->reply.counters;
    if (after->damaged != before.damaged || after->invalid != before.invalid ||
        (silent && state == REPLY_WAITING && after->skipped_bytes > 0))
        plan_disturbed(poller, damage->now);
    return state;
}

static inline bool damage_heard(const struct damage *damage)
{
    const struct reply_counters *counters = &damage->reply.counters;
    return counters->skipped_bytes + counters->damaged + counters->invalid > 0;
}

static inline size_t damage_place(const struct damage *damage, const struct bms_request *request)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < request->size; i++)
        hash = (hash ^ request->bytes[i]) * 16777619;
    for (size_t i = 0; i < 32; i++)
        hash = (hash ^ damage->far_end.memory.bytes[i]) * 16777619;
    return (hash ^ hash >> 16) % DAMAGE_REPLIES;
}

static inline void damage_ask(struct damage *damage, const struct bms_request *request,
                              struct bms_output *out)
{
    struct damage_reply *reply = &damage->replies[damage_place(damage, request)];
    bool same = reply->known && reply->request.size == request->size &&
                memcmp(reply->request.bytes, request->bytes, request->size) == 0 &&
                memcmp(&reply->before, &damage->far_end, sizeof damage->far_end) == 0;
    if (!same) {
        reply->before = damage->far_end;
        reply->request = *request;
        reply->out.size = 0;
        bms_emulate(&damage->far_end, &damage->told, request->size ? request->bytes : NULL,
                    request->size, &reply->out);
        reply->after = damage->far_end;
        reply->known = true;
    }
    damage->far_end = reply->after;
    out->size = reply->out.size;
    memcpy(out->bytes, reply->out.bytes, out->size);
}

/* Puts the reply of the pack, damaged or not, into the buffer. */
static inline bool damage_bring(struct damage *damage, const struct bms_request *request)
{
    struct bms_output out;
    damage_ask(damage, request, &out);
    bool due = out.size > 0 && damage_is_due(damage);
    if (due) {
        out.size = damage_reply(out.bytes, out.size, sizeof out.bytes, &damage->seed);
        damage->counts.damaged++;
    }
    reply_append(&damage->reply, out.bytes, out.size);
    damage->now += DAMAGE_EXCHANGE_S;
    damage->counts.asked++;
    return due;
}

static inline void damage_exchange(struct damage *damage, const struct bms_request *request)
{
    struct poller *poller = damage->poller;
    reply_clear(&damage->reply);
    damage->reply.counters = (struct reply_counters){0};
    bool due = damage_bring(damage, request);
    enum reply_state state = damage_decode(damage, request, false);
    if (state == REPLY_WAITING)
        state = damage_decode(damage, request, true);
    damage->counts.passed += due && state != REPLY_WAITING;
    if (state == REPLY_DONE) {
        answer_request(poller, damage->now);
    } else if (state == REPLY_REFUSED) {
        refuse_request(poller, damage->now);
    } else {
        if (damage_heard(damage))
            plan_disturbed(poller, damage->now);
        plan_unanswered(poller, damage->now);
    }
}

static inline void damage_listen(struct damage *damage)
{
    struct poller *poller = damage->poller;
    const struct bms_request nothing = {.size = 0};
    damage->now += 1 - DAMAGE_EXCHANGE_S;
    bool due = damage_bring(damage, &nothing), passed = false;
    while (damage_decode(damage, &nothing, false) == REPLY_DONE) {
        passed = true;
        if (poller_heard(poller, damage->now, 0))
            damage_published(damage);
    }
    damage->counts.passed += due && passed;
    if (damage->now - poller->presence.last_answer > damage->config.stale_after_s)
        poller_unheard(poller);
}

static inline void damage_cycle(struct damage *damage)
{
    struct poller *poller = damage->poller;
    struct bms_request request;
    bool published = false;
    /* Sometimes this is the first damage for a long time. */
    if (damage->known && !damage->storm && prng_range(&damage->seed, 0, 1) == 0)
        poller->presence.noisy_until = -INFINITY;
    damage->armed = damage->left == 0 && prng_range(&damage->seed, 0, 1) == 0;
    if (bms_talks(damage->config.driver)) {
        damage_listen(damage);
        return;
    }
    damage->now = fmax(damage->now, poller->pace.due);
    while (next_request(poller, damage->now, &request, &published))
        damage_exchange(damage, &request);
    if (published)
        damage_published(damage);
}

static inline unsigned damage_variants(const struct bms_driver *driver)
{
    unsigned count = 0;
    while (driver->variants && driver->variants[count])
        count++;
    return count ? count : 1;
}

static inline const char *damage_variant_name(const struct bms_driver *driver, unsigned variant)
{
    return driver->variants ? driver->variants[variant] : "";
}

static inline void damage_open(struct damage *damage, const struct bms_driver *driver, int variant,
                               uint64_t seed)
{
    const struct battery_settings settings = {.cells = 15,
                                              .temps = 2,
                                              .capacity_ah = 100,
                                              .soc_percent = 61,
                                              .ambient_c = 21,
                                              .profile = BATTERY_FIXED,
                                              .seed = seed};
    struct battery battery;
    memset(damage, 0, sizeof *damage);
    damage->seed = seed;
    damage->now = 1000;
    damage->config = (struct pack_config){.name = "pack",
                                          .line = &damage->line,
                                          .driver = driver,
                                          .poll_s = 1,
                                          .stale_after_s = 10,
                                          .spikes = {10, 20, 300, 10}};
    damage->config.options.address = damage->config.options.adr = -1;
    damage->config.options.variant = variant;
    battery_init(&battery, &settings);
    battery_step(&battery, 0, &damage->told);
    pack_set(&damage->told, CURRENT_A, -20);
    pack_unset(&damage->told, POWER_W);
    pack_derive(&damage->told);
    bms_init(&damage->far_end, driver);
    damage->far_end.options = damage->config.options;
    damage->poller = poller_new(&damage->config);
    if (!damage->poller)
        abort();
    for (int i = 0; i < DAMAGE_FIRST; i++)
        damage_cycle(damage);
    damage->truth = damage->readable = damage->poller->values;
    damage->known = damage->counts.published >= 2;
}

static inline void damage_close(struct damage *damage)
{
    poller_free(damage->poller);
}

/* * Runs until so many replies were damaged. */
static inline void damage_run(struct damage *damage, unsigned long replies)
{
    for (unsigned long cycle = 0; damage->known && damage->counts.damaged < replies; cycle++) {
        bool storm = cycle % (DAMAGE_CALM + DAMAGE_STORM) >= DAMAGE_CALM;
        if (damage->storm && !storm) {
            /* Long enough to recover completely: requests that were given up are sent again. */
            damage->now += 4000;
            damage->known = false;
            for (int i = 0; i < DAMAGE_WARM_UP; i++)
                damage_cycle(damage);
            damage->known = true;
            damage->readable =
                damage->poller->values; /* some drivers pause unanswered requests for long */
        }
        damage->storm = storm;
        damage_cycle(damage);
    }
}
