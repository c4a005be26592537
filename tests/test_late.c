// SPDX-License-Identifier: MIT
/*
 * Orders that waited while the process was stopped or the host slept. The clock that everything waits and ages by is
 * turned by hand here; what libev waits for is real, and nothing waits for long.
 */
#include "server_bench.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#define WRITABLE 5
#define REFUSED 0x0B
#define CROWD 150 /* more clients than libev hears of in one turn */

static double ahead; /* of the real clock, in seconds */
static unsigned
    stop_within; /* 1: the process is stopped before the next look at the clock, and so on; 0: never */
static double stop_s;

/* A time has 64 bits here also where the first of these calls knows 32. */
#ifdef SYS_clock_gettime64
#define CLOCK_CALL SYS_clock_gettime64
#else
#define CLOCK_CALL SYS_clock_gettime
#endif

/* clock_now's clock. libev looks at others. */
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
    (void) state;
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
    (void) state;
    bench_close(&bench);
    return 0;
}

/* As the gateway's loop, which turns each second at least. */
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

/* Were it taken, there would be another exception. */
static void expect_refused(int fd, uint16_t transaction)
{
    bench.order_refused = 4;
    bench_expect_refusal(&bench, fd, transaction, WRITABLE, 5, REFUSED);
    bench.order_refused = 0;
}

static void expect_taken(unsigned orders)
{
    while (bench.order_count < orders)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(bench.order_count, orders);
}

/* Is confirmed with its own bytes. */
static void end_order(int fd, uint16_t transaction)
{
    uint8_t expected[BENCH_REQUEST];
    bench_put_request(expected, transaction, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    server_order_over(bench.server, bench.orders[bench.order_count - 1].ticket, 0);
    bench_expect(&bench, fd, expected, sizeof expected);
}

/* A client that was quiet for minutes: its order is taken, and is known to be new. */
static void test_in_time(void **state)
{
    (void) state;
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    pass(300);
    const double before = now();
    send_order(fd, 2);
    expect_taken(1);
    assert_true(bench.orders[0].given_at > before - 1.1 && bench.orders[0].given_at <= now());
    end_order(fd, 2);
    close(fd);
}

static void test_stopped(void **state)
{
    (void) state;
    static const double stops[] = {5.1, 16, 3600};
    const int fd = bench_connect(&bench);
    uint16_t transaction = 1;
    bench_expect_served(&bench, fd, transaction);
    for (size_t i = 0; i < COUNT(stops); i++) {
        pass(20);
        send_order(fd, ++transaction);
        ahead += stops[i];
        expect_refused(fd, transaction);
        assert_int_equal(bench.order_count, i);
        /* It is not held against the client. */
        send_order(fd, ++transaction);
        expect_taken((unsigned) i + 1);
        end_order(fd, transaction);
    }
    close(fd);
}

/* A machine that is merely slow. */
static void test_slow(void **state)
{
    (void) state;
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    pass(20);
    send_order(fd, 2);
    ahead += 3;
    expect_taken(1);
    assert_true(now() - bench.orders[0].given_at < 5);
    close(fd);
}

static uint8_t exception_for(int fd)
{
    uint8_t bytes[BENCH_REFUSAL];
    assert_int_equal(bench_receive(&bench, fd, bytes, sizeof bytes), sizeof bytes);
    return bytes[sizeof bytes - 1];
}

/* What the loop has collected before it was stopped, in the middle of a turn: only what was judged before is taken. */
static void test_stopped_within_a_turn(void **state)
{
    (void) state;
    static const struct {
        const char *name;
        unsigned looks, taken;
    } cases[] = {
        {"before the turn", 1, 0},
        {"before the first is read", 2, 0},
        {"before the first is judged", 3, 0},
        {"before the second is read", 4, 1},
        {"before the second is judged", 5, 1},
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
        for (unsigned n = 0; n < bench.order_count; n++)
            server_order_over(bench.server, bench.orders[n].ticket, 4);
        const unsigned exceptions = exception_for(first) + exception_for(second);
        assert_int_equal(exceptions, cases[i].taken ? 4 + REFUSED : 2 * REFUSED);
        close(first);
        close(second);
        pass(2);
    }
}

/* However many turns it takes until all that had come is read. */
static void test_crowd(void **state)
{
    (void) state;
    int fds[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = bench_connect(&bench);
        bench_expect_served(&bench, fds[i], 1);
    }
    pass(2);
    for (unsigned i = 0; i < CROWD; i++)
        send_order(fds[i], 2);
    const int late = bench_connect(&bench); /* libev hears of it last, too */
    send_order(late, 2);
    ahead += 16;
    for (unsigned i = 0; i < CROWD; i++) {
        expect_refused(fds[i], 2);
        close(fds[i]);
    }
    expect_refused(late, 2);
    close(late);
    assert_int_equal(bench.order_count, 0);
}

/* Clients that were not accepted yet, more of them than are in one turn, and one that came later. */
static void test_not_accepted(void **state)
{
    (void) state;
    int fds[40];
    pass(20);
    for (unsigned i = 0; i < COUNT(fds); i++) {
        fds[i] = bench_connect(&bench);
        send_order(fds[i], 1);
    }
    ahead += 16;
    for (unsigned i = 0; i < COUNT(fds); i++) {
        expect_refused(fds[i], 1);
        bench_expect_served(&bench, fds[i], 2); /* and nobody is turned away */
    }
    assert_int_equal(bench.order_count, 0);
    pass(20);
    const int later = bench_connect(&bench);
    send_order(later, 3);
    expect_taken(1);
    end_order(later, 3);
    close(later);
    for (unsigned i = 0; i < COUNT(fds); i++)
        close(fds[i]);
}

/* What a client sends while its order is under way is not read until that is over. */
static void test_behind_an_order(void **state)
{
    (void) state;
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    bench_expect_served(&bench, other, 1);
    send_order(fd, 2);
    expect_taken(1);
    send_order(fd, 3);
    pass(6);
    end_order(fd, 2);
    expect_refused(fd, 3);
    assert_int_equal(bench.order_count, 1);
    /* What it sends when it has its answer is new. */
    send_order(fd, 4);
    expect_taken(2);
    pass(6);
    end_order(fd, 4);
    send_order(fd, 5);
    expect_taken(3);
    end_order(fd, 5);
    close(fd);
    close(other);
}

/* Read together with the order that it follows. */
static void test_with_an_order(void **state)
{
    (void) state;
    const int fd = bench_connect(&bench);
    uint8_t both[2 * BENCH_REQUEST];
    bench_expect_served(&bench, fd, 1);
    bench_put_request(both, 2, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    bench_put_request(both + BENCH_REQUEST, 3, WRITABLE, 5, MAP_COIL_CHARGE, 0);
    bench_send(&bench, fd, both, sizeof both);
    expect_taken(1);
    pass(6);
    end_order(fd, 2);
    expect_refused(fd, 3);
    assert_int_equal(bench.order_count, 1);
    close(fd);
}

/* More than fits into the buffer at once: the rest is as old as what was before it. */
static void test_long_queue(void **state)
{
    (void) state;
    const int fd = bench_connect(&bench);
    uint8_t reads[100 * BENCH_REQUEST];
    bench_expect_served(&bench, fd, 1);
    pass(20);
    for (unsigned i = 0; i < 100; i++)
        bench_put_request(reads + i * BENCH_REQUEST, 7, 1, 3, MAP_BASE_DEFAULT, 1);
    bench_send(&bench, fd, reads, sizeof reads);
    send_order(fd, 8);
    ahead += 16;
    for (unsigned i = 0; i < 100; i++)
        bench_expect_one(&bench, fd, 7, 1, MAP_BASE_DEFAULT);
    expect_refused(fd, 8);
    assert_int_equal(bench.order_count, 0);
    close(fd);
}

/* Nobody is refused an answer because of a sleep: what is read is judged by its own age. */
static void test_reads_go_on(void **state)
{
    (void) state;
    const int fd = bench_connect(&bench);
    uint8_t request[BENCH_REQUEST];
    bench_expect_served(&bench, fd, 1);
    bench.unit[0].good_until = now() + 10;
    bench_put_request(request, 2, 1, 3, MAP_BASE_DEFAULT, 1);
    bench_send(&bench, fd, request, sizeof request);
    ahead += 16;
    bench_expect_refusal(&bench, fd, 2, 1, 3, REFUSED);
    bench.unit[0].stale = false;
    bench.unit[0].good_until = INFINITY;
    assert_int_equal(server_clients(bench.server), 1);
    close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_time),
        TEST(test_stopped),
        TEST(test_slow),
        TEST(test_stopped_within_a_turn),
        TEST(test_crowd),
        TEST(test_not_accepted),
        TEST(test_behind_an_order),
        TEST(test_with_an_order),
        TEST(test_long_queue),
        TEST(test_reads_go_on),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(120); /* a hang is a failure, not a wait for ever */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
