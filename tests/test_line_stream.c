// SPDX-License-Identifier: MIT
/*
 * A board that streams: status frames arrive each second whether requested or not, and its request
 * for the about record may stay unanswered. Its values are fresh from the first status after a
 * request, and stay so. A real line on a TCP connection, on a test-controlled clock.
 * tests/run: 2 s, waits
 */
#include "bms/jk/jk_record.h"
#include "lines/line.h"

#include "base/clock.h"
#include "base/log.h"
#include "simulator/options.h"

#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pack_test.h"

#include "loopback.h"
#include "turned_clock.h"

#define READ_ABOUT 0x97

extern const struct bms_driver jk02_driver;

struct bench {
    struct ev_loop *loop;
    struct line_config line_config;
    struct pack_config pack;
    struct poller *poller;
    struct line *line;
    /* the board */
    bool knows_about, moves, silent;
    double delay_s; /* s by which its module delays */
    int listener, peer;
    ev_io accepting, hearing;
    ev_timer streaming, answering;
    uint8_t counter;
    /* what was seen */
    unsigned publications, flaps;
    double first_at;
    bool was_fresh;
};

static void say(struct bench *bench, enum jk_type type)
{
    uint8_t record[JK_RECORD_SIZE];
    struct pack pack = cleared_pack();
    const double mv = bench->moves ? simulator_clock_cell_mv(clock_now()) : 3300;
    for (int c = 0; c < 16; c++)
        pack_set(&pack, (enum pack_value)(CELL_MV + c), mv);
    set_values(&pack, {CELL_COUNT, 16}, {VOLTAGE_V, mv * 16 / 1000}, {SOC_PERCENT, 60},
               {CURRENT_A, 5}, {RATED_AH, 100});
    pack_derive(&pack);
    jk_encode(record, false, type, JK_32S, bench->counter++, 1, &pack);
    if (bench->peer >= 0 && !bench->silent)
        assert_int_equal(send(bench->peer, record, JK_RECORD_SIZE, MSG_NOSIGNAL), JK_RECORD_SIZE);
}

static void on_stream(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    say(bench, JK_STATUS);
    const bool fresh = !poller_stale(bench->poller, clock_now());
    bench->flaps += bench->was_fresh && !fresh;
    bench->was_fresh = fresh;
}

static void on_answer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    say(timer->data, JK_ABOUT);
}

static void on_heard(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    uint8_t bytes[512];
    const ssize_t size = read(io->fd, bytes, sizeof bytes);
    if (size <= 0) {
        ev_io_stop(loop, io);
        close(io->fd);
        bench->peer = -1;
    } else if (size >= 20 && bytes[4] == READ_ABOUT && bench->knows_about) {
        ev_timer_set(&bench->answering, bench->delay_s, 0);
        ev_timer_start(loop, &bench->answering);
    }
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    bench->peer = accept(io->fd, NULL, NULL);
    setsockopt(bench->peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(bench->peer, F_SETFL, O_NONBLOCK);
    ev_io_set(&bench->hearing, bench->peer, EV_READ);
    ev_io_start(loop, &bench->hearing);
}

static void open_board(struct bench *bench)
{
    bench->peer = -1;
    bench->listener = listen_as_line(bench->line_config.port, sizeof bench->line_config.port);
    ev_io_init(&bench->accepting, on_accept, bench->listener, EV_READ);
    ev_init(&bench->hearing, on_heard);
    ev_timer_init(&bench->streaming, on_stream, 1, 1);
    ev_init(&bench->answering, on_answer);
    bench->accepting.data = bench->hearing.data = bench->streaming.data = bench->answering.data =
        bench;
    ev_io_start(bench->loop, &bench->accepting);
    ev_timer_start(bench->loop, &bench->streaming);
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    bench->publications++;
    if (isnan(bench->first_at) && !poller_stale(poller, now))
        bench->first_at = now;
}

static double open_bench(struct bench *bench)
{
    static const struct line_events events = {.published = on_published};
    turned_clock_patience_ms = 2;
    bench->loop = ev_default_loop(0);
    bench->line_config = (struct line_config){.name = "line"};
    bench->first_at = NAN;
    ev_now_update(bench->loop);
    open_board(bench);
    bench->pack = (struct pack_config){.name = "board",
                                       .line = &bench->line_config,
                                       .driver = &jk02_driver,
                                       .options = {.address = -1, .adr = -1},
                                       .poll_s = 2,
                                       .stale_after_s = 10,
                                       .spikes = {10, 20, 300, 10}};
    bench->poller = poller_new(&bench->pack);
    bench->line = line_new(bench->loop, &bench->line_config, &bench->poller, 1, &events, bench);
    assert_non_null(bench->line);
    line_start(bench->line);
    return clock_now();
}

static void run_for(const struct bench *bench, double seconds)
{
    const double until = clock_now() + seconds;
    while (clock_now() < until)
        ev_run(bench->loop, EVRUN_ONCE);
}

static void close_bench(struct bench *bench)
{
    line_free(bench->line);
    poller_free(bench->poller);
    ev_timer_stop(bench->loop, &bench->streaming);
    ev_timer_stop(bench->loop, &bench->answering);
    ev_io_stop(bench->loop, &bench->accepting);
    ev_io_stop(bench->loop, &bench->hearing);
    if (bench->peer >= 0)
        close(bench->peer);
    close(bench->listener);
}

/* Two statuses that agree, one a second, and the request before them. */
TEST(is_fresh_from_the_first_statuses_on)
{
    for (unsigned moves = 0; moves < 2; moves++) {
        struct bench bench = {.moves = moves};
        const double start = open_bench(&bench);
        run_for(&bench, 60);
        print_message("%s: fresh after %.1f s, stale %u times, %u published\n",
                      moves ? "moving" : "still", bench.first_at - start, bench.flaps,
                      bench.publications);
        close_bench(&bench);
        assert_true(bench.first_at - start < 4);
        assert_int_equal(bench.flaps, 0);
    }
}

/* A late about record is used. */
TEST(gets_a_late_about_record)
{
    for (double delay_s = 0.2; delay_s < 2; delay_s *= 2.8) {
        struct bench bench = {.knows_about = true, .delay_s = delay_s};
        const double start = open_bench(&bench);
        run_for(&bench, 90);
        print_message("about after %.1f s: fresh after %.1f s, model \"%s\"\n", delay_s,
                      bench.first_at - start, bench.poller->values.text[MODEL]);
        assert_string_not_equal(bench.poller->values.text[MODEL], "");
        assert_int_equal(bench.flaps, 0);
        close_bench(&bench);
    }
}

TEST(comes_back)
{
    struct bench bench = {.knows_about = false};
    open_bench(&bench);
    run_for(&bench, 60);
    bench.silent = true;
    run_for(&bench, 30);
    bench.silent = false;
    bench.first_at = NAN;
    const double start = clock_now();
    run_for(&bench, 60);
    print_message("back after %.1f s\n", bench.first_at - start);
    close_bench(&bench);
    assert_true(bench.first_at - start < 30);
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
}
