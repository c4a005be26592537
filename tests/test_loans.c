// SPDX-License-Identifier: MIT
/*
 * A line that is polled and lent, with answers that come later than anybody waits for them: no answer to a request of ours
 * reaches the program that borrows the line, and none of its answers is taken for ours. Every driver that asks, against an
 * emulated pack that answers one request after the other; what it answers the program and us has other values, and
 * nothing else tells whom it is for. Over a pty and over TCP, once where what is late is lost with its connection, and once
 * where a serial server gives it to the next one. The clock is turned.
 */
#include "lines/line.h"

#include "base/clock.h"
#include "simulator/pty.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pack_test.h"

#include "loopback.h"
#include "turned_clock.h"

#define TURN_S                                                                                     \
    0.02 /* no turn of the clock is longer: what the kernel holds up is late by no more */
#define ANSWER_S 0.03
#define ASK_EACH_S 0.2
#define RUN_S 45.0
#define SILENT_FROM_S 5.0
#define QUEUE 256
#define SAID 1024 /* answers that are recorded */
#define OURS_V 52.5
#define THEIRS_V 51.0
#define OURS_MV 3280
#define THEIRS_MV 3180

enum way { BY_PTY, BY_TCP, BY_SERVER };
static const char *const way_names[] = {"pty", "TCP", "serial server"};

struct scene {
    const char *driver;
    enum way way;
    double late_s;         /* s after the request */
    unsigned ours, theirs; /* every so many of our requests, or of theirs, is late; 0: none */
    bool other_words;      /* the program sends other requests than the first ones of a cycle */
    unsigned burst;        /* number of requests that the program sends at once; 0: one */
    bool rarely;           /* it does not matter how often the program and we get answers */
    double silent_s;       /* s for which the pack does not answer us, from SILENT_FROM_S on */
};

struct answer {
    struct bms_output out;
    double at;
    bool theirs;
};

struct bench {
    struct ev_loop *loop;
    const struct scene *scene;
    struct line_config line_config;
    struct pack_config pack;
    struct poller *poller;
    struct line *line;
    /* the far end */
    int listener, peer;
    ev_io accepting, hearing;
    uint8_t heard[512];
    struct bms far;
    struct pack ours, theirs;
    struct answer answers[QUEUE];
    unsigned waiting, our_requests, their_requests;
    ev_timer turning;
    struct said {
        struct bms_output out;
        bool theirs, ours;
    } said[SAID];
    unsigned said_count;
    /* the program */
    ev_timer asking;
    struct loan loan;
    bool lent, has_line;
    struct reply got;
    double began_at;
    unsigned asked, answered, answered_lately, ours_got, published, theirs_taken;
    double longest_s; /* longest wait of the program for its turn */
};

/* The answers and their recipients: the same bytes may have been sent to both. */
static void remember(struct bench *bench, const struct answer *answer)
{
    struct said *said = bench->said;
    while (said < bench->said + bench->said_count &&
           (said->out.size != answer->out.size ||
            memcmp(said->out.bytes, answer->out.bytes, said->out.size) != 0))
        said++;
    if (said == bench->said + bench->said_count) {
        assert_true(bench->said_count < SAID);
        *said = (struct said){.out = answer->out};
        bench->said_count++;
    }
    said->theirs |= answer->theirs;
    said->ours |= !answer->theirs;
}

static void send_answers(struct bench *bench)
{
    const double now = clock_now();
    while (bench->waiting > 0 && now >= bench->answers[0].at) {
        const struct bms_output *out = &bench->answers[0].out;
        if (bench->peer >= 0)
            assert_int_equal(write(bench->peer, out->bytes, out->size), out->size);
        memmove(bench->answers, bench->answers + 1, --bench->waiting * sizeof *bench->answers);
    }
}

/* Values that differ from those for the other one in every reply. */
static void fill(struct pack *pack, double volts, int mv)
{
    pack_clear(pack);
    set_values(pack, {VOLTAGE_V, volts}, {CURRENT_A, volts - 50},
               {SOC_PERCENT, mv == OURS_MV ? 60 : 61}, {REMAINING_AH, mv == OURS_MV ? 120 : 122},
               {FULL_AH, 200}, {RATED_AH, 200}, {CYCLES, mv == OURS_MV ? 80 : 81}, {CHARGE_MOS, 1},
               {DISCHARGE_MOS, 1}, {CELL_COUNT, 16});
    for (int i = 0; i < 16; i++)
        pack_set(pack, (enum pack_value)(CELL_MV + i), mv + i);
    pack_set(pack, TEMP_COUNT, 2);
    for (int i = 0; i < 2; i++)
        pack_set(pack, (enum pack_value)(TEMP_C + i), (mv == OURS_MV ? 20 : 22) + i);
    pack_derive(pack);
}

static bool is_of_program(const struct bench *bench, const uint8_t *request, size_t size)
{
    const struct loan *loan = &bench->loan;
    return bench->has_line && size == loan->size && memcmp(request, loan->bytes, size) == 0;
}

/* The number of bytes that the far end has handled. */
static size_t answer(struct bench *bench, const uint8_t *request, size_t size, bool theirs)
{
    const struct scene *scene = bench->scene;
    const unsigned number = theirs ? ++bench->their_requests : ++bench->our_requests;
    const unsigned each = theirs ? scene->theirs : scene->ours;
    const bool late = each > 0 && number % each == 0;
    assert_true(bench->waiting < QUEUE);
    const double silent_s = clock_now() - bench->began_at - SILENT_FROM_S;
    if (!theirs && silent_s >= 0 && silent_s < scene->silent_s)
        return size;
    struct answer *next = &bench->answers[bench->waiting];
    next->theirs = theirs;
    next->out.size = 0;
    const size_t passed =
        bms_emulate(&bench->far, theirs ? &bench->theirs : &bench->ours, request, size, &next->out);
    if (next->out.size == 0)
        return passed;
    next->at = clock_now() + (late ? scene->late_s : ANSWER_S);
    if (bench->waiting > 0)
        next->at = fmax(next->at, next[-1].at);
    remember(bench, next);
    bench->waiting++;
    return passed;
}

/* Requests arrive one at a time, or as many as the program sends at once. */
static void on_heard(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    const ssize_t size = read(io->fd, bench->heard, sizeof bench->heard);
    if (size == 0 && bench->scene->way != BY_PTY) {
        ev_io_stop(loop, io);
        close(bench->peer);
        bench->peer = -1;
        bench->waiting = bench->scene->way == BY_TCP ? 0 : bench->waiting;
    }
    const bool theirs = size > 0 && is_of_program(bench, bench->heard, (size_t) size);
    for (size_t at = 0, passed = 1; size > 0 && passed > 0 && at < (size_t) size; at += passed)
        passed = answer(bench, bench->heard + at, (size_t) size - at, theirs);
}

static void attach(struct bench *bench, int fd)
{
    bench->peer = fd;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ev_io_set(&bench->hearing, fd, EV_READ);
    ev_io_start(bench->loop, &bench->hearing);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    int fd = accept(io->fd, NULL, NULL);
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
               sizeof(int)); /* the kernel's clock is not test-controlled */
    if (bench->peer >= 0) {
        ev_io_stop(loop, &bench->hearing);
        close(bench->peer);
    }
    attach(bench, fd);
}

static void open_far_end(struct bench *bench)
{
    char *port = bench->line_config.port;
    bench->listener = bench->peer = -1;
    ev_init(&bench->accepting, on_accept);
    ev_init(&bench->hearing, on_heard);
    bench->accepting.data = bench->hearing.data = bench;
    if (bench->scene->way == BY_PTY) {
        char name[PTY_NAME];
        int master = pty_open(name);
        assert_true(master >= 0);
        snprintf(port, sizeof bench->line_config.port, "serial:%s", name);
        attach(bench, master);
        return;
    }
    bench->listener = listen_as_line(port, sizeof bench->line_config.port);
    ev_io_set(&bench->accepting, bench->listener, EV_READ);
    ev_io_start(bench->loop, &bench->accepting);
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    const struct pack *values = &poller->values;
    bench->published++;
    const double volts = values->value[VOLTAGE_V], mv = values->value[CELL_MV];
    bench->theirs_taken += fabs(volts - THEIRS_V) < 0.05 || fabs(mv - THEIRS_MV) < 0.5;
}

static void on_missed(void *data, struct poller *poller, double now)
{
}

static void on_down(void *data, const char *why)
{
}

static void on_begun(void *data)
{
    struct bench *bench = data;
    bench->longest_s = fmax(bench->longest_s, clock_now() - bench->loan.queued_at);
    bench->has_line = true;
    reply_clear(&bench->got);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct bench *bench = data;
    reply_append(&bench->got, bytes, size);
}

/* Bytes that were sent only to us must not be among those that the program has received, at any position. */
static void look_at_it(struct bench *bench)
{
    for (unsigned i = 0; i < bench->said_count; i++) {
        const struct said *said = &bench->said[i];
        const uint8_t *at = bench->got.bytes, *end = at + bench->got.size;
        while ((at = memmem(at, (size_t) (end - at), said->out.bytes, said->out.size))) {
            bench->answered += said->theirs;
            bench->answered_lately += said->theirs && clock_now() > bench->began_at + RUN_S / 2;
            bench->ours_got += !said->theirs;
            at++;
        }
    }
}

static void on_done(void *data, enum loan_result result)
{
    struct bench *bench = data;
    if (bench->has_line)
        look_at_it(bench);
    bench->lent = bench->has_line = false;
    assert_true(result == LOAN_ANSWERED || result == LOAN_UNANSWERED || result == LOAN_TOO_LATE);
}

static void on_ask(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    struct bms bms = bench->poller->bms;
    struct bms_request request = {.size = 0};
    const struct bms_driver *driver = bms.driver;
    unsigned step = 0;
    while (step + 1 < driver->steps && (driver->plan[step].vital == bench->scene->other_words ||
                                        !driver->build(&bms, step, &request)))
        step++;
    bms = bench->poller->bms;
    if (bench->lent || (request.size == 0 && !driver->build(&bms, step, &request)))
        return;
    const unsigned times = bench->scene->burst > 0 ? bench->scene->burst : 1;
    bench->loan = (struct loan){.size = times * request.size,
                                .begun = on_begun,
                                .received = on_received,
                                .done = on_done,
                                .data = bench,
                                .queued_at = clock_now()};
    for (unsigned i = 0; i < times; i++)
        memcpy(bench->loan.bytes + i * request.size, request.bytes, request.size);
    bench->lent = line_lend(bench->line, &bench->loan);
    bench->asked += bench->lent;
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
    send_answers(timer->data);
}

static void open_bench(struct bench *bench, const struct scene *scene)
{
    static const struct line_events events = {
        .published = on_published, .missed = on_missed, .down = on_down};
    const struct bms_driver *driver = bms_driver_find(scene->driver);
    *bench = (struct bench){.loop = ev_default_loop(0), .scene = scene, .began_at = clock_now()};
    bms_init(&bench->far, driver);
    bench->far.options = (struct bms_options){.address = -1, .adr = -1};
    fill(&bench->ours, OURS_V, OURS_MV);
    fill(&bench->theirs, THEIRS_V, THEIRS_MV);
    bench->line_config = (struct line_config){.name = "line"};
    open_far_end(bench);
    bench->pack = (struct pack_config){.name = "pack",
                                       .line = &bench->line_config,
                                       .driver = driver,
                                       .options = {.address = -1, .adr = -1},
                                       .poll_s = 1,
                                       .stale_after_s = 10};
    bench->poller = poller_new(&bench->pack);
    assert_non_null(bench->poller);
    bench->line = line_new(bench->loop, &bench->line_config, &bench->poller, 1, &events, bench);
    assert_non_null(bench->line);
    ev_timer_init(&bench->turning, on_turn, TURN_S, TURN_S);
    ev_timer_init(&bench->asking, on_ask, ASK_EACH_S, ASK_EACH_S);
    bench->turning.data = bench->asking.data = bench;
    line_start(bench->line);
    ev_now_update(bench->loop);
    ev_timer_start(bench->loop, &bench->turning);
    ev_timer_start(bench->loop, &bench->asking);
}

static void close_bench(struct bench *bench)
{
    ev_timer_stop(bench->loop, &bench->turning);
    ev_timer_stop(bench->loop, &bench->asking);
    if (bench->lent)
        line_take_back(bench->line, &bench->loan);
    line_free(bench->line);
    poller_free(bench->poller);
    ev_io_stop(bench->loop, &bench->accepting);
    ev_io_stop(bench->loop, &bench->hearing);
    if (bench->listener >= 0)
        close(bench->listener);
    if (bench->peer >= 0)
        close(bench->peer);
}

static bool play(const struct scene *scene)
{
    static struct bench bench;
    turned_clock_has_ptys = scene->way == BY_PTY;
    open_bench(&bench, scene);
    const double end = clock_now() + RUN_S;
    while (clock_now() < end)
        ev_run(bench.loop, EVRUN_ONCE);
    const bool good = bench.ours_got == 0 && bench.theirs_taken == 0 &&
                      (bench.published > 0 || scene->rarely) && bench.longest_s <= 5 &&
                      bench.answered > (scene->rarely ? 0 : RUN_S / 6) &&
                      (scene->rarely || bench.answered_lately > RUN_S / 12);
    print_message("%-15s %-13s %4.1f s late, each %2u of ours, each %2u of theirs, silent for %.0f "
                  "s: %3u of %3u "
                  "answered, waited %.1f s at most, %u of ours among them; %2u published, %u "
                  "theirs%s\n",
                  scene->driver, way_names[scene->way], scene->late_s, scene->ours, scene->theirs,
                  scene->silent_s, bench.answered, bench.asked, bench.longest_s, bench.ours_got,
                  bench.published, bench.theirs_taken, good ? "" : " WRONG");
    close_bench(&bench);
    return good;
}

/* Answers much later than the line could be silent each time: to our own requests, with equal and different requests
 * of the program, and to those of the program, of which several can be open. */
TEST(keeps_back_what_comes_very_late)
{
    static const double late_s[] = {1.5, 4, 10};
    static const struct {
        unsigned ours, theirs, burst;
        bool other_words;
    } cases[] = {{17, 0, 0, false}, {17, 0, 0, true}, {0, 5, 0, false}, {0, 17, 3, false}};
    unsigned wrong = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        const char *only = getenv("DRIVER");
        if (bms_talks(bms_drivers[d]) || strcmp(bms_drivers[d]->name, "modbus") == 0 ||
            (only && strcmp(only, bms_drivers[d]->name) != 0))
            continue;
        for (unsigned l = 0; l < sizeof late_s / sizeof *late_s; l++)
            for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++)
                wrong += !play(&(struct scene){.driver = bms_drivers[d]->name,
                                               .way = BY_SERVER,
                                               .late_s = late_s[l],
                                               .ours = cases[c].ours,
                                               .theirs = cases[c].theirs,
                                               .burst = cases[c].burst,
                                               .other_words = cases[c].other_words,
                                               .rarely = true});
    }
    assert_int_equal(wrong, 0);
}

TEST(keeps_answers_apart)
{
    static const double late_s[] = {0.7, 1.2, 4};
    static const struct {
        unsigned ours, theirs;
    } who[] = {{7, 0}, {0, 7}, {7, 11}};
    unsigned wrong = 0;
    for (unsigned way = BY_PTY; way <= BY_SERVER; way++)
        for (unsigned l = 0; l < sizeof late_s / sizeof *late_s; l++)
            for (unsigned w = 0; w < sizeof who / sizeof *who; w++)
                wrong += !play(&(struct scene){.driver = "daly",
                                               .way = (enum way) way,
                                               .late_s = late_s[l],
                                               .ours = who[w].ours,
                                               .theirs = who[w].theirs,
                                               .rarely = late_s[l] > 2});
    assert_int_equal(wrong, 0);
}

/* Nor if all replies of a pack are of the same kind, so that no reply shows that an earlier one was lost. */
TEST(goes_on_after_a_silence)
{
    static const char *const drivers[] = {"ant-old", "jk-4e57", "renogy", "daly"};
    static const double silent_s[] = {2, 4, 7};
    unsigned wrong = 0;
    for (unsigned d = 0; d < sizeof drivers / sizeof *drivers; d++)
        for (unsigned way = BY_PTY; way <= BY_TCP; way++)
            for (unsigned s = 0; s < sizeof silent_s / sizeof *silent_s; s++)
                wrong += !play(&(struct scene){
                    .driver = drivers[d], .way = (enum way) way, .silent_s = silent_s[s]});
    assert_int_equal(wrong, 0);
}
