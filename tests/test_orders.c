// SPDX-License-Identifier: MIT
/*
 * Orders to switch, over real sockets. An order is pending until the BMS has confirmed it, which
 * can take seconds: what its client may do meanwhile, and that no other client is affected.
 */
#include "server_bench.h"

#include <signal.h>
#include <sys/syscall.h>

#define WRITABLE 5
#define STALE 6
#define REGISTER_CHARGE (MAP_BASE_DEFAULT + MAP_OFFSET_CHARGE)
#define BUSY 6

/* The result of the next send of the server, including libmodbus; 0: as usual. */
static int send_error;

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (send_error) {
        errno = send_error;
        return -1;
    }
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

static struct bench bench;

static int set_up(void **state)
{
    bench_prepare(&bench);
    assert_true(allow_add(&bench.config.allow_write, "127.0.0.1"));
    send_error = 0;
    return 0;
}

static int start(void **state)
{
    set_up(state);
    bench_start(&bench);
    return 0;
}

/* No order changes a register: only the next values of the BMS do. */
static int tear_down(void **state)
{
    for (unsigned n = 0; n < BENCH_UNITS; n++) {
        for (unsigned i = 0; i < map_size(&bench.config.map); i++)
            assert_int_equal(bench.unit[n].registers[i], bench_register(i));
        assert_int_equal(bench.unit[n].coils[0], 1);
        assert_int_equal(bench.unit[n].coils[1], 0);
    }
    bench_close(&bench);
    return 0;
}

#define OWN_START(name) TEST_WITH(name, set_up, tear_down)

#define ORDERS_TEST(name) TEST_WITH(name, start, tear_down)

static uint64_t last_ticket(void)
{
    assert_in_range(bench.order_count, 1, BENCH_ORDERS);
    return bench.orders[bench.order_count - 1].ticket;
}

static void end_order(uint64_t ticket, uint8_t exception)
{
    server_order_over(bench.server, ticket, exception);
}

/* The order that most tests give: function 5, charge MOS off. */
static void put_order(uint8_t *at, uint16_t transaction)
{
    bench_put_request(at, transaction, WRITABLE, 5, MAP_COIL_CHARGE, 0);
}

/* Sends it and waits until it is pending. */
static uint64_t give_order(int fd, uint16_t transaction)
{
    const unsigned before = bench.order_count;
    uint8_t order[BENCH_REQUEST];
    put_order(order, transaction);
    bench_send(&bench, fd, order, sizeof order);
    while (bench.order_count == before)
        ev_run(bench.loop, EVRUN_ONCE);
    return last_ticket();
}

/* Its normal response repeats the request. */
static void expect_confirmed(int fd, uint16_t transaction)
{
    uint8_t order[BENCH_REQUEST];
    put_order(order, transaction);
    bench_expect(&bench, fd, order, sizeof order);
}

/* The server has handled all events, and has sent this client nothing. */
static void expect_nothing(int fd, int other)
{
    uint8_t byte;
    bench_expect_served(&bench, other, 4711);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void expect_closed(int fd)
{
    uint8_t byte;
    assert_int_equal(bench_receive(&bench, fd, &byte, 1), 0);
    close(fd);
}

/* Each function that sets a value, the resulting order, and its response: the transaction, unit, function, address,
 * and value or quantity. */
// clang-format off
static const struct {
    const char *name;
    uint8_t request[20], answer[12];
    struct switches switches; /* charge, discharge */
} writes[] = {
    {"5, charge on",
     {1, 2, 0, 0, 0, 6, WRITABLE, 5, 0, 0, 0xFF, 0},                      {1, 2, 0, 0, 0, 6, WRITABLE, 5, 0, 0, 0xFF, 0},
     {.wanted = {true, false}, .on = {true, false}}},
    {"5, discharge off",
     {1, 3, 0, 0, 0, 6, WRITABLE, 5, 0, 1, 0, 0},                         {1, 3, 0, 0, 0, 6, WRITABLE, 5, 0, 1, 0, 0},
     {.wanted = {false, true}, .on = {false, false}}},
    {"6, discharge on at 290 + 17",
     {1, 4, 0, 0, 0, 6, WRITABLE, 6, 1, 0x33, 0, 1},                      {1, 4, 0, 0, 0, 6, WRITABLE, 6, 1, 0x33, 0, 1},
     {.wanted = {false, true}, .on = {false, true}}},
    {"6, charge off at 100 + 18",
     {1, 5, 0, 0, 0, 6, WRITABLE, 6, 0, 0x76, 0, 0},                      {1, 5, 0, 0, 0, 6, WRITABLE, 6, 0, 0x76, 0, 0},
     {.wanted = {true, false}, .on = {false, false}}},
    {"15, charge off, discharge on",
     {1, 6, 0, 0, 0, 8, WRITABLE, 15, 0, 0, 0, 2, 1, 2},                  {1, 6, 0, 0, 0, 6, WRITABLE, 15, 0, 0, 0, 2},
     {.wanted = {true, true}, .on = {false, true}}},
    {"16, discharge on, charge off",
     {1, 7, 0, 0, 0, 11, WRITABLE, 16, 1, 0x33, 0, 2, 4, 0, 1, 0, 0},     {1, 7, 0, 0, 0, 6, WRITABLE, 16, 1, 0x33, 0, 2},
     {.wanted = {true, true}, .on = {false, true}}},
};
// clang-format on

ORDERS_TEST(each_function)
{
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    for (unsigned i = 0; i < COUNT(writes); i++) {
        bench.order_count = 0;
        bench_send(&bench, fd, writes[i].request, 6u + writes[i].request[5]);
        expect_nothing(fd, other);
        assert_int_equal(bench.order_count, 1);
        assert_int_equal(bench.orders[0].unit, WRITABLE);
        if (memcmp(&bench.orders[0].switches, &writes[i].switches, sizeof writes[i].switches) != 0)
            fail_msg("%s: something else was ordered", writes[i].name);
        end_order(last_ticket(), 0);
        bench_expect(&bench, fd, writes[i].answer, sizeof writes[i].answer);
    }
    assert_int_equal(server_counters(bench.server).exceptions, 0);
    close(fd);
    close(other);
}

/* An order can end with any exception, which its response contains. */
ORDERS_TEST(exceptions)
{
    static const uint8_t exceptions[] = {4, BUSY, 0x0B};
    const int fd = bench_connect(&bench);
    for (unsigned i = 0; i < COUNT(exceptions); i++) {
        end_order(give_order(fd, (uint16_t) i), exceptions[i]);
        bench_expect_refusal(&bench, fd, (uint16_t) i, WRITABLE, 5, exceptions[i]);
        bench_expect_served(&bench, fd, (uint16_t) i);
    }
    assert_int_equal(server_counters(bench.server).exceptions, COUNT(exceptions));
    close(fd);
}

/* The handler may reject at once. */
ORDERS_TEST(refused_at_once)
{
    const int fd = bench_connect(&bench);
    uint8_t order[BENCH_REQUEST];
    bench.order_refused = BUSY;
    put_order(order, 7);
    bench_send(&bench, fd, order, sizeof order);
    bench_expect_refusal(&bench, fd, 7, WRITABLE, 5, BUSY);
    bench_expect_served(&bench, fd, 8);
    close(fd);
}

/* Requests that must never become an order. */
// clang-format off
static const struct {
    const char *name;
    uint8_t request[24];
    uint8_t exception;
} no_orders[] = {
    {"a pack that may not be written",    {0, 1, 0, 0, 0,  6, 1,        5, 0, 0, 0, 0},                           1},
    {"a pack that does not answer",       {0, 1, 0, 0, 0,  6, STALE,    5, 0, 0, 0, 0},                        0x0B},
    {"no such unit",                      {0, 1, 0, 0, 0,  6, 9,        5, 0, 0, 0, 0},                        0x0A},
    {"function 22",                       {0, 1, 0, 0, 0,  8, WRITABLE, 22, 1, 0x33, 0, 0, 0, 1},                 1},
    {"function 23",                       {0, 1, 0, 0, 0, 13, WRITABLE, 23, 1, 0x33, 0, 1, 1, 0x33, 0, 1, 2, 0, 0}, 1},
    {"5 to neither on nor off",           {0, 1, 0, 0, 0,  6, WRITABLE, 5, 0, 0, 0, 1},                           3},
    {"5 cut short",                       {0, 1, 0, 0, 0,  5, WRITABLE, 5, 0, 0, 0xFF},                           3},
    {"5 with a byte too many",            {0, 1, 0, 0, 0,  7, WRITABLE, 5, 0, 0, 0xFF, 0, 0},                     3},
    {"5 to a coil that is not there",     {0, 1, 0, 0, 0,  6, WRITABLE, 5, 0, 2, 0, 0},                           2},
    {"6 with a value of 2",               {0, 1, 0, 0, 0,  6, WRITABLE, 6, 1, 0x33, 0, 2},                        3},
    {"6 with a value of 256",             {0, 1, 0, 0, 0,  6, WRITABLE, 6, 1, 0x33, 1, 0},                        3},
    {"6 to the register before",          {0, 1, 0, 0, 0,  6, WRITABLE, 6, 1, 0x32, 0, 1},                        2},
    {"6 to the register behind",          {0, 1, 0, 0, 0,  6, WRITABLE, 6, 1, 0x35, 0, 1},                        2},
    {"6 outside of the map",              {0, 1, 0, 0, 0,  6, WRITABLE, 6, 0, 0, 0, 1},                           2},
    {"15 with a coil too many",           {0, 1, 0, 0, 0,  8, WRITABLE, 15, 0, 0, 0, 3, 1, 7},                    2},
    {"15 without a coil",                 {0, 1, 0, 0, 0,  7, WRITABLE, 15, 0, 0, 0, 0, 0},                       3},
    {"15 with a byte count too high",     {0, 1, 0, 0, 0,  9, WRITABLE, 15, 0, 0, 0, 2, 2, 3, 0},                 3},
    {"15 whose byte is missing",          {0, 1, 0, 0, 0,  7, WRITABLE, 15, 0, 0, 0, 2, 1},                       3},
    {"16 with a register too many",       {0, 1, 0, 0, 0, 13, WRITABLE, 16, 1, 0x33, 0, 3, 6, 0, 1, 0, 1, 0, 1},  2},
    {"16 whose second value is 2",        {0, 1, 0, 0, 0, 11, WRITABLE, 16, 1, 0x33, 0, 2, 4, 0, 1, 0, 2},        3},
    {"16 whose last byte is missing",     {0, 1, 0, 0, 0, 10, WRITABLE, 16, 1, 0x33, 0, 2, 4, 0, 1, 0},           3},
    {"16 with an odd byte count",         {0, 1, 0, 0, 0, 10, WRITABLE, 16, 1, 0x33, 0, 2, 3, 0, 1, 0},           3},
};
// clang-format on

ORDERS_TEST(no_orders)
{
    const int fd = bench_connect(&bench);
    for (unsigned i = 0; i < COUNT(no_orders); i++) {
        const uint8_t *request = no_orders[i].request;
        uint8_t reply[BENCH_REFUSAL];
        bench_send(&bench, fd, request, 6u + request[5]);
        assert_int_equal(bench_receive(&bench, fd, reply, sizeof reply), sizeof reply);
        if (reply[7] != (request[7] | 0x80) || reply[8] != no_orders[i].exception)
            fail_msg("%s: function %02X, exception %u", no_orders[i].name, reply[7], reply[8]);
    }
    assert_int_equal(bench.order_count, 0);
    close(fd);
}

/* Every accepted client may read; ordering is for the clients of allow_write. */
ORDERS_TEST(other_client)
{
    const int fd = bench_connect(&bench);
    uint8_t order[BENCH_REQUEST];
    bench.config.allow_write = (struct allow_list){.count = 0};
    assert_true(allow_add(&bench.config.allow_write, "127.0.0.2"));
    put_order(order, 1);
    bench_send(&bench, fd, order, sizeof order);
    bench_expect_refusal(&bench, fd, 1, WRITABLE, 5, 1);
    bench_expect_served(&bench, fd, 2);
    assert_int_equal(bench.order_count, 0);
    close(fd);
}

/* Read, order, read, order, read in one stream, cut anywhere: requests before an order are answered at once, those
 * after it when it has ended. */
ORDERS_TEST(pipelined)
{
    uint8_t stream[5 * BENCH_REQUEST];
    const int other = bench_connect(&bench);
    for (uint16_t i = 0; i < 5; i++)
        if (i % 2)
            put_order(stream + i * BENCH_REQUEST, i);
        else
            bench_put_request(stream + i * BENCH_REQUEST, i, 1, 3, (uint16_t) (290 + i), 1);
    for (size_t cut = 0; cut <= sizeof stream; cut++) {
        const int fd = bench_connect(&bench);
        bench.order_count = 0;
        bench_send(&bench, fd, stream, cut);
        bench_expect_served(&bench, other, 1);
        bench_send(&bench, fd, stream + cut, sizeof stream - cut);
        bench_expect_one(&bench, fd, 0, 1, 290);
        expect_nothing(fd, other);
        for (uint16_t i = 1; i < 5; i += 2) {
            assert_int_equal(bench.order_count, i / 2 + 1);
            end_order(last_ticket(), 0);
            expect_confirmed(fd, i);
            bench_expect_one(&bench, fd, (uint16_t) (i + 1), 1, (uint16_t) (290 + i + 1));
            expect_nothing(fd, other);
        }
        close(fd);
    }
    close(other);
}

/* The function that ends an order never starts the next one, because its caller may be about to free the pack of that
 * order. */
ORDERS_TEST(not_from_within)
{
    uint8_t stream[3 * BENCH_REQUEST];
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    for (uint16_t i = 0; i < 3; i++)
        put_order(stream + i * BENCH_REQUEST, i);
    bench_send(&bench, fd, stream, sizeof stream);
    expect_nothing(fd, other);
    end_order(last_ticket(), 0);
    assert_int_equal(bench.order_count, 1);
    expect_confirmed(fd, 0);
    expect_nothing(fd, other);
    assert_int_equal(bench.order_count, 2);
    end_order(last_ticket(), 0);
    server_free(bench.server); /* the third is never started */
    bench.server = NULL;
    assert_int_equal(bench.order_count, 2);
    expect_confirmed(fd, 1);
    expect_closed(fd);
    close(other);
}

/* Far more requests after an order than the server buffers: they stay in the socket, and are answered in order
 * afterwards. */
ORDERS_TEST(flood_behind)
{
    static uint8_t stream[4000 * BENCH_REQUEST];
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    for (uint16_t i = 0; i < 4000; i++)
        bench_put_request(stream + i * BENCH_REQUEST, i, 1, 3, (uint16_t) (290 + i % 58), 1);
    size_t sent = 0;
    for (ssize_t n = 1; n > 0; sent += n > 0 ? (size_t) n : 0) {
        n = send(fd, stream + sent, sizeof stream - sent, MSG_NOSIGNAL);
        expect_nothing(fd, other);
    }
    assert_true(sent > 10 * 4 * MBAP_ADU_MAX);
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    bench_send(&bench, fd, stream + sent, sizeof stream - sent);
    for (uint16_t i = 0; i < 4000; i++)
        bench_expect_one(&bench, fd, i, 1, (uint16_t) (290 + i % 58));
    close(fd);
    close(other);
}

static void on_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    ev_break(loop, EVBREAK_ONE);
}

/* The number of wake-ups of the loop while it only waits for a timer. */
static unsigned turns_of_rest(void)
{
    ev_timer timer;
    const unsigned before = ev_iteration(bench.loop);
    ev_timer_init(&timer, on_time, 0.02, 0);
    ev_timer_start(bench.loop, &timer);
    ev_run(bench.loop, 0);
    return ev_iteration(bench.loop) - before;
}

/* The ways in which a client can leave or misbehave while its order is pending. */
enum leaving {
    CLOSE,
    RESET,
    GARBAGE_THEN_CLOSE,
    GARBAGE_THEN_RESET,
    HALF_A_FRAME_THEN_RESET,
    LEAVINGS
};

static void leave(int fd, enum leaving how)
{
    static const uint8_t garbage[] = {0, 9, 0, 0, 0xFF, 0xFF, 1, 2, 3};
    if (how == GARBAGE_THEN_CLOSE || how == GARBAGE_THEN_RESET)
        bench_send(&bench, fd, garbage, sizeof garbage);
    if (how == HALF_A_FRAME_THEN_RESET)
        bench_send(&bench, fd, "\0\1\0\0\0", 5);
    if (how == CLOSE || how == GARBAGE_THEN_CLOSE)
        close(fd);
    else
        bench_reset(fd);
}

/* In all cases the loop does not spin on the socket, the others are served, and the end of the order finds no client
 * and releases everything. */
ORDERS_TEST(leaves)
{
    const int other = bench_connect(&bench);
    bench_expect_served(&bench, other, 1);
    const unsigned before = bench_descriptors();
    for (int how = CLOSE; how < LEAVINGS; how++)
        for (uint8_t exception = 0; exception <= 4; exception = (uint8_t) (exception + 4)) {
            const int fd = bench_connect(&bench);
            bench.order_count = 0;
            const uint64_t ticket = give_order(fd, 1);
            leave(fd, (enum leaving) how);
            for (uint16_t i = 0; i < 10; i++)
                bench_expect_served(&bench, other, i);
            assert_in_range(turns_of_rest(), 1, 10);
            end_order(ticket, exception);
            while (server_clients(bench.server) > 1)
                ev_run(bench.loop, EVRUN_ONCE);
            bench_expect_served(&bench, other, 2);
            assert_int_equal(bench_descriptors(), before);
        }
    close(other);
}

/* A client that has shut down its sending side still gets the response. */
ORDERS_TEST(half_close)
{
    const int fd = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    shutdown(fd, SHUT_WR);
    assert_in_range(turns_of_rest(), 1, 10);
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    expect_closed(fd);
    assert_int_equal(server_clients(bench.server), 0);
}

/* Bytes after an order that are not Modbus end the connection after its response. */
ORDERS_TEST(garbage_behind)
{
    uint8_t stream[2 * BENCH_REQUEST];
    for (size_t cut = BENCH_REQUEST; cut <= sizeof stream; cut++) {
        const int fd = bench_connect(&bench);
        bench.order_count = 0;
        put_order(stream, 1);
        memset(stream + BENCH_REQUEST, 0xEE, BENCH_REQUEST);
        bench_send(&bench, fd, stream, cut);
        while (bench.order_count == 0)
            ev_run(bench.loop, EVRUN_ONCE);
        bench_send(&bench, fd, stream + cut, sizeof stream - cut);
        assert_in_range(turns_of_rest(), 1, 10);
        end_order(last_ticket(), 0);
        expect_confirmed(fd, 1);
        expect_closed(fd);
    }
}

/* A frame of another protocol and a rejected request after an order: each in its turn. */
ORDERS_TEST(others_behind)
{
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    uint8_t stream[3 * BENCH_REQUEST];
    const uint64_t ticket = give_order(fd, 1);
    bench_put_request(stream, 2, 1, 3, 290, 1);
    stream[3] = 7; /* protocol id */
    bench_put_request(stream + BENCH_REQUEST, 3, 1, 99, 290, 1);
    bench_put_request(stream + 2 * BENCH_REQUEST, 4, 1, 3, 291, 1);
    bench_send(&bench, fd, stream, sizeof stream);
    expect_nothing(fd, other);
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    bench_expect_refusal(&bench, fd, 3, 1, 99, 1);
    bench_expect_one(&bench, fd, 4, 1, 291);
    close(fd);
    close(other);
}

/* A client that waits is not idle, however long it takes; afterwards it can be. */
OWN_START(idle)
{
    bench.config.idle_timeout_s = 0.02;
    bench_start(&bench);
    const int fd = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    for (unsigned i = 0; i < 3; i++) {
        const int silent = bench_connect(&bench);
        bench_await_close(&bench, silent);
    }
    assert_int_equal(server_clients(bench.server), 1);
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    expect_closed(fd);
    assert_int_equal(server_counters(bench.server).dropped, 4);
}

/* Few places: all other clients are displaced before those that wait. */
OWN_START(limit)
{
    bench.config.max_clients = 3;
    bench_start(&bench);
    const int fd = bench_connect(&bench), asking = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    bench_expect_served(&bench, asking, 1);
    for (unsigned i = 0; i < 10; i++) {
        const int visitor = bench_connect(&bench);
        bench_expect_served(&bench, visitor, (uint16_t) i);
        close(visitor);
        const int silent = bench_connect(&bench);
        bench_turn(&bench);
        close(silent);
    }
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    close(fd);
    close(asking);
}

/* All clients wait: the oldest of them is displaced. Its order is executed, and its end is not answered to another
 * client. */
OWN_START(all_wait)
{
    int fd[3];
    bench.config.max_clients = COUNT(fd);
    bench_start(&bench);
    for (uint16_t i = 0; i < COUNT(fd); i++) {
        fd[i] = bench_connect(&bench);
        give_order(fd[i], i);
    }
    const int next = bench_connect(&bench);
    bench_expect_served(&bench, next, 1);
    expect_closed(fd[0]);
    assert_int_equal(server_counters(bench.server).dropped, 1);
    end_order(bench.orders[0].ticket, 0);
    for (unsigned i = 1; i < COUNT(fd); i++)
        expect_nothing(fd[i], next);
    expect_nothing(next, next);
    for (uint16_t i = COUNT(fd) - 1; i > 0; i--) { /* in reverse order */
        end_order(bench.orders[i].ticket, i == 1 ? 4 : 0);
        if (i == 1)
            bench_expect_refusal(&bench, fd[i], i, WRITABLE, 5, 4);
        else
            expect_confirmed(fd[i], i);
    }
    for (unsigned i = 1; i < COUNT(fd); i++)
        close(fd[i]);
    close(next);
}

/* An end that is reported twice, or of an unknown order, answers nobody. */
ORDERS_TEST(unknown_ticket)
{
    const int fd = bench_connect(&bench), other = bench_connect(&bench);
    const uint64_t first = give_order(fd, 1);
    end_order(first + 1, 0);
    end_order(0, 0);
    expect_nothing(fd, other);
    end_order(first, 0);
    expect_confirmed(fd, 1);
    const uint64_t second = give_order(fd, 2);
    assert_true(second != first);
    end_order(first, 4);
    expect_nothing(fd, other);
    end_order(second, 0);
    expect_confirmed(fd, 2);
    close(fd);
    close(other);
}

/* A socket that does not accept the response: the client is disconnected, as for any other response. */
ORDERS_TEST(answer_not_taken)
{
    static const int errors[] = {EAGAIN, EPIPE, ECONNRESET};
    const int other = bench_connect(&bench);
    for (unsigned i = 0; i < COUNT(errors); i++)
        for (uint8_t exception = 0; exception <= 4; exception = (uint8_t) (exception + 4)) {
            const int fd = bench_connect(&bench);
            bench.order_count = 0;
            const uint64_t ticket = give_order(fd, 1);
            send_error = errors[i];
            end_order(ticket, exception);
            send_error = 0;
            expect_closed(fd);
            bench_expect_served(&bench, other, 1);
        }
    assert_int_equal(server_counters(bench.server).dropped, 2); /* the others were lost */
    close(other);
}

/* Other units after a reload: the order in progress gets its response. */
ORDERS_TEST(other_units)
{
    const int fd = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    bench.units = (struct units){{0}};
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    uint8_t order[BENCH_REQUEST];
    put_order(order, 2);
    bench_send(&bench, fd, order, sizeof order);
    bench_expect_refusal(&bench, fd, 2, WRITABLE, 5, 0x0A);
    close(fd);
}

/* Units 0 and 255 are the first pack, also for orders; the response has the requested unit. */
ORDERS_TEST(default_unit)
{
    static const uint8_t ids[] = {0, 255, WRITABLE};
    const int fd = bench_connect(&bench);
    bench.units.by_id[0] = bench.units.by_id[255] = bench.units.by_id[WRITABLE];
    for (unsigned i = 0; i < COUNT(ids); i++) {
        uint8_t order[BENCH_REQUEST];
        bench.order_count = 0;
        bench_put_request(order, 1, ids[i], 6, REGISTER_CHARGE, 1);
        bench_send(&bench, fd, order, sizeof order);
        while (bench.order_count == 0)
            ev_run(bench.loop, EVRUN_ONCE);
        assert_int_equal(bench.orders[0].unit, WRITABLE);
        end_order(last_ticket(), 0);
        bench_expect(&bench, fd, order, sizeof order);
    }
    close(fd);
}

/* A client that is no longer allowed is disconnected, whatever it waits for. */
ORDERS_TEST(other_policy)
{
    struct gateway_config config = bench.config;
    const int fd = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    config.allow = (struct allow_list){.count = 0};
    server_set_policy(bench.server, &config);
    expect_closed(fd);
    assert_int_equal(server_clients(bench.server), 0);
    end_order(ticket, 0);
}

/* It can no longer write after that permission was removed; its order in progress continues. */
ORDERS_TEST(other_allow_write)
{
    const struct allow_list nobody = {.count = 0};
    uint8_t order[BENCH_REQUEST];
    const int fd = bench_connect(&bench);
    const uint64_t ticket = give_order(fd, 1);
    put_order(order, 2);
    bench_send(&bench, fd, order, sizeof order);
    server_set_orders(bench.server, &nobody, bench_take_order, &bench);
    end_order(ticket, 0);
    expect_confirmed(fd, 1);
    bench_expect_refusal(&bench, fd, 2, WRITABLE, 5, 1);
    assert_int_equal(bench.order_count, 1);
    close(fd);
}

OWN_START(end)
{
    const unsigned before = bench_descriptors();
    bench_start(&bench);
    const int fd = bench_connect(&bench);
    give_order(fd, 1);
    bench_send(&bench, fd, "\0\1\0", 3);
    server_free(bench.server);
    bench.server = NULL;
    expect_closed(fd);
    assert_int_equal(bench_descriptors(), before);
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_DFL);
    alarm(120); /* a hang is a failure, not a wait for ever */
}
