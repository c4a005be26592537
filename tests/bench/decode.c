// SPDX-License-Identifier: MIT
/*
 * What a poll cycle costs in CPU time, for every driver: the exchanges of one cycle with its
 * emulator are noted once and then replayed many times, through the buffer and the decoder alone
 * (replies whole, and byte by byte as a slow line brings them), and through all of the poller and
 * the encoder of the registers. Prints one JSON object for each driver.
 */
#include "fixture.h"
#include "wire.h"

#include "lines/reply.h"
#include "lines/poller.h"
#include "tests/answers.h"
#include "registers/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CYCLES_BEFORE 4                  /* until the usual requests are the only ones */
#define EXCHANGES_MAX (3 * BMS_PLAN_MAX) /* of a cycle, with repeats */
#define BATCHES 9                        /* of which the median counts */
#define BATCH_S 0.01

struct exchange {
    struct bms_request request;
    struct bms_output reply;
    enum reply_state state;
};

struct session {
    struct pack_config config;
    struct line_config line;
    struct poller *poller;
    struct reply feed;
    struct bms far_end;
    struct pack far_pack;
    struct exchange exchanges[EXCHANGES_MAX];
    unsigned count, at;
    bool replaying;
    const char *trouble; /* why this driver cannot be measured; NULL: nothing */
    struct map_settings settings;
    uint16_t *registers;
};

static void emulate(struct session *session, struct exchange *exchange)
{
    exchange->reply.size = 0;
    bms_emulate(&session->far_end, &session->far_pack,
                exchange->request.size ? exchange->request.bytes : NULL, exchange->request.size,
                &exchange->reply);
}

/* What is advertised has numbers, and one that is said again is taken for an old one. */
static void begin_reply(struct session *session)
{
    reply_clear(&session->feed);
    if (session->config.driver->advertises)
        bms_forget(&session->poller->bms);
}

static enum reply_state take_reply(struct session *session, const struct exchange *exchange)
{
    begin_reply(session);
    reply_append(&session->feed, exchange->reply.bytes, exchange->reply.size);
    return reply_decode(&session->feed, &session->poller->bms, &exchange->request, false,
                        &session->poller->incoming);
}

/* The exchange for a request: a noted one, or one with the emulator that is noted. */
static struct exchange *exchange_for(struct session *session, const struct bms_request *request)
{
    struct exchange *exchange = &session->exchanges[session->at++];
    if (!session->replaying) {
        exchange->request = *request;
        emulate(session, exchange);
        session->count = session->at;
    } else if (exchange->request.size != request->size ||
               memcmp(exchange->request.bytes, request->bytes, request->size) != 0) {
        session->trouble = "the requests of two cycles differ";
    }
    return exchange;
}

static void encode(struct session *session)
{
    const struct map_status status = {.state = MAP_STATE_FRESH,
                                      .driver = session->config.driver->name,
                                      .pack_name = session->config.name};
    uint8_t inputs[MAP_INPUTS], coils[MAP_COILS];
    map_encode(&session->settings, &session->poller->values, &status, session->registers);
    map_encode_bits(&session->poller->values, &status, inputs, coils);
}

static void settle(struct session *session, enum reply_state state, double now)
{
    if (state == REPLY_DONE)
        answer_request(session->poller, now);
    else if (state == REPLY_REFUSED)
        refuse_request(session->poller, now);
    else
        plan_unanswered(session->poller, now);
}

static void hear_talker(struct session *session, double now)
{
    const struct bms_request nothing = {.size = 0};
    struct exchange *exchange = exchange_for(session, &nothing);
    exchange->state = take_reply(session, exchange);
    if (exchange->state == REPLY_DONE)
        poller_heard(session->poller, now, 0);
    else
        session->trouble = "no values";
}

static void ask_all(struct session *session, double now)
{
    struct bms_request request;
    bool published = false;
    while (!session->trouble && next_request(session->poller, now, &request, &published)) {
        if (session->at == EXCHANGES_MAX) {
            session->trouble = "too many requests";
            return;
        }
        struct exchange *exchange = exchange_for(session, &request);
        exchange->state = take_reply(session, exchange);
        settle(session, exchange->state, now);
    }
    if (!session->trouble && !published)
        session->trouble = "no values";
}

static void run_cycle(struct session *session, double now)
{
    session->at = 0;
    if (bms_talks(session->config.driver))
        hear_talker(session, now);
    else
        ask_all(session, now);
    encode(session);
}

/* The same frames, without poller and registers. */
static void run_decoder(struct session *session, double now)
{
    (void) now;
    for (unsigned i = 0; i < session->count; i++)
        if (take_reply(session, &session->exchanges[i]) != session->exchanges[i].state)
            session->trouble = "the same reply is taken in two ways";
}

/* As if every byte woke the loop: a framer that begins anew each time would show. */
static void run_trickle(struct session *session, double now)
{
    struct reply *feed = &session->feed;
    (void) now;
    for (unsigned i = 0; i < session->count; i++) {
        const struct exchange *exchange = &session->exchanges[i];
        enum reply_state state = REPLY_WAITING;
        begin_reply(session);
        for (size_t at = 0; at < exchange->reply.size && state == REPLY_WAITING; at++) {
            reply_append(feed, exchange->reply.bytes + at, 1);
            state = reply_decode(feed, &session->poller->bms, &exchange->request, false,
                                 &session->poller->incoming);
        }
        if (state != exchange->state)
            session->trouble = "a reply that comes byte by byte is taken in another way";
    }
}

static double cpu_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* Median of the time for one call, in microseconds. */
static double measure(struct session *session, double now,
                      void (*work)(struct session *session, double now))
{
    double batch_us[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        unsigned calls = 0;
        double used_s;
        const double start = cpu_s();
        do {
            for (int j = 0; j < 10; j++, calls++)
                work(session, now);
            used_s = cpu_s() - start;
        } while (used_s < BATCH_S && !session->trouble);
        batch_us[i] = used_s / calls * 1e6;
    }
    qsort(batch_us, BATCHES, sizeof *batch_us, compare);
    return batch_us[BATCHES / 2];
}

static void measure_all(struct session *session, double now)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < session->count; i++)
        bytes += session->exchanges[i].reply.size;
    session->replaying = true;
    const double decode_us = measure(session, now, run_decoder);
    const double trickle_us = measure(session, now, run_trickle);
    const double cycle_us = measure(session, now, run_cycle);
    if (!session->trouble)
        printf("{\"driver\": \"%s\", \"requests\": %u, \"reply_bytes\": %zu, "
               "\"decode_us\": %.3f, \"trickle_us\": %.3f, \"cycle_us\": %.3f}\n",
               session->config.driver->name, session->count, bytes, decode_us, trickle_us,
               cycle_us);
}

static void run_driver(struct session *session, const struct bms_driver *driver)
{
    double now = 0;
    *session =
        (struct session){.config = {.name = "bench",
                                    .line = &session->line,
                                    .driver = driver,
                                    .options = {.address = -1, .adr = -1},
                                    .stale_after_s = 60},
                         .settings = {.base = MAP_BASE_DEFAULT, .also_at = MAP_ALSO_AT_DEFAULT}};
    bms_init(&session->far_end, driver);
    session->far_end.options = session->config.options;
    cable_pack(&session->far_pack);
    session->poller = poller_new(&session->config);
    session->registers = calloc(map_size(&session->settings), sizeof *session->registers);
    if (!session->poller || !session->registers)
        fail(driver->name);
    for (int i = 0; i < CYCLES_BEFORE && !session->trouble; i++)
        run_cycle(session, now += 1);
    if (!session->trouble)
        measure_all(session, now);
    if (session->trouble)
        printf("{\"driver\": \"%s\", \"error\": \"%s\"}\n", driver->name, session->trouble);
    poller_free(session->poller);
    free(session->registers);
}

int main(void)
{
    static struct session session;
    for (unsigned i = 0; bms_drivers[i]; i++)
        run_driver(&session, bms_drivers[i]);
    return EXIT_SUCCESS;
}
