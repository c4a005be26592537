// SPDX-License-Identifier: MIT
/*
 * The traps of libmodbus 3.1.6, each shown twice: what modbus_reply does if it simply gets the
 * received request (to prove that the trap exists), and that answer() avoids it.
 *
 * This program has its own nanosleep, select, recv and send, which libmodbus calls. Therefore no
 * timing is needed to detect that it would sleep, and a socket that accepts only part of a response
 * is no matter of luck. modbus_reply is wrapped on the way from answer() as well, to check its
 * input.
 */
#include "modbus/answer.h"
#include "bms/count.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pack_test.h"

static unsigned sleeps, selects, receives;
static size_t send_at_most; /* 0: no limit */

int nanosleep(const struct timespec *request, struct timespec *remaining)
{
    sleeps++;
    return 0;
}

int select(int count, fd_set *reading, fd_set *writing, fd_set *excepted, struct timeval *wait)
{
    selects++;
    return 1;
}

#if __SIZEOF_POINTER__ == 4
/* With 64-bit times these names stand for other functions of the C library; a libmodbus built without calls the ones
 * here. */
int nanosleep_without(void) __asm__("nanosleep");
int select_without(void) __asm__("select");

int nanosleep_without(void)
{
    sleeps++;
    return 0;
}

int select_without(void)
{
    selects++;
    return 1;
}
#endif

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    receives++;
    return syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (send_at_most && size > send_at_most)
        size = send_at_most;
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

static const struct map_settings settings = {.base = MAP_BASE_DEFAULT,
                                             .also_at = MAP_ALSO_AT_DEFAULT};

struct bench {
    struct unit unit;
    struct units units;
    struct answerer answerer;
    int ours, theirs; /* the two ends of the connection */
    size_t received;
    uint8_t reply[4096];
};

static struct bench bench;

static uint16_t pattern(unsigned address)
{
    return (uint16_t) (address * 7 + 3);
}

static int set_up(void **state)
{
    int ends[2];
    memset(&bench, 0, sizeof bench);
    unit_open(&bench.unit, 1, "house-1", &settings, STALE_EXCEPTION);
    bench.unit.known = true;
    bench.unit.stale = false;
    bench.unit.good_until = INFINITY;
    for (unsigned i = 0; i < map_size(&settings); i++)
        bench.unit.mapping.tab_registers[i] = pattern(i);
    assert_true(units_add(&bench.units, &bench.unit));
    answerer_open(&bench.answerer, &bench.units);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    bench.ours = ends[0];
    bench.theirs = ends[1];
    sleeps = selects = receives = 0;
    send_at_most = 0;
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    close(bench.ours);
    close(bench.theirs);
    answerer_close(&bench.answerer);
    unit_close(&bench.unit);
    return 0;
}

#define ANSWER_TEST(name) TEST_WITH(name, set_up, tear_down)

/* Bytes that the client has received so far. */
static void receive(void)
{
    const ssize_t n = read(bench.theirs, bench.reply, sizeof bench.reply);
    assert_true(n > 0 || errno == EAGAIN);
    bench.received = n > 0 ? (size_t) n : 0;
}

static void expect(const uint8_t *bytes, size_t size)
{
    receive();
    assert_int_equal(bench.received, size);
    assert_memory_equal(bench.reply, bytes, size);
}

#define EXPECT(...) expect((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A later libmodbus may have fixed a bug of 3.1.6: that is not our failure. */
static void assert_trap(bool shown, const char *what)
{
    const bool is_3_1_6 = libmodbus_version_major == 3 && libmodbus_version_minor == 1 &&
                          libmodbus_version_micro == 6;
    if (is_3_1_6 && !shown)
        fail_msg("libmodbus 3.1.6 does not do this: %s", what);
}

typedef int reply_function(modbus_t *, const uint8_t *, int, modbus_mapping_t *);

/* libmodbus's own function, which ours wraps. */
static reply_function *real_reply(void)
{
    static reply_function *reply;
    if (!reply) {
        void *found = dlsym(RTLD_NEXT, "modbus_reply");
        assert_non_null(found);
        memcpy(&reply, &found, sizeof reply);
    }
    return reply;
}

/* answer() must pass only reads of existing registers to libmodbus, nothing that libmodbus would reject. */
int modbus_reply(modbus_t *modbus, const uint8_t *frame, int size, modbus_mapping_t *mapping)
{
    assert_int_equal(size, 12);
    const int address = frame[8] << 8 | frame[9], quantity = frame[10] << 8 | frame[11];
    const int end = frame[7] == 1   ? mapping->nb_bits
                    : frame[7] == 2 ? mapping->nb_input_bits
                    : frame[7] == 3 ? mapping->nb_registers
                    : frame[7] == 4 ? mapping->nb_input_registers
                                    : 0;
    assert_in_range(quantity, 1, frame[7] <= 2 ? 2000 : 125);
    assert_true(address + quantity <= end);
    return real_reply()(modbus, frame, size, mapping);
}

/* Passes a request to libmodbus unchecked, as its examples do. */
static int reply_unchecked(const uint8_t *frame, size_t size)
{
    modbus_set_socket(bench.answerer.modbus, bench.ours);
    return real_reply()(bench.answerer.modbus, frame, (int) size, &bench.unit.mapping);
}

/* Received at 1000 s and answered at once, by default. */
#define NOW 1000.0
#define TICKET 4711

static enum answer_result ask_at(const uint8_t *frame, size_t size, double now)
{
    const struct sockaddr_in client = {.sin_family = AF_INET};
    const struct question question = {.fd = bench.ours,
                                      .client = (const struct sockaddr *) &client,
                                      .frame = frame,
                                      .size = size,
                                      .ticket = TICKET};
    return answer(&bench.answerer, &question, now);
}

static enum answer_result ask(const uint8_t *frame, size_t size)
{
    return ask_at(frame, size, NOW);
}

static void answer_checked(const uint8_t *frame, size_t size)
{
    receives = 0;
    assert_int_equal(ask(frame, size), ANSWER_SENT);
    assert_int_equal(sleeps + selects + receives, 0);
}

/* A further request that the client has sent after the current one. */
static const uint8_t waiting[] = {0, 9, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 1};

static void send_waiting(void)
{
    assert_int_equal(write(bench.theirs, waiting, sizeof waiting), sizeof waiting);
}

static size_t count_waiting(void)
{
    uint8_t bytes[64];
    const ssize_t n = read(bench.ours, bytes, sizeof bytes);
    return n > 0 ? (size_t) n : 0;
}

/* Requests for which libmodbus sleeps and then discards everything else that was received. */
// clang-format off
static const struct {
    const char *name;
    uint8_t frame[24];
    size_t size;
    uint8_t exception;
} sleepers[] = {
    {"quantity 0",              {0, 1, 0, 0, 0,  6, 1,  3, 1, 0x22, 0,    0},                    12, 3},
    {"quantity 126",            {0, 1, 0, 0, 0,  6, 1,  3, 1, 0x22, 0,  126},                    12, 3},
    {"quantity 0 of inputs",    {0, 1, 0, 0, 0,  6, 1,  2, 0,    0, 0,    0},                    12, 3},
    {"2001 coils",              {0, 1, 0, 0, 0,  6, 1,  1, 0,    0, 7, 0xD1},                    12, 3},
    {"input registers, 0xFFFF", {0, 1, 0, 0, 0,  6, 1,  4, 1, 0x22, 0xFF, 0xFF},                 12, 3},
    {"15, byte count too low",  {0, 1, 0, 0, 0,  8, 1, 15, 0,    0, 0,    9, 1, 1},              14, 1},
    {"16, byte count odd",      {0, 1, 0, 0, 0, 10, 1, 16, 1, 0x22, 0,    1, 3, 0, 1, 2},        16, 1},
    {"23, quantity 0",          {0, 1, 0, 0, 0, 13, 1, 23, 1, 0x22, 0, 0, 1, 0x22, 0, 1, 2, 0, 1}, 19, 1},
    {"unknown function 8",      {0, 1, 0, 0, 0,  6, 1,  8, 0,    0, 0,    0},                    12, 1},
    {"unknown function 100",    {0, 1, 0, 0, 0,  2, 1, 100},                                      8, 1},
    {"function 43/14",          {0, 1, 0, 0, 0,  5, 1, 43, 14,   9, 0},                          11, 3},
};
// clang-format on

ANSWER_TEST(sleep_and_flush)
{
    for (size_t i = 0; i < COUNT(sleepers); i++) {
        send_waiting();
        sleeps = 0;
        reply_unchecked(sleepers[i].frame, sleepers[i].size);
        assert_trap(sleeps == 1 && count_waiting() == 0, sleepers[i].name);
        receive();
        count_waiting();

        send_waiting();
        sleeps = 0;
        answer_checked(sleepers[i].frame, sleepers[i].size);
        EXPECT(0, 1, 0, 0, 0, 3, 1, (uint8_t) (sleepers[i].frame[7] | 0x80), sleepers[i].exception);
        assert_int_equal(count_waiting(), sizeof waiting);
    }
}

/* modbus_receive waits with select, which cannot handle descriptors above 1023. We never call it. */
ANSWER_TEST(select)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    send_waiting();
    modbus_set_socket(bench.answerer.modbus, bench.ours);
    assert_int_equal(modbus_receive(bench.answerer.modbus, request), sizeof waiting);
    assert_trap(selects > 0, "wait in select");
    selects = 0;
    answer_checked(waiting, sizeof waiting);
}

/* A read request that ends after its address: libmodbus takes the quantity from an earlier request in the buffer. */
ANSWER_TEST(short_read)
{
    uint8_t buffer[] = {0, 1, 0, 0, 0, 4, 1, 3, 1, 0x22, /* the end; left over: */ 0, 2};
    reply_unchecked(buffer, 10);
    receive();
    assert_trap(bench.received == 13, "read a quantity that was not sent");
    sleeps = 0;
    answer_checked(buffer, 10);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x83, 3);
}

/* Function 16 that ends after its byte count: libmodbus writes the data of an earlier request. */
ANSWER_TEST(short_write)
{
    uint16_t *registers = bench.unit.mapping.tab_registers;
    uint8_t buffer[] = {0,   1, 0, 0, 0, 7, 1, 16, 1, 0x22, 0, 1, 2, /* the end; left over: */ 0xDE,
                        0xAD};
    reply_unchecked(buffer, 13);
    assert_trap(registers[290] == 0xDEAD, "write values that were not sent");
    receive();
    sleeps = 0;
    registers[290] = pattern(290);
    answer_checked(buffer, 13);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x90, 1);
    assert_int_equal(registers[290], pattern(290));
}

/* A short function 22: libmodbus takes its masks from an earlier request. With Debian's security update it then
 * answers with an exception, but has already changed the register. */
ANSWER_TEST(short_mask)
{
    uint16_t *registers = bench.unit.mapping.tab_registers;
    uint8_t buffer[] = {0,   1, 0, 0, 0, 6, 1, 22, 1, 0x22, 0, 0, /* the end; left over: */ 0xBE,
                        0xEF};
    reply_unchecked(buffer, 12);
    receive();
    assert_trap(registers[290] == 0xBEEF, "change a register by masks that were not sent");
    sleeps = 0;
    registers[290] = pattern(290);
    answer_checked(buffer, 12);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x96, 1);
    assert_int_equal(registers[290], pattern(290));
}

/* libmodbus has no read-only registers. Through answer() no writing function changes anything. */
static const uint8_t writers[][19] = {
    {0, 1, 0, 0, 0, 6, 1, 5, 0, 0, 0xFF, 0},
    {0, 1, 0, 0, 0, 6, 1, 6, 1, 0x22, 0x55, 0xAA},
    {0, 1, 0, 0, 0, 8, 1, 15, 0, 0, 0, 2, 1, 3},
    {0, 1, 0, 0, 0, 9, 1, 16, 1, 0x22, 0, 1, 2, 0x55, 0xAA},
    {0, 1, 0, 0, 0, 8, 1, 22, 1, 0x22, 0, 0, 0x55, 0xAA},
    {0, 1, 0, 0, 0, 13, 1, 23, 1, 0x22, 0, 1, 1, 0x22, 0, 1, 2, 0x55, 0xAA},
};

ANSWER_TEST(read_only)
{
    struct unit *unit = &bench.unit;
    for (size_t i = 0; i < COUNT(writers); i++) {
        const size_t size = 6u + writers[i][5];
        reply_unchecked(writers[i], size);
        assert_trap(unit->mapping.tab_registers[290] == 0x55AA || unit->coils[0] == 1, "write");
        receive();
        unit->mapping.tab_registers[290] = pattern(290);
        memset(unit->coils, 0, sizeof unit->coils);

        answer_checked(writers[i], size);
        EXPECT(0, 1, 0, 0, 0, 3, 1, (uint8_t) (writers[i][7] | 0x80), 1);
        assert_int_equal(unit->mapping.tab_registers[290], pattern(290));
        assert_int_equal(unit->coils[0], 0);
        assert_int_equal(unit->coils[1], 0);
    }
}

/* libmodbus answers for any unit id. */
ANSWER_TEST(any_unit)
{
    uint8_t frame[] = {0, 1, 0, 0, 0, 6, 0, 3, 1, 0x22, 0, 1};
    for (unsigned unit = 2; unit < 256; unit++) {
        frame[6] = (uint8_t) unit;
        reply_unchecked(frame, sizeof frame);
        receive();
        assert_trap(bench.received == 11, "answer for any unit");
        answer_checked(frame, sizeof frame);
        EXPECT(0, 1, 0, 0, 0, 3, (uint8_t) unit, 0x83, 0x0A);
    }
}

/* For functions from 0x81 on, libmodbus adds 0x80 to the function again, so its exception looks like a response to a
 * read. */
ANSWER_TEST(function_wraps)
{
    uint8_t frame[] = {0, 1, 0, 0, 0, 6, 1, 0x83, 1, 0x22, 0, 1};
    modbus_set_socket(bench.answerer.modbus, bench.ours);
    modbus_reply_exception(bench.answerer.modbus, frame, 1);
    receive();
    assert_trap(bench.reply[7] == 3, "let the function wrap round");
    for (unsigned function = 0x80; function < 256; function++) {
        frame[7] = (uint8_t) function;
        answer_checked(frame, sizeof frame);
        EXPECT(0, 1, 0, 0, 0, 3, 1, (uint8_t) function, 1);
    }
}

/* libmodbus does not answer function 7 at all, and answers 17 with its own version. */
ANSWER_TEST(left_out_functions)
{
    uint8_t frame[] = {0, 1, 0, 0, 0, 2, 1, 7};
    assert_trap(reply_unchecked(frame, sizeof frame) == -1, "leave function 7 without an answer");
    receive();
    answer_checked(frame, sizeof frame);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x87, 1);
    frame[7] = 17;
    reply_unchecked(frame, sizeof frame);
    receive();
    assert_trap(memcmp(bench.reply + 11, "LMB", 3) == 0, "tell its version");
    answer_checked(frame, sizeof frame);
    EXPECT(0, 1, 0, 0, 0, 3, 1, 0x91, 1);
}

/* Every function with every length gets an exception or the right answer, without a delay. */
ANSWER_TEST(everything_short)
{
    for (unsigned function = 0; function < 256; function++)
        for (unsigned length = 2; length <= 254; length++) {
            uint8_t frame[260] = {0, 1, 0, 0, 0, (uint8_t) length, 1, (uint8_t) function};
            answer_checked(frame, 6 + length);
            receive();
            assert_in_range(bench.received, 9, 260);
            assert_int_equal(bench.received, 6u + bench.reply[5]);
        }
    for (unsigned i = 0; i < map_size(&settings); i++)
        assert_int_equal(bench.unit.mapping.tab_registers[i], pattern(i));
}

/* Every quantity near a limit at every address near the end of a block: libmodbus gets only valid reads. */
ANSWER_TEST(everything_near_ends)
{
    static const unsigned ends[] = {0, 2, 48, 100, 158, 290, 348, 400, 800, 0xFFFE};
    static const unsigned quantities[] = {0,    1,    2,    3,    47,     48,     49,    57,  58,
                                          59,   124,  125,  126,  127,    128,    255,   256, 257,
                                          1999, 2000, 2001, 2002, 0x7FFF, 0x8000, 0xFFFF};
    for (uint8_t function = 1; function <= 4; function++)
        for (size_t e = 0; e < COUNT(ends); e++)
            for (unsigned address = ends[e] ? ends[e] - 1 : 0; address <= ends[e] + 1; address++)
                for (size_t q = 0; q < COUNT(quantities); q++) {
                    const uint8_t frame[] = {0,
                                             1,
                                             0,
                                             0,
                                             0,
                                             6,
                                             1,
                                             function,
                                             (uint8_t) (address >> 8),
                                             (uint8_t) address,
                                             (uint8_t) (quantities[q] >> 8),
                                             (uint8_t) quantities[q]};
                    answer_checked(frame, sizeof frame);
                    receive();
                    assert_int_equal(bench.received, 6u + bench.reply[5]);
                }
}

/* The four functions that set a value, from an allowed client: libmodbus never sees them, and neither the order nor
 * its end changes a register. */
// clang-format off
static const struct {
    uint8_t frame[17], confirmed[12];
} orders[] = {
    {{0, 1, 0, 0, 0,  6, 1,  5, 0, 1, 0xFF, 0},                  {0, 1, 0, 0, 0, 6, 1,  5, 0, 1, 0xFF, 0}},
    {{0, 2, 0, 0, 0,  6, 1,  6, 1, 0x34, 0, 1},                  {0, 2, 0, 0, 0, 6, 1,  6, 1, 0x34, 0, 1}},
    {{0, 3, 0, 0, 0,  8, 1, 15, 0, 0, 0, 2, 1, 3},               {0, 3, 0, 0, 0, 6, 1, 15, 0, 0, 0, 2}},
    {{0, 4, 0, 0, 0, 11, 1, 16, 1, 0x33, 0, 2, 4, 0, 1, 0, 1},   {0, 4, 0, 0, 0, 6, 1, 16, 1, 0x33, 0, 2}},
};
// clang-format on

static unsigned orders_taken;

static uint8_t take_order(void *data, struct unit *unit, const struct switches *switches,
                          const struct sockaddr *client, uint64_t ticket)
{
    assert_ptr_equal(data, &bench);
    assert_ptr_equal(unit, &bench.unit);
    assert_int_equal(ticket, TICKET);
    orders_taken++;
    return 0;
}

ANSWER_TEST(orders)
{
    struct allow_list everybody = {.count = 0};
    assert_true(allow_add(&everybody, "0.0.0.0/0"));
    bench.unit.writable = true;
    bench.answerer.allow_write = &everybody;
    bench.answerer.data = &bench;
    for (size_t i = 0; i < COUNT(orders); i++) {
        const uint8_t *frame = orders[i].frame;
        const size_t size = 6u + frame[5];
        /* Without a handler for orders the function does not exist. */
        bench.answerer.carry_out = NULL;
        assert_int_equal(ask(frame, size), ANSWER_SENT);
        EXPECT(0, frame[1], 0, 0, 0, 3, 1, (uint8_t) (frame[7] | 0x80), 1);

        orders_taken = 0;
        bench.answerer.carry_out = take_order;
        assert_int_equal(ask(frame, size), ANSWER_PENDING);
        assert_int_equal(orders_taken, 1);
        receive();
        assert_int_equal(bench.received, 0);
        assert_int_equal(answer_order(&bench.answerer, bench.ours, frame, 0), ANSWER_SENT);
        expect(orders[i].confirmed, sizeof orders[i].confirmed);
        assert_int_equal(answer_order(&bench.answerer, bench.ours, frame, 4), ANSWER_SENT);
        EXPECT(0, frame[1], 0, 0, 0, 3, 1, (uint8_t) (frame[7] | 0x80), 4);
        assert_int_equal(sleeps + selects, 0);
    }
    for (unsigned i = 0; i < map_size(&settings); i++)
        assert_int_equal(bench.unit.mapping.tab_registers[i], pattern(i));
    assert_int_equal(bench.unit.coils[0] + bench.unit.coils[1], 0);
}

/* Freshness is that of the moment of the answer, even without a notification; and it is consistent within an answer,
 * and between two at the same moment. */
ANSWER_TEST(judged_at_the_moment)
{
    static const uint8_t soc[] = {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 1},
                         state_and_age[] = {0, 2, 0, 0, 0, 6, 1, 3, 1, 0x91, 0, 11},
                         is_fresh[] = {0, 3, 0, 0, 0, 6, 1, 2, 0, 37, 0, 1};
    struct pack pack = cleared_pack();
    pack_set(&pack, SOC_PERCENT, 77);
    const struct source source = {.values = &pack,
                                  .status = {.state = MAP_STATE_FRESH, .age_s = 0.2},
                                  .good_until = NOW + 9.8};
    unit_update(&bench.unit, &source, true, NOW);
    for (int held = 0; held < 2; held++) {
        bench.unit.on_stale = held ? STALE_HOLD : STALE_EXCEPTION;
        unit_update(&bench.unit, &source, true, NOW);
        static const struct {
            double later;
            bool fresh;
            uint8_t age;
        } moments[] = {{0, true, 1},    {0.9, true, 2},     {9.7, true, 10},
                       {9.8, true, 10}, {9.801, false, 11}, {16, false, 17}};
        for (size_t i = 0; i < COUNT(moments); i++) {
            const bool fresh = moments[i].fresh;
            const double now = NOW + moments[i].later;
            assert_int_equal(ask_at(soc, sizeof soc, now), ANSWER_SENT);
            if (fresh || held)
                EXPECT(0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 77);
            else
                EXPECT(0, 1, 0, 0, 0, 3, 1, 0x83, 0x0B);
            assert_int_equal(ask_at(state_and_age, sizeof state_and_age, now), ANSWER_SENT);
            receive();
            assert_int_equal(bench.received, 9 + 22);
            assert_int_equal(bench.reply[10], fresh ? MAP_STATE_FRESH : MAP_STATE_STALE);
            assert_int_equal(bench.reply[9 + 2 * 9 + 1], moments[i].age);
            if (held) { /* the failure flag of the compatibility block */
                assert_int_equal(bench.unit.mapping.tab_registers[290 + 45], !fresh);
                assert_int_equal(bench.unit.mapping.tab_registers[100 + 45], !fresh);
            }
            assert_int_equal(ask_at(is_fresh, sizeof is_fresh, now), ANSWER_SENT);
            EXPECT(0, 3, 0, 0, 0, 4, 1, 2, 1, fresh);
        }
    }
}

/* The order of the checks: unit, function, access, length and quantity, address, freshness. */
// clang-format off
static const struct {
    const char *name;
    bool stale;
    uint8_t frame[14];
    size_t size;
    uint8_t exception;
} precedences[] = {
    {"unit before function",     false, {0, 1, 0, 0, 0, 2, 9, 100},                          8, 0x0A},
    {"unit before length",       false, {0, 1, 0, 0, 0, 2, 9, 3},                            8, 0x0A},
    {"access before length",     false, {0, 1, 0, 0, 0, 2, 1, 16},                           8, 1},
    {"access before address",    false, {0, 1, 0, 0, 0, 6, 1, 6, 0, 0, 0, 0},               12, 1},
    {"quantity before address",  false, {0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 0},               12, 3},
    {"address before freshness", true,  {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x21, 0, 2},            12, 2},
    {"freshness",                true,  {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 2},            12, 0x0B},
};
// clang-format on

ANSWER_TEST(precedence)
{
    for (size_t i = 0; i < COUNT(precedences); i++) {
        bench.unit.stale = precedences[i].stale;
        answer_checked(precedences[i].frame, precedences[i].size);
        receive();
        if (bench.received != 9 || bench.reply[8] != precedences[i].exception)
            fail_msg("%s: exception %u", precedences[i].name, bench.reply[8]);
    }
    assert_int_equal(bench.answerer.requests, COUNT(precedences));
    assert_int_equal(bench.answerer.exceptions, COUNT(precedences));
}

/* Registers are sent high byte first by functions 3 and 4; bits fill bytes from the lowest. */
ANSWER_TEST(values)
{
    const uint16_t first = pattern(290), second = pattern(291);
    uint8_t frame[] = {0x12, 0x34, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 2};
    for (uint8_t function = 3; function <= 4; function++) {
        frame[7] = function;
        answer_checked(frame, sizeof frame);
        EXPECT(0x12, 0x34, 0, 0, 0, 7, 1, function, 4, (uint8_t) (first >> 8), (uint8_t) first,
               (uint8_t) (second >> 8), (uint8_t) second);
    }
    bench.unit.inputs[1] = bench.unit.inputs[9] = bench.unit.coils[1] = 1;
    answer_checked((const uint8_t[]){0, 2, 0, 0, 0, 6, 1, 2, 0, 0, 0, 10}, 12);
    EXPECT(0, 2, 0, 0, 0, 5, 1, 2, 2, 0x02, 0x02);
    answer_checked((const uint8_t[]){0, 3, 0, 0, 0, 6, 1, 1, 0, 0, 0, 2}, 12);
    EXPECT(0, 3, 0, 0, 0, 4, 1, 1, 1, 0x02);
}

ANSWER_TEST(identification)
{
    static const char expected[] = "\x00\x05\x00\x00\x00\x29\x01"
                                   "\x2B\x0E\x01\x82\x00\x00\x03"
                                   "\x00\x08packgate\x01\x08packgate\x02";
    static const uint8_t request[] = {0, 5, 0, 0, 0, 5, 1, 43, 14, 1, 0};
    const size_t version = strlen(PACKGATE_VERSION);
    uint8_t reply[64];
    memcpy(reply, expected, sizeof expected - 1);
    reply[sizeof expected - 1] = (uint8_t) version;
    memcpy(reply + sizeof expected, PACKGATE_VERSION, version);
    reply[5] = (uint8_t) (1 + 7 + 10 + 10 + 2 + version);
    answer_checked(request, sizeof request);
    expect(reply, sizeof expected + version);
    /* The name of a silent pack can still be read. */
    bench.unit.stale = true;
    answer_checked((const uint8_t[]){0, 6, 0, 0, 0, 5, 1, 43, 14, 4, 6}, 11);
    EXPECT(0, 6, 0, 0, 0, 17, 1, 43, 14, 4, 0x82, 0, 0, 1, 6, 7, 'h', 'o', 'u', 's', 'e', '-', '1');
}

/* A socket that takes nothing, or only a part: the same error, for each kind of answer. */
ANSWER_TEST(socket_full)
{
    static const uint8_t requests[][12] = {
        {0, 1, 0, 0, 0, 6, 1, 3, 1, 0x22, 0, 1}, /* a response of libmodbus, */
        {0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 0},    /* an exception, */
        {0, 1, 0, 0, 0, 5, 1, 43, 14, 1, 0},     /* one of our own */
    };
    for (size_t i = 0; i < COUNT(requests); i++) {
        const size_t size = 6u + requests[i][5];
        send_at_most = 5;
        assert_int_equal(ask(requests[i], size), ANSWER_FAILED);
        assert_int_equal(errno, EAGAIN);
        send_at_most = 0;
        receive();
        assert_int_equal(bench.received, 5);
    }
    for (size_t i = 0; i < COUNT(requests); i++) {
        const uint8_t filler[4096] = {0};
        while (write(bench.ours, filler, sizeof filler) > 0)
            ;
        assert_int_equal(errno, EAGAIN);
        errno = 0;
        assert_int_equal(ask(requests[i], 6u + requests[i][5]), ANSWER_FAILED);
        assert_int_equal(errno, EAGAIN);
    }
    assert_int_equal(sleeps, 0);
}

ANSWER_TEST(socket_gone)
{
    close(bench.theirs);
    bench.theirs = open("/dev/null", O_RDONLY);
    assert_int_equal(ask(waiting, sizeof waiting), ANSWER_FAILED);
    assert_int_equal(errno, EPIPE);
}
