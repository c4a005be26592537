// SPDX-License-Identifier: MIT
/*
 * A line in a storm: the far end delays, drops, splits and merges what it says, closes, stands still and talks nonsense,
 * while orders and loans come and go at any moment and turns of the loop are late. All by chance, on a clock that is
 * turned. Whatever happens: no value is younger than it says, no order is confirmed that was not carried out, nobody
 * gets the answer to somebody else's request, and when the storm is over all goes on by itself.
 *
 * SEED=n SEEDS=m plays other storms, DRIVER=name with one driver only; TRACE=1 shows what passes.
 */
#include "lines/ledger.h"
#include "lines/line.h"

#include "base/clock.h"
#include "base/log.h"
#include "simulator/options.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pack_test.h"

#include "loopback.h"
#include "turned_clock.h"

#define PACKS_MOST 3
#define QUEUE 512
#define STREAM 4000000
#define STORM_S 60.0
#define CALM_S 85.0
#define BUSY_S 60.0 /* s of calm after the storm; orders and loans continue, and must end */
#define STORMS 3
#define IDLE_MOST_S 60.0 /* s without a request */
#define ANSWER_LATEST_S 10.5
#define HELD_MOST_S 4 /* s for which a server holds an answer for the next connection */
#define TAIL_S 0.5    /* s by which the tail of a complete answer may be late */
#define OUR_SOC 60
#define THEIR_SOC 70

enum tag { NO_ONE, OURS, THEIRS };

struct item {
    uint8_t bytes[BMS_FRAME_MAX];
    size_t size;
    double at, sent_at;
    enum tag tag;
    unsigned connection;
};

struct customer {
    struct order order;
    bool waits;
    bool on;
    enum bms_switch which;
    double next_at;
    unsigned done, results[ORDER_RESULTS];
    double done_at;
};

struct bench {
    struct ev_loop *loop;
    unsigned seed;
    const struct bms_driver *driver;
    bool keeps; /* the server passes a late answer on to the next connection */
    struct line_config line_config;
    struct pack_config packs[PACKS_MOST];
    struct poller *pollers[PACKS_MOST];
    unsigned count;
    struct line *line;
    struct line_tap tap;
    double began_at;
    /* the far end */
    int listener, peer;
    ev_io accepting, hearing;
    unsigned connection;
    struct bms far[PACKS_MOST];
    struct pack state[PACKS_MOST];
    struct item requests[QUEUE], answers[QUEUE];
    unsigned request_count, answer_count;
    uint8_t tags[STREAM];
    size_t written, read;
    struct item sent[QUEUE];
    unsigned sent_count, sent_opening;
    ev_timer ticking;
    /* the weather */
    bool storm;
    double next_weather_at, delay_s, stall_until, silent_until;
    double drop_request, drop_answer, garbage, closes, split, refuse;
    /* orders and loans */
    struct customer customers[PACKS_MOST];
    struct loan loan;
    bool wants, lent, passing;
    double loan_next_at, loan_end_at, loan_pass_at;
    int take_back_in; /* 1: begun, 2: received */
    unsigned loans, loans_begun, loans_answered;
    double loan_answered_at, loan_begun_at, order_done_at;
    /* what was seen */
    double last_sent_at, came_at, was_there_at;
    unsigned published[PACKS_MOST], faults;
};

static unsigned drawn(struct bench *bench)
{
    bench->seed = bench->seed * 1103515245u + 12345u;
    return bench->seed >> 8 & 0xffff;
}

static double chance(struct bench *bench)
{
    return drawn(bench) / 65536.0;
}

static void fault(struct bench *bench, const char *what, double seconds)
{
    if (bench->faults++ < 5)
        print_message("%s, %u packs%s: at %.2f %s (%.2f)\n", bench->driver->name, bench->count,
                      bench->keeps ? ", server" : "", clock_now() - bench->began_at, what, seconds);
}

static void write_out(struct bench *bench, const uint8_t *bytes, size_t size, enum tag tag)
{
    if (bench->peer < 0 || bench->written + size > STREAM)
        return;
    const ssize_t sent = send(bench->peer, bytes, size, MSG_NOSIGNAL);
    for (ssize_t i = 0; i < sent; i++)
        bench->tags[bench->written++] = (uint8_t) tag;
}

static void hang_up(struct bench *bench)
{
    if (bench->peer < 0)
        return;
    ev_io_stop(bench->loop, &bench->hearing);
    close(bench->peer);
    bench->peer = -1;
}

static void carry_out(struct bench *bench, const struct item *request)
{
    const double now = clock_now();
    if (bench->storm && chance(bench) < bench->drop_request)
        return;
    if (now < bench->silent_until)
        return;
    struct bms_output out = {.size = 0};
    for (unsigned i = 0; i < bench->count && out.size == 0; i++) {
        struct pack pack = bench->state[i];
        const double mv = simulator_clock_cell_mv(now);
        for (int c = 0; c < 16; c++)
            pack_set(&pack, (enum pack_value)(CELL_MV + c), mv);
        pack_set(&pack, VOLTAGE_V, mv * 16 / 1000);
        pack_set(&pack, SOC_PERCENT, request->tag == THEIRS ? THEIR_SOC : OUR_SOC);
        pack_derive(&pack);
        bms_emulate(&bench->far[i], &pack, request->bytes, request->size, &out);
        bench->state[i].value[CHARGE_MOS] = pack.value[CHARGE_MOS];
        bench->state[i].value[DISCHARGE_MOS] = pack.value[DISCHARGE_MOS];
    }
    if (out.size == 0 || (bench->storm && chance(bench) < bench->drop_answer) ||
        bench->answer_count == QUEUE)
        return;
    struct item *answer = &bench->answers[bench->answer_count];
    memcpy(answer->bytes, out.bytes, out.size);
    answer->size = out.size;
    answer->tag = request->tag;
    answer->connection = request->connection;
    answer->sent_at = request->sent_at;
    answer->at =
        fmin(now + 0.02 + bench->delay_s * chance(bench) / 2,
             fmax(now, request->sent_at + ANSWER_LATEST_S - (bench->keeps ? HELD_MOST_S : 0)));
    if (bench->answer_count > 0)
        answer->at = fmax(answer->at, answer[-1].at);
    bench->answer_count++;
}

static void say(struct bench *bench, struct item *answer)
{
    if (answer->connection != bench->connection && !bench->keeps)
        return;
    if (bench->storm && chance(bench) < bench->garbage) {
        uint8_t noise[24];
        const size_t size = 1 + drawn(bench) % sizeof noise;
        for (size_t i = 0; i < size; i++)
            noise[i] = (uint8_t) drawn(bench);
        write_out(bench, noise, size, NO_ONE);
        if (chance(bench) < 0.5) {
            const size_t cut = drawn(bench) % answer->size;
            write_out(bench, answer->bytes, cut, answer->tag);
            return;
        }
    }
    write_out(bench, answer->bytes, answer->size, answer->tag);
}

static void run_far_end(struct bench *bench)
{
    const double now = clock_now();
    while (bench->request_count > 0 && now >= bench->requests[0].at) {
        carry_out(bench, &bench->requests[0]);
        memmove(bench->requests, bench->requests + 1,
                --bench->request_count * sizeof *bench->requests);
    }
    while (bench->answer_count > 0 && now >= bench->answers[0].at) {
        struct item *answer = &bench->answers[0];
        /* What a server keeps it does not keep for ever, also when it stands still again and again. */
        const bool latest = bench->keeps && now >= answer->sent_at + ANSWER_LATEST_S;
        if (now < bench->stall_until && !latest)
            break;
        if (bench->storm && chance(bench) < bench->split && answer->size > 1 && !latest) {
            const size_t part = 1 + drawn(bench) % (answer->size - 1);
            if (answer->connection == bench->connection || bench->keeps)
                write_out(bench, answer->bytes, part, answer->tag);
            memmove(answer->bytes, answer->bytes + part, answer->size - part);
            answer->size -= part;
            answer->at = now + 0.3 * chance(bench);
            break;
        }
        say(bench, answer);
        memmove(bench->answers, bench->answers + 1, --bench->answer_count * sizeof *bench->answers);
        if (bench->storm && chance(bench) < bench->closes)
            hang_up(bench);
    }
}

static void on_heard(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    uint8_t bytes[4096];
    const ssize_t size = read(io->fd, bytes, sizeof bytes);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN)
            hang_up(bench);
        return;
    }
    for (size_t at = 0; at < (size_t) size && bench->sent_count > 0;) {
        const struct item *next = &bench->sent[0];
        if (at + next->size > (size_t) size || memcmp(bytes + at, next->bytes, next->size) != 0)
            break;
        at += next->size;
        if (bench->request_count < QUEUE) {
            struct item *request = &bench->requests[bench->request_count];
            *request = *next;
            request->connection = bench->connection;
            request->sent_at = clock_now();
            request->at = clock_now() + bench->delay_s * chance(bench) / 2;
            if (bench->request_count > 0)
                request->at = fmax(request->at, request[-1].at);
            bench->request_count++;
        }
        memmove(bench->sent, bench->sent + 1, --bench->sent_count * sizeof *bench->sent);
    }
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    const int fd = accept(io->fd, NULL, NULL);
    if (fd < 0)
        return;
    hang_up(bench);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (bench->storm && chance(bench) < bench->refuse) {
        close(fd);
        return;
    }
    bench->peer = fd;
    bench->connection++;
    bench->written = bench->read = 0;
    if (!bench->keeps)
        bench->stall_until = 0;
    ev_io_set(&bench->hearing, fd, EV_READ);
    ev_io_start(loop, &bench->hearing);
}

static void open_far_end(struct bench *bench)
{
    bench->peer = -1;
    bench->listener = listen_as_line(bench->line_config.port, sizeof bench->line_config.port);
    ev_init(&bench->accepting, on_accept);
    ev_init(&bench->hearing, on_heard);
    bench->accepting.data = bench->hearing.data = bench;
    ev_io_set(&bench->accepting, bench->listener, EV_READ);
    ev_io_start(bench->loop, &bench->accepting);
}

static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct bench *bench = data;
    if (getenv("TRACE"))
        print_message("%.2f %c%s %02x %zu\n", clock_now() - bench->began_at, direction,
                      direction == '<'                ? ""
                      : bench->lent || bench->passing ? "theirs"
                                                      : "ours",
                      bytes[0], size);
    if (direction == '<') {
        for (size_t i = bench->read; i < bench->read + size; i++)
            bench->came_at = bench->tags[i] == NO_ONE ? bench->came_at : clock_now();
        bench->read += size;
        return;
    }
    bench->last_sent_at = clock_now();
    const unsigned opening = line_facts(bench->line).openings;
    if (opening != bench->sent_opening)
        bench->sent_count = 0;
    bench->sent_opening = opening;
    if (bench->sent_count == QUEUE)
        return;
    struct item *item = &bench->sent[bench->sent_count++];
    memcpy(item->bytes, bytes, size);
    item->size = size;
    item->tag = bench->lent || bench->passing ? THEIRS : OURS;
}

static void on_gone(void *data)
{
}

static double measured_ago(double cell_mv, double now)
{
    double then = round((cell_mv - SIMULATOR_CLOCK_FROM_MV) / 10) / 4;
    double since = fmod(now, SIMULATOR_CLOCK_S) - then;
    return since < -0.3 ? since + SIMULATOR_CLOCK_S : since;
}

static void look_at(struct bench *bench, unsigned i)
{
    const struct poller *poller = bench->pollers[i];
    const double now = clock_now(), told = now - poller->published_at;
    if (poller_stale(poller, now) || told > SIMULATOR_CLOCK_S - 15)
        return;
    const double lie = measured_ago(poller->values.value[CELL_MV], now) - told;
    if (lie > 0.4)
        fault(bench, "a value is older than it says", lie);
    if (poller->values.value[SOC_PERCENT] > (OUR_SOC + THEIR_SOC) / 2)
        fault(bench, "a value is the borrower's", poller->values.value[SOC_PERCENT]);
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    for (unsigned i = 0; i < bench->count; i++)
        if (bench->pollers[i] == poller) {
            bench->published[i]++;
            look_at(bench, i);
        }
}

static void on_ordered(void *data, enum order_result result)
{
    struct customer *customer = data;
    customer->waits = false;
    customer->results[result]++;
    if (result == ORDER_DONE)
        customer->done_at = clock_now();
}

static void give_order(struct bench *bench, unsigned i)
{
    struct customer *customer = &bench->customers[i];
    customer->which = drawn(bench) % 2 ? BMS_CHARGE_MOS : BMS_DISCHARGE_MOS;
    customer->on = drawn(bench) % 2;
    customer->order =
        (struct order){.poller = bench->pollers[i], .done = on_ordered, .data = customer};
    customer->order.switches.wanted[customer->which] = true;
    customer->order.switches.on[customer->which] = customer->on;
    customer->waits = line_order(bench->line, &customer->order);
}

/* Orders of topbms depend on states that this far end does not have. */
static bool can_order(const struct bms_driver *driver)
{
    return driver->control && !driver->wants_password && strcmp(driver->name, "topbms") != 0;
}

static void run_customers(struct bench *bench)
{
    const double now = clock_now();
    for (unsigned i = 0; i < bench->count && bench->driver->control; i++) {
        struct customer *customer = &bench->customers[i];
        const enum pack_value id = customer->which == BMS_CHARGE_MOS ? CHARGE_MOS : DISCHARGE_MOS;
        if (customer->done_at > 0) {
            customer->done_at = 0;
            customer->done++;
            bench->order_done_at = now;
            if (bench->state[i].value[id] != customer->on)
                fault(bench, "an order is confirmed that was not carried out", i);
        }
        if (customer->waits || now < customer->next_at)
            continue;
        customer->next_at = now + (bench->storm ? 15 * chance(bench) : 15);
        give_order(bench, i);
    }
}

static void draw_request(struct bench *bench, struct bms_request *request)
{
    struct bms bms = bench->pollers[drawn(bench) % bench->count]->bms;
    const unsigned from = drawn(bench) % bench->driver->steps;
    request->size = 0;
    for (unsigned i = 0; i < bench->driver->steps && request->size == 0; i++)
        if (!bench->driver->build(&bms, (from + i) % bench->driver->steps, request))
            request->size = 0;
}

static void end_loan(struct bench *bench)
{
    bench->wants = bench->lent = false;
    bench->loan_next_at = clock_now() + (chance(bench) < 0.5 ? 0.1 : 8 * chance(bench));
}

static void take_back(struct bench *bench)
{
    line_take_back(bench->line, &bench->loan);
    end_loan(bench);
    memset(&bench->loan, 0x5a, sizeof bench->loan);
}

static void on_begun(void *data)
{
    struct bench *bench = data;
    bench->lent = true;
    bench->was_there_at = bench->came_at;
    bench->loans_begun++;
    bench->loan_begun_at = clock_now();
    if (bench->take_back_in == 1)
        take_back(bench);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct bench *bench = data;
    unsigned ours = 0;
    for (size_t i = bench->read - size; i < bench->read; i++) {
        ours += bench->tags[i] == OURS;
        if (bench->tags[i] == THEIRS)
            bench->loan_answered_at = clock_now();
    }
    const double quiet_s = bench->loan_begun_at - bench->was_there_at;
    if (ours > 0 && bench->count == 1 && quiet_s > TAIL_S && quiet_s < ANSWER_MOST_S)
        fault(bench, "the borrower gets our answer", ours);
    if (bench->take_back_in == 2)
        take_back(bench);
}

static void on_done(void *data, enum loan_result result)
{
    struct bench *bench = data;
    bench->loans_answered += result == LOAN_ANSWERED;
    end_loan(bench);
}

static void run_borrower(struct bench *bench)
{
    const double now = clock_now();
    struct bms_request request;
    if (bench->wants && now >= bench->loan_end_at) {
        take_back(bench);
        return;
    }
    if (bench->wants && bench->lent && bench->loan.open_end && now >= bench->loan_pass_at) {
        draw_request(bench, &request);
        bench->passing = true;
        if (request.size > 0)
            line_pass(bench->line, &bench->loan, request.bytes, request.size);
        bench->passing = false;
        bench->loan_pass_at = now + 2 * chance(bench);
    }
    if (bench->wants || now < bench->loan_next_at)
        return;
    const bool open_end = chance(bench) < 0.2;
    bench->loan = (struct loan){.open_end = open_end,
                                .begun = on_begun,
                                .received = on_received,
                                .done = on_done,
                                .data = bench,
                                .queued_at = now};
    if (!open_end) {
        draw_request(bench, &request);
        memcpy(bench->loan.bytes, request.bytes, request.size);
        bench->loan.size = request.size;
        if (request.size == 0)
            return;
    }
    bench->take_back_in = bench->storm ? (int) (drawn(bench) % 12) : 0;
    bench->loan_end_at = now + (bench->storm ? 0.1 + 8 * chance(bench) : open_end ? 2 : INFINITY);
    bench->loan_pass_at = 0;
    bench->lent = false;
    bench->loans++;
    bench->wants = line_lend(bench->line, &bench->loan);
    if (!bench->wants)
        bench->loan_next_at = now + 1;
}

static double sometimes(struct bench *bench, double probability, double most)
{
    return chance(bench) < probability ? most * chance(bench) : 0;
}

static void turn_weather(struct bench *bench)
{
    const double now = clock_now();
    const double in_s = fmod(now - bench->began_at, STORM_S + CALM_S);
    const bool storm = in_s < STORM_S;
    if (bench->storm && !storm) {
        bench->stall_until = bench->silent_until = 0;
        bench->delay_s = 0;
    }
    bench->storm = storm;
    if (!storm || now < bench->next_weather_at)
        return;
    bench->next_weather_at = now + 5 + 15 * chance(bench);
    bench->delay_s = sometimes(bench, 0.5, chance(bench) < 0.5 ? 2 : ANSWER_LATEST_S);
    bench->drop_request = sometimes(bench, 0.3, 0.5);
    bench->drop_answer = sometimes(bench, 0.4, 0.6);
    bench->garbage = sometimes(bench, 0.3, 0.5);
    bench->closes = sometimes(bench, 0.2, 0.3);
    bench->refuse = sometimes(bench, 0.2, 1);
    bench->split = sometimes(bench, 0.3, 0.8);
    if (chance(bench) < 0.3)
        bench->silent_until = now + 15 * chance(bench);
    if (chance(bench) < 0.4)
        bench->stall_until = now + (bench->keeps ? HELD_MOST_S : 40) * chance(bench);
    if (chance(bench) < 0.1)
        hang_up(bench);
    if (chance(bench) < 0.3)
        turned_clock_at += 12 * chance(bench);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    turn_weather(bench);
    run_far_end(bench);
    if (fmod(clock_now() - bench->began_at, STORM_S + CALM_S) < STORM_S + BUSY_S) {
        run_customers(bench);
        run_borrower(bench);
    } else if (bench->wants) {
        take_back(bench);
    }
    for (unsigned i = 0; i < bench->count; i++)
        look_at(bench, i);
    const double now = clock_now();
    if (now - bench->last_sent_at > IDLE_MOST_S) {
        fault(bench, "nothing is sent", now - bench->last_sent_at);
        bench->last_sent_at = now;
    }
}

static void open_bench(struct bench *bench, const struct bms_driver *driver, unsigned count,
                       bool keeps, unsigned seed)
{
    static const struct line_events events = {.published = on_published};
    *bench = (struct bench){.loop = ev_default_loop(0),
                            .driver = driver,
                            .count = count,
                            .keeps = keeps,
                            .seed = seed * 7919 + 1,
                            .began_at = clock_now(),
                            .last_sent_at = clock_now(),
                            .line_config = {.name = "line"}};
    open_far_end(bench);
    for (unsigned i = 0; i < count; i++) {
        bms_init(&bench->far[i], driver);
        bench->far[i].options =
            (struct bms_options){.address = driver->address.usual + (int) i, .adr = -1};
        struct pack *state = &bench->state[i];
        pack_clear(state);
        set_values(state, {CURRENT_A, 5}, {REMAINING_AH, 120}, {FULL_AH, 200}, {RATED_AH, 200},
                   {CYCLES, 80}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {CELL_COUNT, 16},
                   {TEMP_COUNT, 2}, {TEMP_C, 20}, {TEMP_C + 1, 21});
        struct pack_config *pack = &bench->packs[i];
        *pack = (struct pack_config){
            .line = &bench->line_config,
            .driver = driver,
            .options = {.address = driver->address.usual + (int) i, .adr = -1, .shared = count > 1},
            .poll_s = 1,
            .stale_after_s = 10};
        snprintf(pack->name, sizeof pack->name, "pack-%u", i);
        bench->pollers[i] = poller_new(pack);
        assert_non_null(bench->pollers[i]);
    }
    bench->line = line_new(bench->loop, &bench->line_config, bench->pollers, count, &events, bench);
    assert_non_null(bench->line);
    bench->tap = (struct line_tap){.passed = on_passed, .gone = on_gone, .data = bench};
    line_watch(bench->line, &bench->tap);
    ev_timer_init(&bench->ticking, on_tick, 0.02, 0.02);
    bench->ticking.data = bench;
    line_start(bench->line);
    ev_now_update(bench->loop);
    ev_timer_start(bench->loop, &bench->ticking);
}

static void close_bench(struct bench *bench)
{
    ev_timer_stop(bench->loop, &bench->ticking);
    line_free(bench->line);
    for (unsigned i = 0; i < bench->count; i++)
        poller_free(bench->pollers[i]);
    ev_io_stop(bench->loop, &bench->accepting);
    hang_up(bench);
    close(bench->listener);
}

static unsigned play(const struct bms_driver *driver, unsigned count, bool keeps, unsigned seed)
{
    static struct bench bench;
    turned_clock_at = ceil(turned_clock_at / 1000) * 1000 + seed;
    ev_now_update(ev_default_loop(0));
    open_bench(&bench, driver, count, keeps, seed);
    for (unsigned storm = 1; storm <= STORMS; storm++) {
        const double end = bench.began_at + storm * (STORM_S + CALM_S) - 0.5;
        while (clock_now() < end)
            ev_run(bench.loop, EVRUN_ONCE);
        const double now = clock_now(), since = now - CALM_S;
        for (unsigned i = 0; i < count; i++)
            if (poller_stale(bench.pollers[i], now))
                fault(&bench, "stale after the storm", now - bench.pollers[i]->published_at);
        if (bench.loan_begun_at < since)
            fault(&bench, "no loan begins after the storm", now - bench.loan_begun_at);
        if (bench.loan_answered_at < since)
            fault(&bench, "no loan is answered after the storm", now - bench.loan_answered_at);
        if (can_order(driver) && bench.order_done_at < since)
            fault(&bench, "no order is done after the storm", now - bench.order_done_at);
    }
    if (bench.faults > 0 || getenv("LOUD")) {
        print_message("%s, %u packs%s, seed %u: %u faults, published %u, loans %u/%u/%u",
                      driver->name, count, keeps ? ", server" : "", seed, bench.faults,
                      bench.published[0], bench.loans, bench.loans_begun, bench.loans_answered);
        for (unsigned r = 0; r < ORDER_RESULTS; r++)
            print_message(" %u", bench.customers[0].results[r]);
        print_message("\n");
    }
    close_bench(&bench);
    return bench.faults;
}

TEST(survives_a_storm)
{
    unsigned wrong = 0;
    const unsigned from = getenv("SEED") ? (unsigned) atoi(getenv("SEED")) : 1,
                   seeds = getenv("SEEDS") ? (unsigned) atoi(getenv("SEEDS")) : 2;
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        const char *only = getenv("DRIVER");
        if (bms_talks(driver) || driver->mask || !driver->emulate ||
            strcmp(driver->name, "modbus") == 0 || strcmp(driver->name, "renogy") == 0 ||
            strcmp(driver->name, "daly-sinowealth") == 0 ||
            (only && strcmp(only, driver->name) != 0))
            continue;
        for (unsigned seed = from; seed < from + seeds; seed++)
            for (unsigned c = 0; c < 4; c++) {
                const unsigned count = c < 2 ? 1 : 2 + seed % 2;
                if (count > 1 && !bms_has_address(driver))
                    continue;
                wrong += play(driver, count, c % 2, seed);
            }
    }
    assert_int_equal(wrong, 0);
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
}
