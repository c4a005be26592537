// SPDX-License-Identifier: MIT
/*
 * A line that is polled and lent, with answers that come later than anybody waits for them: no answer to a request of ours
 * reaches the program that borrows the line, and none of its answers is taken for ours. A Daly is asked by both; nothing
 * in its answers tells whom they are for, but ours have another voltage. It answers one request after the other. Over a
 * pty and over TCP, once where what is late is lost with its connection, and once where a serial server gives it to the next
 * one. The clock is turned.
 */
#include "lines/line.h"

#include "base/clock.h"
#include "simulator/pty.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "turned_clock.h"

#define TURN_S                                                                                     \
    0.02 /* no turn of the clock is longer: what the kernel holds up is late by no more */
#define ANSWER_S 0.03
#define ASK_EACH_S 0.2
#define RUN_S 45.0
#define FRAME 13
#define QUEUE 64
#define OURS 261 /* tenths of a volt */
#define THEIRS 240
#define THEIR_HOST 0x80

enum way { BY_PTY, BY_TCP, BY_SERVER };
static const char *const way_names[] = {"pty", "TCP", "serial server"};

struct scene {
    enum way way;
    double late_s;         /* after the request, */
    unsigned ours, theirs; /* each so many of ours, or theirs; 0: none */
    bool other_words;      /* the program asks for something else than what comes late */
};

struct answer {
    uint8_t bytes[FRAME];
    double at;
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
    uint8_t heard[256];
    size_t heard_size;
    struct answer answers[QUEUE];
    unsigned waiting, our_requests, their_requests;
    ev_timer turning;
    /* the program */
    ev_timer asking;
    struct loan loan;
    bool lent;
    uint8_t got[FRAME];
    size_t got_size;
    unsigned asked, answered, ours_got, published, theirs_taken;
    double longest_s; /* that it waited for its turn */
};

/* ---- the far end ---- */

static void send_answers(struct bench *bench)
{
    const double now = clock_now();
    while (bench->waiting > 0 && now >= bench->answers[0].at) {
        if (bench->peer >= 0)
            assert_int_equal(write(bench->peer, bench->answers[0].bytes, FRAME), FRAME);
        memmove(bench->answers, bench->answers + 1, --bench->waiting * sizeof *bench->answers);
    }
}

static void frame(uint8_t bytes[FRAME], uint8_t whom, uint8_t command, unsigned tenths)
{
    memset(bytes, 0, FRAME);
    bytes[0] = 0xA5;
    bytes[1] = whom;
    bytes[2] = command;
    bytes[3] = 8;
    if (tenths > 0 && command == 0x90) {
        bytes[4] = (uint8_t) (tenths >> 8);
        bytes[5] = (uint8_t) tenths;
        bytes[8] = 0x75;
        bytes[9] = 0x30;
        bytes[10] = 0x01;
        bytes[11] = 0xF4;
    } else if (tenths > 0) {
        bytes[4] = tenths == OURS ? 1 : 2; /* cells, for one; and it tells whose it is */
        bytes[5] = 1;
    }
    for (int i = 0; i < FRAME - 1; i++)
        bytes[FRAME - 1] = (uint8_t) (bytes[FRAME - 1] + bytes[i]);
}

/* It knows two commands. */
static void answer(struct bench *bench, const uint8_t *request)
{
    const struct scene *scene = bench->scene;
    const bool theirs = request[1] == THEIR_HOST;
    const unsigned number = theirs ? ++bench->their_requests : ++bench->our_requests;
    const unsigned each = theirs ? scene->theirs : scene->ours;
    const bool late = each > 0 && number % each == 0 && (request[2] == 0x90 || !scene->other_words);
    if ((request[2] != 0x90 && request[2] != 0x94) || bench->waiting == QUEUE)
        return;
    struct answer *next = &bench->answers[bench->waiting];
    frame(next->bytes, 1, request[2], theirs ? THEIRS : OURS);
    next->at = clock_now() + (late ? scene->late_s : ANSWER_S);
    if (bench->waiting > 0)
        next->at = fmax(next->at, next[-1].at);
    bench->waiting++;
}

static void on_heard(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) revents;
    struct bench *bench = io->data;
    ssize_t size =
        read(io->fd, bench->heard + bench->heard_size, sizeof bench->heard - bench->heard_size);
    if (size == 0 && bench->scene->way != BY_PTY) {
        ev_io_stop(loop, io);
        close(bench->peer);
        bench->peer = -1;
        bench->waiting = bench->scene->way == BY_TCP ? 0 : bench->waiting;
    }
    bench->heard_size += size > 0 ? (size_t) size : 0;
    while (bench->heard_size >= FRAME) {
        answer(bench, bench->heard);
        bench->heard_size -= FRAME;
        memmove(bench->heard, bench->heard + FRAME, bench->heard_size);
    }
}

static void attach(struct bench *bench, int fd)
{
    bench->peer = fd;
    bench->heard_size = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ev_io_set(&bench->hearing, fd, EV_READ);
    ev_io_start(bench->loop, &bench->hearing);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) revents;
    struct bench *bench = io->data;
    int fd = accept(io->fd, NULL, NULL);
    assert_true(fd >= 0);
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
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    bench->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(bench->listener, (const struct sockaddr *) &address, size), 0);
    assert_int_equal(listen(bench->listener, 8), 0);
    assert_int_equal(getsockname(bench->listener, (struct sockaddr *) &address, &size), 0);
    snprintf(port, sizeof bench->line_config.port, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    ev_io_set(&bench->accepting, bench->listener, EV_READ);
    ev_io_start(bench->loop, &bench->accepting);
}

/* ---- the gateway ---- */

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    (void) now;
    const double volts = poller->values.value[VOLTAGE_V];
    bench->published++;
    bench->theirs_taken += volts > THEIRS / 10.0 - 0.05 && volts < THEIRS / 10.0 + 0.05;
    bench->theirs_taken += poller->values.value[CELL_COUNT] == 2;
}

static void on_missed(void *data, struct poller *poller, double now)
{
    (void) data, (void) poller, (void) now;
}

static void on_down(void *data, const char *why)
{
    (void) data, (void) why;
}

/* ---- the program ---- */

static void on_begun(void *data)
{
    struct bench *bench = data;
    bench->longest_s = fmax(bench->longest_s, clock_now() - bench->loan.given_at);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct bench *bench = data;
    for (size_t i = 0; i < size; i++) {
        bench->got[bench->got_size++] = bytes[i];
        if (bench->got_size < FRAME)
            continue;
        bench->got_size = 0;
        const unsigned tenths = (unsigned) bench->got[4] << 8 | bench->got[5];
        const bool ours = bench->got[2] == 0x90 ? tenths == OURS : bench->got[4] == 1;
        bench->ours_got += ours;
        bench->answered += !ours;
    }
}

static void on_done(void *data, enum loan_result result)
{
    struct bench *bench = data;
    bench->lent = false;
    bench->got_size = 0;
    assert_true(result == LOAN_ANSWERED || result == LOAN_UNANSWERED || result == LOAN_TOO_LATE);
}

static void on_ask(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop, (void) revents;
    struct bench *bench = timer->data;
    if (bench->lent)
        return;
    bench->loan = (struct loan){.size = FRAME,
                                .begun = on_begun,
                                .received = on_received,
                                .done = on_done,
                                .data = bench,
                                .given_at = clock_now()};
    frame(bench->loan.bytes, THEIR_HOST, bench->scene->other_words ? 0x94 : 0x90, 0);
    bench->lent = line_lend(bench->line, &bench->loan);
    bench->asked += bench->lent;
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop, (void) revents;
    send_answers(timer->data);
}

/* ---- a scene ---- */

static void open_bench(struct bench *bench, const struct scene *scene)
{
    static const struct line_events events = {
        .published = on_published, .missed = on_missed, .down = on_down};
    *bench = (struct bench){.loop = ev_default_loop(0), .scene = scene};
    bench->line_config = (struct line_config){.name = "line"};
    open_far_end(bench);
    bench->pack = (struct pack_config){.name = "pack",
                                       .line = &bench->line_config,
                                       .driver = bms_driver_find("daly"),
                                       .options = {.address = 1, .adr = -1},
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
    struct bench bench;
    turned_clock_patience_ms = scene->way == BY_PTY;
    open_bench(&bench, scene);
    const double end = clock_now() + RUN_S;
    while (clock_now() < end)
        ev_run(bench.loop, EVRUN_ONCE);
    const bool good = bench.ours_got == 0 && bench.theirs_taken == 0 &&
                      bench.published > RUN_S / 6 && bench.answered > RUN_S / 6 &&
                      bench.longest_s <= LOAN_VALID_S;
    print_message("%-13s %.1f s late, each %u of ours, each %u of theirs: %u of %u answered, "
                  "waited %.1f s at most, %u of ours among them; %u published, %u theirs%s\n",
                  way_names[scene->way], scene->late_s, scene->ours, scene->theirs, bench.answered,
                  bench.asked, bench.longest_s, bench.ours_got, bench.published, bench.theirs_taken,
                  good ? "" : " WRONG");
    close_bench(&bench);
    return good;
}

/* Later than the line is silent for before it is lent: only by what they say are they known, where the program has asked
 * something else. */
static void keeps_back_what_comes_very_late(void **state)
{
    (void) state;
    unsigned wrong = 0;
    for (unsigned way = BY_PTY; way <= BY_SERVER; way++)
        wrong += !play(
            &(struct scene){.way = (enum way) way, .late_s = 4, .ours = 7, .other_words = true});
    assert_int_equal(wrong, 0);
}

static void keeps_answers_apart(void **state)
{
    (void) state;
    static const double late_s[] = {0.7, 1.2};
    static const struct {
        unsigned ours, theirs;
    } who[] = {{7, 0}, {0, 7}, {7, 11}};
    unsigned wrong = 0;
    for (unsigned way = BY_PTY; way <= BY_SERVER; way++)
        for (unsigned l = 0; l < sizeof late_s / sizeof *late_s; l++)
            for (unsigned w = 0; w < sizeof who / sizeof *who; w++)
                wrong += !play(&(struct scene){.way = (enum way) way,
                                               .late_s = late_s[l],
                                               .ours = who[w].ours,
                                               .theirs = who[w].theirs});
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_answers_apart),
                                       cmocka_unit_test(keeps_back_what_comes_very_late)};
    return cmocka_run_group_tests_name("loans", tests, NULL, NULL);
}
