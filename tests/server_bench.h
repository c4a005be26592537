// SPDX-License-Identifier: MIT
/*
 * A real server on 127.0.0.1 and raw client sockets, all in one loop and one thread: nothing has to
 * be waited for by time. Shared by the tests that talk to the server over sockets.
 *
 * Registers: address a holds a × 7 + 3 (mod 65536). Discrete input n is 1 where n is divisible by
 * 3; coil 0 is 1, coil 1 is 0. Units:
 *   1    fresh; also 0 and 255
 *   2    stale
 *   3    stale, but held
 *   5    fresh, and its switches may be written by the clients of allow_write, at first nobody
 *   6    stale, and its switches may be written by them
 *   247  never read
 * Orders to switch are noted; a test ends them with server_order_over.
 */
#pragma once

#include "modbus/server.h"
#include "bms/bytes.h"
#include "bms/count.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define BENCH_UNITS 6
#define BENCH_ORDERS 8 /* orders that are recorded; further ones are only counted */

struct bench_order {
    uint8_t unit;
    struct switches switches;
    uint64_t ticket;
};

struct bench {
    struct ev_loop *loop;
    struct gateway_config config;
    struct pack values; /* of all units: none is known */
    struct source source[BENCH_UNITS];
    struct unit unit[BENCH_UNITS];
    struct units units;
    struct server *server;
    struct bench_order orders[BENCH_ORDERS];
    unsigned order_count;
    uint8_t order_refused; /* the exception with which each order is rejected at once; 0: none */
};

static inline uint16_t bench_register(unsigned address)
{
    return (uint16_t) (address * 7 + 3);
}

static inline void bench_fill(struct unit *unit)
{
    for (unsigned i = 0; i < map_size(unit->settings); i++)
        unit->registers[i] = bench_register(i);
    for (unsigned i = 0; i < MAP_INPUTS; i++)
        unit->inputs[i] = i % 3 == 0;
    unit->coils[0] = 1;
    unit->coils[1] = 0;
}

static inline void bench_open_units(struct bench *bench)
{
    static const struct {
        uint8_t id;
        const char *name;
        enum on_stale on_stale;
        enum map_state state;
        bool writable;
    } rows[BENCH_UNITS] = {
        // clang-format off
        /*     name       on_stale         state            writable */
        {1,   "house-1", STALE_EXCEPTION, MAP_STATE_FRESH, false},
        {2,   "house-2", STALE_EXCEPTION, MAP_STATE_STALE, false},
        {3,   "house-3", STALE_HOLD,      MAP_STATE_STALE, false},
        {5,   "house-5", STALE_EXCEPTION, MAP_STATE_FRESH, true},
        {6,   "house-6", STALE_EXCEPTION, MAP_STATE_STALE, true},
        {247, "house-4", STALE_EXCEPTION, MAP_STATE_NEVER, false},
        // clang-format on
    };
    pack_clear(&bench->values);
    for (unsigned i = 0; i < BENCH_UNITS; i++) {
        struct unit *unit = &bench->unit[i];
        bench->source[i] = (struct source){.name = rows[i].name,
                                           .values = &bench->values,
                                           .status = {.state = rows[i].state},
                                           .good_until = INFINITY,
                                           .read_at = NAN};
        unit_open(unit, rows[i].id, &bench->source[i], &bench->config.map, rows[i].on_stale);
        bench_fill(unit);
        unit->known = rows[i].state != MAP_STATE_NEVER;
        unit->shown_state = rows[i].state;
        unit->writable = rows[i].writable;
        assert_true(units_add(&bench->units, unit));
    }
    bench->units.by_id[0] = bench->units.by_id[255] = &bench->unit[0];
}

/* Units and a usual configuration, without a server. */
static inline void bench_prepare(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(bench->loop);
    bench->config =
        (struct gateway_config){.listen = {.at = {"127.0.0.1:0"}, .count = 1},
                                .map = {.base = MAP_BASE_DEFAULT, .also_at = MAP_ALSO_AT_DEFAULT},
                                .max_clients = 16,
                                .idle_timeout_s = 600};
    assert_true(allow_add(&bench->config.allow, "127.0.0.0/8"));
    assert_true(allow_add(&bench->config.allow, "::1"));
    bench_open_units(bench);
}

/* The callback answer_switch. */
static inline uint8_t bench_take_order(void *data, struct unit *unit,
                                       const struct switches *switches,
                                       const struct sockaddr *client, uint64_t ticket)
{
    struct bench *bench = data;
    assert_int_equal(client->sa_family, AF_INET);
    assert_true(ticket != 0);
    if (bench->order_refused)
        return bench->order_refused;
    if (bench->order_count < BENCH_ORDERS)
        bench->orders[bench->order_count] =
            (struct bench_order){.unit = unit->id, .switches = *switches, .ticket = ticket};
    bench->order_count++;
    return 0;
}

static inline void bench_start(struct bench *bench)
{
    bench->server = server_new(bench->loop, &bench->config, &bench->units);
    assert_non_null(bench->server);
    server_set_orders(bench->server, &bench->config.allow_write, bench_take_order, bench);
}

static inline void bench_close(struct bench *bench)
{
    server_free(bench->server);
    for (unsigned i = 0; i < BENCH_UNITS; i++)
        unit_close(&bench->unit[i]);
    ev_loop_destroy(bench->loop);
}

/* A client's non-blocking socket with a receive buffer of this size (0: the default). The kernel completes the
 * connection, even if the server has not accepted it yet. */
static inline int bench_connect_with(struct bench *bench, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t) server_port(bench->server, 0))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (receive_buffer)
        assert_int_equal(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    const int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline int bench_connect(struct bench *bench)
{
    return bench_connect_with(bench, 0);
}

/* Lets the server handle all pending events. */
static inline void bench_turn(struct bench *bench)
{
    ev_run(bench->loop, EVRUN_NOWAIT);
}

static inline void bench_wake(struct ev_loop *loop, ev_io *io, int events)
{
    ev_break(loop, EVBREAK_ONE);
}

/* Runs the loop until the client's socket is readable. */
static inline void bench_await(struct bench *bench, int fd)
{
    ev_io io;
    ev_io_init(&io, bench_wake, fd, EV_READ);
    ev_io_start(bench->loop, &io);
    ev_run(bench->loop, 0);
    ev_io_stop(bench->loop, &io);
}

/* Sends everything; runs the loop while the socket is full. */
static inline void bench_send(struct bench *bench, int fd, const void *bytes, size_t size)
{
    const uint8_t *next = bytes;
    while (size > 0) {
        const ssize_t n = send(fd, next, size, MSG_NOSIGNAL);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            bench_turn(bench);
            continue;
        }
        next += n;
        size -= (size_t) n;
    }
}

/* Waits for `size` bytes; returns fewer if the server closes the connection. */
static inline size_t bench_receive(struct bench *bench, int fd, void *bytes, size_t size)
{
    uint8_t *next = bytes;
    size_t got = 0;
    while (got < size) {
        const ssize_t n = recv(fd, next + got, size - got, 0);
        if (n < 0 && errno == EAGAIN)
            bench_await(bench, fd);
        else if (n <= 0)
            break;
        else
            got += (size_t) n;
    }
    return got;
}

/* Waits until the server closes the connection; ignores bytes before that. */
static inline void bench_await_close(struct bench *bench, int fd)
{
    uint8_t bytes[4096];
    while (bench_receive(bench, fd, bytes, sizeof bytes) == sizeof bytes)
        ;
    close(fd);
}

/* Resets a connection. */
static inline void bench_reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

#define BENCH_REQUEST 12 /* bytes of a request of functions 1 to 6 */
#define BENCH_ONE 11     /* bytes of a response with one register */
#define BENCH_REFUSAL 9  /* bytes of an exception response */

/* A request whose PDU is a function and two words: address, and quantity or value. */
static inline void bench_put_request(uint8_t *at, uint16_t transaction, uint8_t unit,
                                     uint8_t function, uint16_t address, uint16_t word)
{
    const uint8_t bytes[BENCH_REQUEST] = {[5] = 6, [6] = unit, [7] = function};
    memcpy(at, bytes, sizeof bytes);
    put_be16(at, transaction);
    put_be16(at + 8, address);
    put_be16(at + 10, word);
}

static inline void bench_expect(struct bench *bench, int fd, const uint8_t *expected, size_t size)
{
    uint8_t got[300];
    const size_t n = bench_receive(bench, fd, got, size);
    if (n != size || memcmp(got, expected, size) != 0)
        fail_msg("%zu of %zu bytes came, or other ones", n, size);
}

/* The response to a read of one register. */
static inline void bench_expect_one(struct bench *bench, int fd, uint16_t transaction, uint8_t unit,
                                    uint16_t address)
{
    uint8_t expected[BENCH_ONE] = {[5] = 5, [6] = unit, [7] = 3, [8] = 2};
    put_be16(expected, transaction);
    put_be16(expected + 9, bench_register(address));
    bench_expect(bench, fd, expected, sizeof expected);
}

static inline void bench_expect_refusal(struct bench *bench, int fd, uint16_t transaction,
                                        uint8_t unit, uint8_t function, uint8_t exception)
{
    uint8_t expected[BENCH_REFUSAL] = {
        [5] = 3, [6] = unit, [7] = (uint8_t) (function | 0x80), [8] = exception};
    put_be16(expected, transaction);
    bench_expect(bench, fd, expected, sizeof expected);
}

/* Reads a register, to show that the client is served. All earlier responses must have been read, so this also shows
 * that the client has received nothing else. */
static inline void bench_expect_served(struct bench *bench, int fd, uint16_t transaction)
{
    uint8_t request[BENCH_REQUEST];
    const uint16_t address = (uint16_t) (MAP_BASE_DEFAULT + transaction % MAP_COMPAT_SIZE);
    bench_put_request(request, transaction, 1, 3, address, 1);
    bench_send(bench, fd, request, sizeof request);
    bench_expect_one(bench, fd, transaction, 1, address);
}

/* Descriptors in this process, which holds both ends of all connections. */
static inline unsigned bench_descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}
