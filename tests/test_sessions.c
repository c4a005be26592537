// SPDX-License-Identifier: MIT
/*
 * Sessions of several clients at once, each a sequence of valid requests with random damage, sent
 * in pieces of any size while orders of some are pending. The expected responses follow from the
 * bytes alone, by a second, simple implementation of the specification: each client gets exactly
 * these, in order, whatever the others send. The seed is fixed, so a failure is repeatable.
 */
#include "server_bench.h"

#include <signal.h>

#define SESSIONS 10000
#define AT_ONCE 6
#define STEPS 100000 /* more than any session needs */
#define REQUESTS 16  /* of a session, before damage */
#define STREAM 2048
#define REPLIES 256 /* as many of the shortest frames fit into a stream */

enum order_end { CONFIRMED = 0, REFUSED = 4, UNANSWERED = 0x0B };

struct response {
    uint8_t bytes[MBAP_ADU_MAX];
    size_t size;
    bool own_content; /* an identification: the content is that of test_identity */
};

struct session {
    unsigned number;
    unsigned steps, leaves_after; /* 0: after the last step */
    int fd;
    uint16_t port;
    uint8_t stream[STREAM];
    size_t size, sent;
    struct response replies[REPLIES];
    unsigned expected, received;
    bool closes; /* after the last reply, because of an impossible length */
    unsigned orders;
    uint64_t ticket; /* of the order that is pending; 0: none */
    uint8_t ends_in;
    uint8_t bytes[2 * MBAP_ADU_MAX];
    size_t got;
};

static struct bench bench;
static struct session sessions[AT_ONCE];
static uint64_t seed = 20240229;

/* 0 … limit - 1 */
static unsigned any(unsigned limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned) (seed >> 33) % limit;
}

static unsigned word(const uint8_t *bytes)
{
    return (unsigned) bytes[0] << 8 | bytes[1];
}

enum values { NONE, SERVED, STALE };

static enum values values_of(uint8_t unit)
{
    static const uint8_t served[] = {0, 1, 255, 3, 5}, stale[] = {2, 6, 247};
    return memchr(served, unit, sizeof served) ? SERVED
           : memchr(stale, unit, sizeof stale) ? STALE
                                               : NONE;
}

static bool is_writable(uint8_t unit)
{
    return unit == 5 || unit == 6;
}

static enum map_range range_of(uint8_t function, unsigned address, unsigned count)
{
    if (function == 1 || function == 5 || function == 15)
        return map_coil_range(address, count);
    if (function == 2)
        return map_input_range(address, count);
    return map_range(&bench.config.map, address, count);
}

static uint8_t judge_range(uint8_t unit, uint8_t function, unsigned address, unsigned count)
{
    const enum map_range range = range_of(function, address, count);
    if (range == MAP_OUTSIDE)
        return 2;
    return range == MAP_VALUES && values_of(unit) == STALE ? 0x0B : 0;
}

/* Whether a request for `count` items of `bits` each has exactly the right length. */
static bool is_whole_write(const uint8_t *pdu, size_t size, unsigned bits, unsigned most)
{
    const unsigned count = size >= 6 ? word(pdu + 3) : 0, bytes = (count * bits + 7) / 8;
    return count >= 1 && count <= most && pdu[5] == bytes && size == 6 + bytes;
}

static bool is_whole(const uint8_t *pdu, size_t size)
{
    switch (pdu[0]) {
    case 1:
    case 2:
        return size == 5 && word(pdu + 3) >= 1 && word(pdu + 3) <= 2000;
    case 3:
    case 4:
        return size == 5 && word(pdu + 3) >= 1 && word(pdu + 3) <= 125;
    case 5:
        return size == 5 && (word(pdu + 3) == 0 || word(pdu + 3) == 0xFF00);
    case 6:
        return size == 5;
    case 15:
        return is_whole_write(pdu, size, 1, 1968);
    case 16:
        return is_whole_write(pdu, size, 16, 123);
    default:
        return size == 4; /* 43 */
    }
}

static bool is_known(uint8_t unit, const uint8_t *pdu, size_t size)
{
    static const uint8_t reads[] = {1, 2, 3, 4}, writes[] = {5, 6, 15, 16};
    if (memchr(writes, pdu[0], sizeof writes))
        return is_writable(unit);
    return memchr(reads, pdu[0], sizeof reads) || (pdu[0] == 43 && (size == 1 || pdu[1] == 14));
}

/* Registers 17 and 18 of both copies of the block are switches, and take 0 or 1. */
static uint8_t judge_registers(const uint8_t *pdu, unsigned count, const uint8_t *values)
{
    for (unsigned i = 0; i < count; i++) {
        const unsigned address = word(pdu + 1) + i;
        if (address != 117 && address != 118 && address != 307 && address != 308)
            return 2;
        if (word(values + 2 * i) > 1)
            return 3;
    }
    return 0;
}

/* The exception to a request, 0 for a normal answer. */
static uint8_t judge(uint8_t unit, const uint8_t *pdu, size_t size)
{
    if (values_of(unit) == NONE)
        return 0x0A;
    if (!is_known(unit, pdu, size))
        return 1;
    if (!is_whole(pdu, size))
        return 3;
    if (pdu[0] == 43)
        return 0;
    const bool one = pdu[0] == 5 || pdu[0] == 6;
    const unsigned count = one ? 1 : word(pdu + 3);
    const uint8_t exception = judge_range(unit, pdu[0], word(pdu + 1), count);
    if (exception || (pdu[0] != 6 && pdu[0] != 16))
        return exception;
    return judge_registers(pdu, count, one ? pdu + 3 : pdu + 6);
}

static bool bit_at(uint8_t function, unsigned address)
{
    return function == 1 ? address == 0 : address % 3 == 0;
}

static size_t read_answer(const uint8_t *pdu, uint8_t *answer)
{
    const unsigned address = word(pdu + 1), count = word(pdu + 3);
    const size_t bytes = pdu[0] <= 2 ? (count + 7) / 8 : 2 * count;
    memset(answer, 0, 2 + bytes);
    answer[0] = pdu[0];
    answer[1] = (uint8_t) bytes;
    for (unsigned i = 0; i < count; i++) {
        const unsigned value = (address + i) * 7 + 3;
        if (pdu[0] <= 2) {
            answer[2 + i / 8] |= (uint8_t) (bit_at(pdu[0], address + i) << i % 8);
        } else {
            answer[2 + 2 * i] = (uint8_t) (value >> 8);
            answer[3 + 2 * i] = (uint8_t) value;
        }
    }
    return 2 + bytes;
}

/* The results of the orders of one session, in order. */
static uint8_t end_of_order(unsigned number)
{
    static const uint8_t ends[] = {CONFIRMED, CONFIRMED, REFUSED, CONFIRMED, UNANSWERED};
    return ends[number % COUNT(ends)];
}

static void put_exception(struct response *reply, uint8_t function, uint8_t exception)
{
    reply->bytes[7] = function | 0x80;
    reply->bytes[8] = exception;
    reply->size = 9;
}

static void expect_answer(struct session *session, const uint8_t *frame, size_t size)
{
    assert_true(session->expected < REPLIES);
    struct response *reply = &session->replies[session->expected++];
    const uint8_t *pdu = frame + 7;
    uint8_t exception = judge(frame[6], pdu, size - 7);
    const bool order = !exception && (pdu[0] == 5 || pdu[0] == 6 || pdu[0] == 15 || pdu[0] == 16);
    if (order)
        exception = end_of_order(session->orders++);
    *reply = (struct response){.bytes = {frame[0], frame[1], 0, 0, 0, 0, frame[6]}};
    reply->own_content = !exception && pdu[0] == 43;
    if (exception) {
        put_exception(reply, pdu[0], exception);
    } else if (order) {
        memcpy(reply->bytes + 7, pdu, 5);
        reply->size = 12;
    } else if (reply->own_content) {
        memcpy(reply->bytes + 7, pdu, 3);
        reply->size = 10;
    } else {
        reply->size = 7 + read_answer(pdu, reply->bytes + 7);
    }
    reply->bytes[5] = (uint8_t) (reply->size - 6);
}

/* Header by header through the stream. */
static void expect_answers(struct session *session)
{
    const uint8_t *at = session->stream, *end = at + session->size;
    session->expected = session->orders = 0;
    session->closes = false;
    while (end - at >= 6) {
        const size_t length = word(at + 4);
        session->closes = length < 2 || length > 254;
        if (session->closes || (size_t) (end - at) < 6 + length)
            break;
        if (word(at + 2) == 0)
            expect_answer(session, at, 6 + length);
        at += 6 + length;
    }
    session->orders = 0;
}

// clang-format off
static const uint8_t good_requests[][20] = {
    {0, 0, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 58},                    {0, 0, 0, 0, 0, 6, 1, 3, 0, 100, 0, 58},
    {0, 0, 0, 0, 0, 6, 1, 3, 1, 0x90, 0, 125},                   {0, 0, 0, 0, 0, 6, 1, 4, 1, 0x2C, 0, 2},
    {0, 0, 0, 0, 0, 6, 1, 2, 0, 0, 0, 48},                       {0, 0, 0, 0, 0, 6, 1, 1, 0, 0, 0, 2},
    {0, 0, 0, 0, 0, 6, 2, 3, 1, 0x22, 0, 1},                     {0, 0, 0, 0, 0, 6, 2, 3, 1, 0x90, 0, 1},
    {0, 0, 0, 0, 0, 6, 3, 3, 1, 0x22, 0, 8},                     {0, 0, 0, 0, 0, 6, 255, 3, 1, 0x5B, 0, 1},
    {0, 0, 0, 0, 0, 6, 0, 3, 3, 0x1F, 0, 1},                     {0, 0, 0, 0, 0, 6, 247, 3, 1, 0x90, 0, 2},
    {0, 0, 0, 0, 0, 5, 1, 43, 14, 1, 0},                         {0, 0, 0, 0, 0, 5, 5, 43, 14, 4, 6},
    {0, 0, 0, 0, 0, 6, 5, 5, 0, 0, 0xFF, 0},                     {0, 0, 0, 0, 0, 6, 5, 5, 0, 1, 0, 0},
    {0, 0, 0, 0, 0, 6, 5, 6, 1, 0x33, 0, 1},                     {0, 0, 0, 0, 0, 6, 6, 6, 1, 0x33, 0, 1},
    {0, 0, 0, 0, 0, 8, 5, 15, 0, 0, 0, 2, 1, 2},                 {0, 0, 0, 0, 0, 11, 5, 16, 1, 0x33, 0, 2, 4, 0, 1, 0, 0},
    {0, 0, 0, 0, 0, 8, 5, 22, 1, 0x33, 0, 0, 0, 1},              {0, 0, 0, 0, 0, 13, 5, 23, 1, 0x22, 0, 1, 1, 0x33, 0, 1, 2, 0, 1},
};
// clang-format on

static void append_requests(struct session *session)
{
    const unsigned count = 1 + any(REQUESTS);
    session->size = 0;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *request = good_requests[any(COUNT(good_requests))];
        uint8_t *at = session->stream + session->size;
        memcpy(at, request, 6u + request[5]);
        at[0] = (uint8_t) session->number;
        at[1] = (uint8_t) i;
        session->size += 6u + request[5];
    }
}

static void move_tail(struct session *session, size_t from, size_t to)
{
    memmove(session->stream + to, session->stream + from, session->size - from);
    session->size = session->size - from + to;
}

static void insert_bytes(struct session *session, size_t at)
{
    const size_t count = 1 + any(12);
    move_tail(session, at, at + count);
    for (size_t i = 0; i < count; i++)
        session->stream[at + i] = (uint8_t) any(256);
}

static void remove_bytes(struct session *session, size_t at)
{
    const size_t count = 1 + any(12);
    move_tail(session, at + count < session->size ? at + count : session->size, at);
}

/* Copies a piece of it to another position. */
static void repeat_piece(struct session *session, size_t at)
{
    uint8_t piece[64];
    const size_t from = any((unsigned) session->size);
    const size_t left = session->size - from;
    const size_t count = left < sizeof piece ? left : sizeof piece;
    memcpy(piece, session->stream + from, count);
    move_tail(session, at, at + count);
    memcpy(session->stream + at, piece, count);
}

/* A number at some limit: lengths, quantities, addresses. */
static void put_telling_word(struct session *session, size_t at)
{
    static const uint16_t telling[] = {0,   1,   2,   58,  59,   125,  126,  157,    158,
                                       253, 254, 255, 256, 2000, 2001, 0x7F, 0xFF00, 0xFFFF};
    const uint16_t value = telling[any(COUNT(telling))];
    session->stream[at] = (uint8_t) (value >> 8);
    if (at + 1 < session->size)
        session->stream[at + 1] = (uint8_t) value;
}

static void damage(struct session *session)
{
    const size_t at = any((unsigned) session->size);
    switch (any(7)) {
    case 0:
        session->stream[at] ^= (uint8_t) (1 << any(8));
        break;
    case 1:
    case 2:
        put_telling_word(session, at);
        break;
    case 3:
        session->stream[at] = (uint8_t) any(256);
        break;
    case 4:
        insert_bytes(session, at);
        break;
    case 5:
        remove_bytes(session, at);
        break;
    default:
        repeat_piece(session, at);
        break;
    }
    if (session->size == 0)
        append_requests(session);
}

static void begin(struct session *session, unsigned number)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(session, 0, sizeof *session);
    session->number = number;
    session->leaves_after = any(10) == 0 ? 1 + any(50) : 0;
    session->fd = bench_connect(&bench);
    assert_int_equal(getsockname(session->fd, (struct sockaddr *) &address, &size), 0);
    session->port = address.sin_port;
    append_requests(session);
    for (unsigned damages = any(5); damages > 0; damages--)
        damage(session);
    expect_answers(session);
}

static uint8_t take_order(void *data, struct unit *unit, const struct switches *switches,
                          const struct sockaddr *client, uint64_t ticket)
{
    struct sockaddr_in address;
    assert_true(unit->writable && unit->shown_state == MAP_STATE_FRESH);
    memcpy(&address, client, sizeof address);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        struct session *session = &sessions[i];
        if (session->port != address.sin_port)
            continue;
        assert_true(session->ticket == 0);
        session->ticket = ticket;
        session->ends_in = end_of_order(session->orders++);
        return 0;
    }
    return REFUSED; /* it has left */
}

static void end_order(struct session *session)
{
    const uint64_t ticket = session->ticket;
    session->ticket = 0;
    if (ticket)
        server_order_over(bench.server, ticket, session->ends_in);
}

/* A piece of the stream, as far as the socket takes it. */
static void send_piece(struct session *session)
{
    const size_t left = session->size - session->sent;
    const size_t piece = any(4) == 0 ? left : 1 + any(40);
    const ssize_t n = send(session->fd, session->stream + session->sent,
                           piece < left ? piece : left, MSG_NOSIGNAL);
    if (n >= 0)
        session->sent += (size_t) n;
    else if (errno != EAGAIN && session->closes)
        session->sent = session->size; /* closed meanwhile, as expected */
    else
        assert_int_equal(errno, EAGAIN);
}

static bool is_expected(const struct response *reply, const uint8_t *bytes, size_t size)
{
    if (!reply->own_content)
        return size == reply->size && memcmp(bytes, reply->bytes, size) == 0;
    const bool exception = size == 9 && bytes[7] == (43 | 0x80) && (bytes[8] == 2 || bytes[8] == 3);
    return memcmp(bytes, reply->bytes, 4) == 0 && bytes[6] == reply->bytes[6] &&
           (exception || memcmp(bytes + 7, reply->bytes + 7, 3) == 0);
}

/* Reads whole replies and compares them. False: the connection has ended. */
static bool receive_replies(struct session *session)
{
    const ssize_t n =
        recv(session->fd, session->bytes + session->got, sizeof session->bytes - session->got, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    session->got += (size_t) n;
    while (session->got >= 6 && session->got >= 6 + word(session->bytes + 4)) {
        const size_t size = 6 + word(session->bytes + 4);
        if (session->received == session->expected)
            fail_msg("session %u: a reply too many", session->number);
        if (!is_expected(&session->replies[session->received], session->bytes, size))
            fail_msg("session %u: reply %u is another one", session->number, session->received);
        session->received++;
        session->got -= size;
        memmove(session->bytes, session->bytes + size, session->got);
    }
    return true;
}

/* Everything was sent and received. The connection must be closed or open, as expected. */
static bool is_over(struct session *session)
{
    if (session->sent < session->size || session->received < session->expected)
        return false;
    if (session->closes)
        return !receive_replies(session);
    return true;
}

/* One step of one client. */
static void step(struct session *session)
{
    switch (any(4)) {
    case 0:
        if (session->sent < session->size)
            send_piece(session);
        break;
    case 1:
        end_order(session);
        break;
    case 2:
        bench_turn(&bench);
        break;
    default:
        if (!receive_replies(session) &&
            !(session->closes && session->received == session->expected))
            fail_msg("session %u: closed after %u of %u replies", session->number,
                     session->received, session->expected);
        break;
    }
}

static void leave(struct session *session)
{
    session->port = 0;
    if (any(2))
        bench_reset(session->fd);
    else
        close(session->fd);
    bench_turn(&bench);
    end_order(session);
}

static void check_unchanged(void)
{
    for (unsigned n = 0; n < BENCH_UNITS; n++)
        for (unsigned i = 0; i < map_size(&bench.config.map); i++)
            assert_int_equal(bench.unit[n].registers[i], bench_register(i));
}

static int start(void **state)
{
    bench_prepare(&bench);
    assert_true(allow_add(&bench.config.allow_write, "127.0.0.1"));
    bench_start(&bench);
    server_set_orders(bench.server, &bench.config.allow_write, take_order, NULL);
    return 0;
}

static int stop(void **state)
{
    bench_close(&bench);
    return 0;
}

TEST_WITH(sessions, start, stop)
{
    const int other = bench_connect(&bench);
    unsigned number = 0;
    bench_expect_served(&bench, other, 1);
    const unsigned before = bench_descriptors();
    for (unsigned i = 0; i < AT_ONCE; i++)
        begin(&sessions[i], number++);
    while (number < SESSIONS) {
        struct session *session = &sessions[any(AT_ONCE)];
        step(session);
        if (++session->steps > STEPS)
            fail_msg("session %u does not end", session->number);
        if (session->steps != session->leaves_after && !is_over(session))
            continue;
        bench_expect_served(&bench, other, (uint16_t) number);
        leave(session);
        begin(session, number++);
    }
    for (unsigned i = 0; i < AT_ONCE; i++)
        leave(&sessions[i]);
    while (bench_descriptors() > before)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(server_clients(bench.server), 1);
    bench_expect_served(&bench, other, 2);
    check_unchanged();
    close(other);
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_DFL);
    alarm(120); /* a hang is a failure, not a wait for ever */
}
