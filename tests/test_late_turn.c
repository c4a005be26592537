// SPDX-License-Identifier: MIT
/*
 * Turns of the loop that begin late, and the reaction of the Modbus server. The test controls the
 * clock for all waiting and ageing; events of libev are real, and no wait is long.
 * tests/run: 6 s, waits
 */
#include "server_bench.h"

#include "base/late_turn.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define WRITABLE 5
#define CROWD 150 /* more clients than libev reports in one turn */

static double ahead; /* s by which the test clock is ahead of the real one */
static unsigned
    stop_within; /* 1: the process is stopped before the next call of the clock, and so on; 0: never */
static double stop_s;

/* A time has 64 bits here, even if the first of these functions uses 32. */
#ifdef SYS_clock_gettime64
#define CLOCK_CALL SYS_clock_gettime64
#else
#define CLOCK_CALL SYS_clock_gettime
#endif

/* The clock of clock_now. libev uses others. */
int clock_gettime(clockid_t id, struct timespec *now)
{
    if (id == CLOCK_BOOTTIME && stop_within > 0 && --stop_within == 0)
        ahead += stop_s;
    const long result = syscall(CLOCK_CALL, id, now);
    if (id == CLOCK_BOOTTIME) {
        now->tv_sec += (time_t) ahead;
        now->tv_nsec += (long) ((ahead - (double) (time_t) ahead) * 1e9);
        now->tv_sec += now->tv_nsec / 1000000000;
        now->tv_nsec %= 1000000000;
    }
    return (int) result;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static struct bench bench;

static int start(void **state)
{
    bench_prepare(&bench);
    assert_true(allow_add(&bench.config.allow_write, "127.0.0.1"));
    bench.config.max_clients = CROWD + 10;
    ahead = 0;
    stop_within = 0;
    bench_start(&bench);
    bench_turn(&bench);
    return 0;
}

static int tear_down(void **state)
{
    bench_close(&bench);
    return 0;
}

#define LATE_TURN_TEST(name) TEST_WITH(name, start, tear_down)

/* Turns once a second, as an idle loop does. */
static void pass(double seconds)
{
    for (; seconds > 0; seconds--) {
        ahead += seconds < 1 ? seconds : 1;
        bench_turn(&bench);
    }
}

static void send_order(int fd, uint16_t transaction)
{
    uint8_t order[BENCH_REQUEST];
    bench_put_request(order, transaction, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    bench_send(&bench, fd, order, sizeof order);
}

static void expect_taken(unsigned orders)
{
    while (bench.order_count < orders)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(bench.order_count, orders);
}

/* Expects the confirmation of an order, which repeats it. */
static void end_order(int fd, uint16_t transaction)
{
    uint8_t expected[BENCH_REQUEST];
    bench_put_request(expected, transaction, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    server_order_over(bench.server, bench.orders[bench.order_count - 1].ticket, 0);
    bench_expect(&bench, fd, expected, sizeof expected);
}

/* Expects the end of the connection without an answer. */
static void expect_dropped(int fd)
{
    uint8_t byte;
    assert_int_equal(bench_receive(&bench, fd, &byte, 1), 0);
    close(fd);
}

struct watch {
    struct late_turn_watcher watcher;
    unsigned times;
    double since, now;
};

static char order_of_calls[8];

static void on_late(void *data, double since, double at)
{
    struct watch *watch = data;
    watch->times++;
    watch->since = since;
    watch->now = at;
    if (strlen(order_of_calls) < sizeof order_of_calls - 1)
        strcat(order_of_calls, "w");
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    strcat(order_of_calls, "i");
}

static void on_check(struct ev_loop *loop, ev_check *check, int events)
{
    strcat(order_of_calls, "c");
}

LATE_TURN_TEST(only_what_is_late)
{
    static const struct {
        double passes;
        bool late;
    } cases[] = {{0, false}, {1, false}, {2.9, false}, {3.1, true}, {0.5, false}, {60, true}};
    struct watch watch = {.watcher = {.late = on_late, .data = &watch}};
    late_turn_watch(bench.loop, &watch.watcher);
    bench_turn(&bench);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const double before = now();
        watch.times = 0;
        ahead += cases[i].passes;
        bench_turn(&bench);
        assert_int_equal(watch.times, cases[i].late);
        if (cases[i].late) {
            assert_true(watch.since <= before && watch.since > before - 1);
            assert_true(watch.now >= before + cases[i].passes);
        }
        assert_false(late_turn_is_on(bench.loop, now()));
    }
    late_turn_unwatch(bench.loop, &watch.watcher);
    late_turn_unwatch(bench.loop, &watch.watcher);
    watch.times = 0;
    ahead += 60;
    bench_turn(&bench);
    assert_int_equal(watch.times, 0);
}

/* A stop within a turn: this turn is late from then on, and so is the next one, even without watchers of it. */
LATE_TURN_TEST(late_within_a_turn)
{
    struct watch watch = {.watcher = {.late = on_late, .data = &watch}};
    late_turn_watch(bench.loop, &watch.watcher);
    bench_turn(&bench);
    order_of_calls[0] = '\0';
    assert_false(late_turn_is_on(bench.loop, now() + 1.9));
    assert_true(late_turn_is_on(bench.loop, now() + 2.1));
    assert_true(late_turn_is_on(bench.loop, now()));
    bench_turn(&bench);
    assert_int_equal(watch.times, 1);
    bench_turn(&bench);
    assert_int_equal(watch.times, 1);
    late_turn_unwatch(bench.loop, &watch.watcher);
}

/* The callbacks run before all other events of the turn, whatever was registered first. */
LATE_TURN_TEST(comes_first)
{
    int ends[2];
    ev_check check;
    ev_io io;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct watch watch = {.watcher = {.late = on_late, .data = &watch}};
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int first = 0; first < 2; first++) {
        if (first == 0)
            late_turn_watch(loop, &watch.watcher);
        ev_io_init(&io, on_io, ends[0], EV_READ);
        ev_set_priority(&io, EV_MAXPRI);
        ev_io_start(loop, &io);
        ev_check_init(&check, on_check);
        ev_check_start(loop, &check);
        if (first == 1)
            late_turn_watch(loop, &watch.watcher);
        ev_run(loop, EVRUN_NOWAIT);
        order_of_calls[0] = '\0';
        ahead += 60;
        ev_run(loop, EVRUN_NOWAIT);
        assert_int_equal(order_of_calls[0], 'w');
        assert_int_equal(strlen(order_of_calls), 3);
        ev_io_stop(loop, &io);
        ev_check_stop(loop, &check);
        late_turn_unwatch(loop, &watch.watcher);
    }
    close(ends[0]);
    close(ends[1]);
    /* The internal watchers do not keep a loop alive. */
    late_turn_watch(loop, &watch.watcher);
    ev_run(loop, 0);
    late_turn_unwatch(loop, &watch.watcher);
    ev_loop_destroy(loop);
}

/* An idle loop is not late when an event arrives after a long time. */
LATE_TURN_TEST(turns_by_itself)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct watch watch = {.watcher = {.late = on_late, .data = &watch}};
    late_turn_watch(loop, &watch.watcher);
    ev_ref(loop);
    for (int i = 0; i < 3; i++) {
        const double before = now();
        ev_run(loop, EVRUN_ONCE);
        assert_true(now() - before < 2.5);
    }
    ev_unref(loop);
    late_turn_unwatch(loop, &watch.watcher);
    ev_loop_destroy(loop);
}

/* A client that was quiet for minutes: its order is executed. */
LATE_TURN_TEST(in_time)
{
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    pass(300);
    send_order(fd, 2);
    expect_taken(1);
    end_order(fd, 2);
    /* So is one on a machine that is merely slow. */
    send_order(fd, 3);
    ahead += 2.5;
    expect_taken(2);
    end_order(fd, 3);
    close(fd);
}

LATE_TURN_TEST(stopped)
{
    static const double stops[] = {3.1, 16, 3600};
    for (size_t i = 0; i < COUNT(stops); i++) {
        const int fd = bench_connect(&bench), gone = bench_connect(&bench);
        bench_expect_served(&bench, fd, 1);
        bench_expect_served(&bench, gone, 1);
        pass(20);
        send_order(fd, 2);
        send_order(gone, 2);
        close(gone);
        ahead += stops[i];
        expect_dropped(fd);
        assert_int_equal(bench.order_count, i);
        assert_int_equal(server_clients(bench.server), 0);
        /* It does not affect clients that connect then. */
        const int next = bench_connect(&bench);
        send_order(next, 3);
        expect_taken((unsigned) i + 1);
        end_order(next, 3);
        close(next);
    }
}

/* The loop had collected events before the process was stopped within the turn: only requests checked before that are
 * answered, and nothing after them. */
LATE_TURN_TEST(stopped_within_a_turn)
{
    static const struct {
        const char *name;
        unsigned looks, taken;
    } cases[] = {
        {"before the turn", 1, 0},
        {"before the first is judged", 2, 0},
        {"before the second is judged", 3, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int first = bench_connect(&bench), second = bench_connect(&bench);
        bench_expect_served(&bench, first, 1);
        bench_expect_served(&bench, second, 1);
        pass(2);
        bench.order_count = 0;
        send_order(first, 2);
        send_order(second, 2);
        stop_s = 16;
        stop_within = cases[i].looks;
        bench_turn(&bench);
        assert_int_equal(stop_within, 0);
        if (bench.order_count != cases[i].taken)
            fail_msg("%s: %u orders taken", cases[i].name, bench.order_count);
        bench_turn(&bench);
        assert_int_equal(server_clients(bench.server), 0);
        assert_int_equal(bench.order_count, cases[i].taken);
        expect_dropped(first);
        expect_dropped(second);
    }
}

/* A client with two requests that the server reads at once. */
static int connect_and_read_twice(void)
{
    uint8_t stream[2 * BENCH_REQUEST];
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    pass(2);
    bench_put_request(stream, 2, 1, 3, 400, 1);
    bench_put_request(stream + BENCH_REQUEST, 3, 1, 3, 500, 1);
    bench_send(&bench, fd, stream, sizeof stream);
    return fd;
}

/* A stop between two requests that were read at once: the answer to the first, composed before it, is not sent after it. */
LATE_TURN_TEST(stopped_between_two_answers)
{
    const int fd = connect_and_read_twice();
    stop_s = 16;
    stop_within = 3; /* the turn, the first request, the second one */
    bench_turn(&bench);
    assert_int_equal(stop_within, 0);
    bench_turn(&bench);
    expect_dropped(fd);
}

/* A stop too short for a late turn, between two requests that were read at once: what expired in it is not answered. */
LATE_TURN_TEST(expired_within_a_turn)
{
    const int fd = connect_and_read_twice();
    bench.source[0].good_until = now() + 1;
    stop_s = 1.3;
    stop_within = 3; /* the turn, the first, the second */
    bench_turn(&bench);
    bench_expect_one(&bench, fd, 2, 1, 400);
    bench_expect_refusal(&bench, fd, 3, 1, 3, 0x0B);
    close(fd);
}

/* More clients than libev reports in one turn. */
LATE_TURN_TEST(crowd)
{
    int fds[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = bench_connect(&bench);
        bench_expect_served(&bench, fds[i], 1);
    }
    pass(2);
    for (unsigned i = 0; i < CROWD; i++)
        send_order(fds[i], 2);
    const int late = bench_connect(&bench); /* libev reports it last, too */
    send_order(late, 2);
    ahead += 16;
    for (unsigned i = 0; i < CROWD; i++)
        expect_dropped(fds[i]);
    expect_dropped(late);
    assert_int_equal(bench.order_count, 0);
}

/* Pending clients, more than are accepted in one turn, and one that connected later. */
LATE_TURN_TEST(not_accepted)
{
    int fds[40];
    pass(20);
    for (unsigned i = 0; i < COUNT(fds); i++) {
        fds[i] = bench_connect(&bench);
        send_order(fds[i], 1);
    }
    ahead += 16;
    for (unsigned i = 0; i < COUNT(fds); i++)
        expect_dropped(fds[i]);
    assert_int_equal(bench.order_count, 0);
    const int later = bench_connect(&bench);
    send_order(later, 3);
    expect_taken(1);
    end_order(later, 3);
    close(later);
}

/* Without free descriptors a client waits to be accepted while the loop turns normally. */
LATE_TURN_TEST(long_without_descriptors)
{
    struct rlimit usual, none;
    const int fd = bench_connect(&bench), later = bench_connect(&bench);
    send_order(fd, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = usual;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    pass(4);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    expect_dropped(fd);
    expect_dropped(later);
    assert_int_equal(bench.order_count, 0);
    const int next = bench_connect(&bench);
    bench_expect_served(&bench, next, 1);
    close(next);
}

/* Bytes that a client sends while its order is in progress are not read before that has ended. */
LATE_TURN_TEST(behind_an_order)
{
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    bench_expect_served(&bench, other, 1);
    /* A long order is not a problem while the client is silent. */
    send_order(fd, 2);
    expect_taken(1);
    pass(6);
    end_order(fd, 2);
    /* The next order is executed. */
    send_order(fd, 3);
    send_order(fd, 4);
    expect_taken(2);
    pass(1);
    end_order(fd, 3);
    expect_taken(3);
    send_order(fd, 5);
    pass(6);
    end_order(fd, 4);
    expect_dropped(fd);
    assert_int_equal(bench.order_count, 3);
    bench_expect_served(&bench, other, 2);
    close(other);
}

/* Bytes that were read together with the order before them. */
LATE_TURN_TEST(with_an_order)
{
    const int fd = bench_connect(&bench);
    uint8_t both[2 * BENCH_REQUEST];
    bench_expect_served(&bench, fd, 1);
    bench_put_request(both, 2, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    bench_put_request(both + BENCH_REQUEST, 3, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    bench_send(&bench, fd, both, sizeof both);
    expect_taken(1);
    pass(6);
    end_order(fd, 2);
    expect_dropped(fd);
    assert_int_equal(bench.order_count, 1);
}

/* A client that waits for the end of its order is disconnected, too. The order continues. */
LATE_TURN_TEST(stopped_during_an_order)
{
    const int fd = bench_connect(&bench);
    send_order(fd, 2);
    expect_taken(1);
    ahead += 16;
    expect_dropped(fd);
    server_order_over(bench.server, bench.orders[0].ticket, 0);
    assert_int_equal(server_clients(bench.server), 0);
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_IGN);
    alarm(120); /* a hang is a failure, not a wait for ever */
}
