// SPDX-License-Identifier: MIT
/*
 * A real line on a real loop; the far end is a socket or a pty that the test answers from, in the same loop. The protocol
 * is made up, so that each byte can be followed:
 *   ? <address> <step>                  asks
 *   ! <address> <step> <value> <sum>    answers; step 0 is the voltage and vital, step 1 the first cell
 *   S <address> <switch> <on>           switches
 * The clock is turned when nothing is left to be done; PATIENCE_S of it end a test that waits for what never comes.
 */
#include "lines/line.h"

#include "base/clock.h"
#include "simulator/pty.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"
#include "turned_clock.h"

#define PATIENCE_S 120
#define PACKS_MOST 10
#define NOBODY 0xEE /* no pack has this address */

enum { VOLTAGE, CELL, STEPS };
static const struct bms_step plan[STEPS] = {
    [VOLTAGE] = {.name = "voltage", .vital = true}, [CELL] = {.name = "cell"}};

#define REQUEST_SIZE 3
#define REPLY_SIZE 5
#define SWITCH_SIZE 4

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    request->bytes[0] = '?';
    request->bytes[1] = (uint8_t) bms_address(bms);
    request->bytes[2] = (uint8_t) step;
    request->size = REQUEST_SIZE;
    return true;
}

static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    const uint8_t bytes[SWITCH_SIZE] = {'S', (uint8_t) bms_address(bms), (uint8_t) which, on};
    memcpy(request->bytes, bytes, sizeof bytes);
    request->size = sizeof bytes;
    return true;
}

static uint8_t sum_of(const uint8_t *bytes)
{
    return (uint8_t) (bytes[0] + bytes[1] + bytes[2] + bytes[3]);
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    if (bytes[0] != '!')
        return (struct bms_span){BMS_SKIP, 1};
    if (size < REPLY_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    return sum_of(bytes) == bytes[4] ? (struct bms_span){BMS_FRAME, REPLY_SIZE}
                                     : (struct bms_span){BMS_DAMAGED, 1};
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    if (frame[1] != request->bytes[1] || frame[2] != request->bytes[2])
        return BMS_FOREIGN;
    if (request->bytes[0] == '?')
        pack_set(pack, frame[2] == VOLTAGE ? VOLTAGE_V : CELL_MV, frame[3]);
    return BMS_DONE;
}

#define TOY                                                                                        \
    .address = {.max = 250, .usual = 1}, .plan = plan, .steps = STEPS, .build = build,             \
    .frame = find_frame, .decode = decode, .control = build_switch
static const struct bms_driver toy = {
    .name = "toy", .line = {.baud = 115200, .reply_ms = 5000, .tries = 3}, TOY};
/* The same for boards that take their time. */
static const struct bms_driver hasty = {
    .name = "hasty", .line = {.baud = 115200, .reply_ms = 20, .tries = 3}, TOY};
/* Long enough for a busy host, and short enough to end long before a stall() does. */
static const struct bms_driver patient = {
    .name = "patient", .line = {.baud = 115200, .reply_ms = 1000, .tries = 3}, TOY};

static enum bms_result hear_half(struct bms *bms, const struct bms_request *request,
                                 const uint8_t *frame, size_t size, struct pack *pack)
{
    pack_set(pack, frame[2] == VOLTAGE ? VOLTAGE_V : CELL_MV, frame[3]);
    return frame[2] == VOLTAGE ? BMS_PARTIAL : BMS_DONE;
}

static const struct bms_driver talker = {.name = "talker",
                                         .line = {.baud = 19200, .reply_ms = 1500},
                                         .frame = find_frame,
                                         .decode = hear_half};

struct bench;
typedef void answer_request(struct bench *bench, const uint8_t *request);

struct bench {
    struct ev_loop *loop;
    ev_timer patience;
    struct line_config line_config;
    struct pack_config packs[PACKS_MOST];
    struct poller *pollers[PACKS_MOST];
    unsigned count;
    struct line *line;
    /* the far end */
    int listener, peer; /* -1: none */
    ev_io accepting, hearing;
    uint8_t heard[64];
    size_t heard_size;
    answer_request *answer;
    unsigned asked[256]; /* requests, by address */
    unsigned requests, connections, closed_idle;
    double connected_at;
    uint8_t value; /* value of the next answer */
    uint8_t held;  /* value of an answer that a new connection gets first; 0: none */
    ev_timer slow_answer;
    uint8_t slow_request[REQUEST_SIZE];
    unsigned chatter, chatter_before[2];
    /* the near end */
    unsigned published, missed;
    double voltage, cell;
    unsigned downs;
    double away_since;
    /* the condition that the test waits for, checked after each turn of the loop */
    bool (*over)(struct bench *bench);
    unsigned wanted;
    int note;
    struct order control;
    unsigned orders_over;
    enum order_result result;
};

static void say(struct bench *bench, uint8_t address, uint8_t step, uint8_t value)
{
    uint8_t reply[REPLY_SIZE] = {'!', address, step, value};
    reply[4] = sum_of(reply);
    if (bench->peer >= 0 && write(bench->peer, reply, sizeof reply) != sizeof reply)
        bench->note = -1;
}

static void hang_up(struct bench *bench)
{
    if (bench->peer < 0)
        return;
    ev_io_stop(bench->loop, &bench->hearing);
    close(bench->peer);
    bench->peer = -1;
}

/* Each answer has its own value: those of one cycle are n and n + 1, with n even. */
static void answer_well(struct bench *bench, const uint8_t *request)
{
    if (request[2] == VOLTAGE || request[0] == 'S')
        bench->value = (uint8_t) (bench->value + 2);
    say(bench, request[1], request[2], (uint8_t) (bench->value | (request[2] == CELL)));
}

static void answer_never(struct bench *bench, const uint8_t *request)
{
}

static size_t request_size(const uint8_t *bytes)
{
    return bytes[0] == 'S' ? SWITCH_SIZE : REQUEST_SIZE;
}

static void on_heard(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    ssize_t size =
        read(io->fd, bench->heard + bench->heard_size, sizeof bench->heard - bench->heard_size);
    if (size <= 0) {
        /* EIO: nobody has opened the pty (yet). */
        if (size == 0 || (errno != EAGAIN && errno != EIO))
            hang_up(bench);
        return;
    }
    bench->heard_size += (size_t) size;
    if (bench->heard_size < REQUEST_SIZE || bench->heard_size < request_size(bench->heard))
        return;
    bench->heard_size = 0;
    bench->requests++;
    bench->asked[bench->heard[1]]++;
    bench->answer(bench, bench->heard);
}

static void attach(struct bench *bench, int fd)
{
    hang_up(bench);
    bench->peer = fd;
    bench->heard_size = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ev_io_set(&bench->hearing, fd, EV_READ);
    ev_io_start(bench->loop, &bench->hearing);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    int fd = accept(io->fd, NULL, NULL);
    if (fd < 0)
        return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bench->connections++;
    bench->connected_at = clock_now();
    attach(bench, fd);
    if (bench->held)
        say(bench, 1, VOLTAGE, bench->held);
}

static void on_published(void *data, struct poller *poller, double now)
{
    struct bench *bench = data;
    if (!poller->complete)
        return; /* only the voltage, from which the rest follows */
    bench->published++;
    bench->voltage = poller->values.value[VOLTAGE_V];
    bench->cell = poller->values.value[CELL_MV];
    /* Never values of two cycles. */
    if (bench->answer == answer_well && (uint8_t) bench->cell != ((uint8_t) bench->voltage | 1))
        bench->note = -2;
}

static void on_missed(void *data, struct poller *poller, double now)
{
    ((struct bench *) data)->missed++;
}

static void on_down(void *data, const char *why)
{
    ((struct bench *) data)->downs++;
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int revents)
{
    ev_break(loop, EVBREAK_ALL);
}

/* Runs the loop until the condition is true. */
static void await(struct bench *bench, bool (*over)(struct bench *bench), const char *what)
{
    ev_timer_set(&bench->patience, PATIENCE_S, 0);
    ev_timer_start(bench->loop, &bench->patience);
    alarm(2 * PATIENCE_S); /* a loop that hangs does not run its timers */
    while (!over(bench) && ev_is_active(&bench->patience))
        ev_run(bench->loop, EVRUN_ONCE);
    alarm(0);
    ev_timer_stop(bench->loop, &bench->patience);
    if (!over(bench))
        fail_msg("%s: %u published, %u missed, %u requests, %u connections, down %u times", what,
                 bench->published, bench->missed, bench->requests, bench->connections,
                 bench->downs);
    assert_int_equal(bench->note, 0);
}

static bool enough_published(struct bench *bench)
{
    return bench->published >= bench->wanted;
}

static void await_published(struct bench *bench, unsigned count)
{
    bench->wanted = bench->published + count;
    await(bench, enough_published, "published");
}

static void listen_on(struct bench *bench, unsigned port)
{
    bench->listener = listen_on_loopback(&port);
    snprintf(bench->line_config.port, sizeof bench->line_config.port, "tcp://127.0.0.1:%u", port);
    ev_io_set(&bench->accepting, bench->listener, EV_READ);
    ev_io_start(bench->loop, &bench->accepting);
}

static void stop_listening(struct bench *bench)
{
    ev_io_stop(bench->loop, &bench->accepting);
    close(bench->listener);
    bench->listener = -1;
}

static struct pack_config *add_pack(struct bench *bench, const struct bms_driver *driver,
                                    int address)
{
    struct pack_config *pack = &bench->packs[bench->count];
    *pack = (struct pack_config){.line = &bench->line_config,
                                 .driver = driver,
                                 .options = {.address = address, .adr = -1},
                                 .poll_s = 0.01,
                                 .stale_after_s = 10};
    snprintf(pack->name, sizeof pack->name, "pack-%d", address);
    bench->pollers[bench->count] = poller_new(pack);
    assert_non_null(bench->pollers[bench->count]);
    bench->count++;
    return pack;
}

static void make_line(struct bench *bench, answer_request *answer)
{
    static const struct line_events events = {
        .published = on_published, .missed = on_missed, .down = on_down};
    bench->answer = answer;
    bench->line =
        line_new(bench->loop, &bench->line_config, bench->pollers, bench->count, &events, bench);
    assert_non_null(bench->line);
}

static void start(struct bench *bench, answer_request *answer)
{
    make_line(bench, answer);
    line_start(bench->line);
}

static int set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){.loop = ev_default_loop(0), .listener = -1, .peer = -1};
    bench.line_config = (struct line_config){.name = "line", .gap_set = true};
    ev_init(&bench.patience, on_patience);
    ev_init(&bench.accepting, on_accept);
    ev_init(&bench.hearing, on_heard);
    bench.accepting.data = bench.hearing.data = &bench;
    listen_on(&bench, 0);
    *state = &bench;
    return 0;
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    line_free(bench->line);
    for (unsigned i = 0; i < bench->count; i++)
        poller_free(bench->pollers[i]);
    hang_up(bench);
    ev_timer_stop(bench->loop, &bench->slow_answer);
    ev_io_stop(bench->loop, &bench->accepting);
    if (bench->listener >= 0)
        close(bench->listener);
    return 0;
}

/* With one pack. */
static struct bench *begin(struct bench *bench, const struct bms_driver *driver,
                           answer_request *answer)
{
    add_pack(bench, driver, 1);
    start(bench, answer);
    return bench;
}

#define LINE_TEST(name) TEST_WITH(name, set_up, tear_down)

LINE_TEST(polls_and_publishes)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    await_published(bench, 5);
    assert_int_equal(bench->requests, 2 * bench->published);
    assert_int_equal(bench->connections, 1);
    assert_int_equal(bench->missed + bench->downs, 0);
}

/* A reply to an earlier request, noise and an echo of the request before the reply; the reply itself twice. */
static void answer_with_noise(struct bench *bench, const uint8_t *request)
{
    static const uint8_t noise[] = {0x00, '!', 0xFF, '!'};
    bool sent = write(bench->peer, noise, sizeof noise) == sizeof noise &&
                write(bench->peer, request, REQUEST_SIZE) == REQUEST_SIZE;
    if (!sent)
        bench->note = -1;
    say(bench, request[1], !request[2], 77);
    say(bench, NOBODY, request[2], 77);
    answer_well(bench, request);
    answer_well(bench, request);
}

static bool is_well(struct bench *bench)
{
    if (bench->published > 0 &&
        ((int) bench->voltage % 2 != 0 || (int) bench->cell % 2 != 1 || bench->voltage == 77))
        bench->note = -3;
    return enough_published(bench);
}

LINE_TEST(finds_replies_among_others)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    bench->wanted = 20;
    start(bench, answer_with_noise);
    await(bench, is_well, "published");
    /* Each answer has another value, which on a noisy line is requested a second time. */
    assert_int_equal(bench->pollers[0]->counters.repeats, 0);
}

/* Bytes that arrive without a request belong to no reply: here each is followed by a byte of the other reply. */
static void answer_and_go_on(struct bench *bench, const uint8_t *request)
{
    say(bench, request[1], request[2], request[2] == VOLTAGE ? 50 : 51);
    say(bench, request[1], !request[2], 99);
}

static bool is_never_99(struct bench *bench)
{
    if (bench->published > 0 && (bench->voltage != 50 || bench->cell != 51))
        bench->note = -4;
    return enough_published(bench);
}

LINE_TEST(throws_away_what_comes_late)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    bench->wanted = 50;
    start(bench, answer_and_go_on);
    await(bench, is_never_99, "published");
}

/* The first byte arrives at once, the others one by one as the line reads them. */
static void answer_in_pieces(struct bench *bench, const uint8_t *request)
{
    uint8_t reply[REPLY_SIZE] = {'!', request[1], request[2], (uint8_t) (50 + request[2])};
    reply[4] = sum_of(reply);
    for (int i = 0; i < REPLY_SIZE; i++) {
        if (write(bench->peer, reply + i, 1) != 1)
            bench->note = -1;
        ev_run(bench->loop, EVRUN_NOWAIT);
    }
}

LINE_TEST(puts_pieces_together)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    bench->wanted = 5;
    start(bench, answer_in_pieces);
    await(bench, is_never_99, "published");
}

static void answer_and_close(struct bench *bench, const uint8_t *request)
{
    answer_well(bench, request);
    hang_up(bench);
}

/* No request may be lost on a connection that is already closed, and nothing is logged about it. */
LINE_TEST(copes_with_a_server_that_closes_after_each_reply)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1)->poll_s = 0.001;
    start(bench, answer_and_close);
    await_published(bench, 50);
    assert_int_equal(bench->requests, 2 * bench->published);
    assert_in_range(bench->connections, bench->requests, bench->requests + 1);
    assert_int_equal(bench->pollers[0]->counters.repeats, 0);
    assert_int_equal(bench->missed + bench->downs, 0);
}

/* After a cycle, the next connection is closed, too, although nothing was asked on it. */
static void on_accept_and_close(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    on_accept(loop, io, revents);
    if (bench->requests % STEPS == 0 && bench->closed_idle < bench->requests / STEPS) {
        bench->closed_idle++;
        hang_up(bench);
    }
}

static bool closed_idle_often(struct bench *bench)
{
    return bench->closed_idle >= 3 && bench->published >= 4;
}

LINE_TEST(takes_no_offence_when_closed_idle)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1)->poll_s = 0.2;
    ev_set_cb(&bench->accepting, on_accept_and_close);
    start(bench, answer_and_close);
    await(bench, closed_idle_often, "closed idle");
    assert_int_equal(bench->downs, 0);
}

static bool refused_often(struct bench *bench)
{
    return bench->downs >= bench->wanted;
}

/* The server accepts and closes, as a serial server does that already has a client; later it answers. */
static void on_accept_and_refuse(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    on_accept(loop, io, revents);
    if (bench->downs < 2)
        hang_up(bench);
}

LINE_TEST(comes_back_after_a_server_that_is_taken)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    ev_set_cb(&bench->accepting, on_accept_and_refuse);
    bench->wanted = 2;
    start(bench, answer_well);
    await(bench, refused_often, "refused");
    assert_in_range(bench->connections, 2, 4);
    await_published(bench, 2);
}

LINE_TEST(tries_again_after_growing_pauses)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    stop_listening(bench);
    const double started_at = clock_now();
    bench->wanted = 9;
    start(bench, answer_well);
    await(bench, refused_often, "refused");
    assert_in_range((unsigned) (clock_now() - started_at), 80, 100);
}

/* A request that the pack does not support stays unanswered, and the connection is closed because of it. */
static void answer_voltage_or_close(struct bench *bench, const uint8_t *request)
{
    if (request[2] == VOLTAGE)
        answer_well(bench, request);
    else
        hang_up(bench);
}

LINE_TEST(publishes_what_there_is_in_spite_of_lost_connections)
{
    struct bench *bench = begin(*state, &toy, answer_voltage_or_close);
    await_published(bench, 2);
    assert_true(isnan(bench->cell));
}

enum { EXTRA = STEPS };
static const struct bms_step plan_of_three[] = {[VOLTAGE] = {.name = "voltage", .vital = true},
                                                [CELL] = {.name = "cell", .every_s = 1},
                                                [EXTRA] = {.name = "extra"}};
static const struct bms_driver of_three = {.name = "of three",
                                           .line = {.baud = 115200, .reply_ms = 5000, .tries = 3},
                                           .address = {.max = 250, .usual = 1},
                                           .plan = plan_of_three,
                                           .steps = 3,
                                           .build = build,
                                           .frame = find_frame,
                                           .decode = decode};

/* The server closes the connection each time that the cell is requested again, or a third value. By then the voltage
 * is known. */
static void answer_cell_once(struct bench *bench, const uint8_t *request)
{
    struct poller *poller = bench->pollers[0];
    if (request[2] == EXTRA && bench->published > 0 &&
        bench->voltage != poller->values.value[VOLTAGE_V])
        bench->note = -3;
    if (request[2] == VOLTAGE)
        poller->steps[CELL].due = poller->steps[EXTRA].due = 0;
    if (request[2] == VOLTAGE || (request[2] == CELL && !poller->steps[CELL].answers))
        answer_well(bench, request);
    else
        hang_up(bench);
}

LINE_TEST(tells_what_a_lost_connection_leaves)
{
    struct bench *bench = begin(*state, &of_three, answer_cell_once);
    await_published(bench, 4);
}

static bool is_connected_again(struct bench *bench)
{
    return bench->connections >= 2 && bench->peer >= 0;
}

static bool is_away_for_long(struct bench *bench)
{
    return bench->downs > 0 && clock_now() - bench->away_since > 5.1;
}

/* The server goes, cannot be reached for seconds, and is polled again. */
static void be_away_for_long(struct bench *bench)
{
    stop_listening(bench);
    hang_up(bench);
    bench->wanted = 1;
    await(bench, refused_often, "refused");
    bench->away_since = clock_now();
    await(bench, is_away_for_long, "away");
    listen_on(bench, (unsigned) atoi(strrchr(bench->line_config.port, ':') + 1));
    await_published(bench, 1);
}

/* A server that was closed because it was idle, and then cannot be reached for seconds: afterwards another device may
 * answer there. */
LINE_TEST(forgets_the_device_of_a_server_that_was_away)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1)->poll_s = 0.3;
    uint8_t *note = bms_memory(&bench->pollers[0]->bms);
    start(bench, answer_well);
    await_published(bench, 1);
    *note = 7;
    hang_up(bench);
    await(bench, is_connected_again, "connected again");
    assert_int_equal(*note, 7);
    be_away_for_long(bench);
    assert_int_equal(*note, 0);
}

static void answer_of_first(struct bench *bench, const uint8_t *request)
{
    if (request[1] == 1)
        answer_well(bench, request);
}

static bool second_is_silent(struct bench *bench)
{
    return bench->pollers[1]->presence.silent_cycles >= 6;
}

static bool nothing_is_asked(struct bench *bench)
{
    return !bench->pollers[0]->cycle.under_way && enough_published(bench);
}

/* It went away between two polls, so that no pack that answers has missed one. The other may be there now as well. */
LINE_TEST(wakes_silent_packs_of_a_server_that_was_away)
{
    struct bench *bench = *state;
    for (int address = 1; address <= 2; address++)
        add_pack(bench, &hasty, address)->poll_s = 0.1;
    start(bench, answer_of_first);
    await(bench, second_is_silent, "silent");
    bench->wanted = bench->published + 1;
    await(bench, nothing_is_asked, "idle");
    be_away_for_long(bench);
    assert_in_range(bench->pollers[1]->presence.silent_cycles, 1, 3);
}

/* The voltage 77 is that of an answer to nobody. */
static bool never_publishes_held(struct bench *bench)
{
    if (bench->pollers[0]->values.value[VOLTAGE_V] == 77)
        bench->note = -3;
    return enough_published(bench);
}

/* Such a server stores what a pack says while nobody is connected, as after an earlier run of the gateway. */
LINE_TEST(discards_what_a_server_held_back_before_the_start)
{
    struct bench *bench = *state;
    bench->held = 77;
    bench->wanted = 3;
    begin(bench, &toy, answer_well);
    await(bench, never_publishes_held, "published");
    assert_int_equal(bench->connections, 1);
}

/* Such a server may still have the connection of the earlier run, and take only the one after the next. */
static void on_accept_second(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    if (bench->connections > 0) {
        bench->held = 77;
        on_accept(loop, io, revents);
        return;
    }
    const int fd = accept(io->fd, NULL, NULL);
    if (fd >= 0)
        close(fd);
    bench->connections += fd >= 0;
}

LINE_TEST(discards_what_a_server_held_back_before_it_took_the_connection)
{
    struct bench *bench = *state;
    ev_set_cb(&bench->accepting, on_accept_second);
    bench->wanted = 3;
    begin(bench, &toy, answer_well);
    await(bench, never_publishes_held, "published");
    assert_int_equal(bench->connections, 2);
}

static void answer_again(struct bench *bench, const uint8_t *request)
{
    answer_well(bench, request);
}

static void go_away(struct bench *bench, const uint8_t *request)
{
    hang_up(bench);
    stop_listening(bench);
    bench->away_since = clock_now();
    bench->held = 77;
    bench->answer = answer_again;
}

static bool is_too_late_for_answers(struct bench *bench)
{
    return bench->held && clock_now() - bench->away_since > 12.1;
}

LINE_TEST(discards_what_a_server_held_back_while_it_was_away)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    await_published(bench, 1);
    bench->answer = go_away;
    await(bench, is_too_late_for_answers, "away");
    listen_on(bench, (unsigned) atoi(strrchr(bench->line_config.port, ':') + 1));
    bench->wanted = bench->published + 3;
    await(bench, never_publishes_held, "published");
}

static bool asked_often(struct bench *bench)
{
    return bench->requests >= bench->wanted;
}

/* What the line before has asked is answered after the second line has asked the same. */
static void answer_first_one_late(struct bench *bench, const uint8_t *request)
{
    if (bench->requests == 2)
        say(bench, request[1], request[2], 77);
    if (bench->requests >= 2)
        answer_well(bench, request);
}

/* A reload makes a line anew while a request is open, and the serial server goes on with the new connection. */
LINE_TEST(discards_the_answer_to_the_line_before)
{
    struct bench *bench = begin(*state, &toy, answer_first_one_late);
    struct poller *poller = bench->pollers[0];
    struct line *line = bench->line;
    bench->wanted = 1;
    await(bench, asked_often, "asked");
    bench->pollers[0] = poller_new(&bench->packs[0]);
    make_line(bench, answer_first_one_late);
    line_follow(bench->line, line);
    line_free(line);
    poller_free(poller);
    line_start(bench->line);
    bench->wanted = 3;
    await(bench, never_publishes_held, "published");
    assert_int_equal(bench->connections, 2);
}

/* A server has had the time to pass on what it has stored, and nobody waits for longer. */
LINE_TEST(asks_half_a_second_after_the_first_connection)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    bench->wanted = 1;
    await(bench, asked_often, "asked");
    const double waited_s = clock_now() - bench->connected_at;
    if (waited_s < 0.4 || waited_s > 1.9)
        fail_msg("asked %.2f s after the connection", waited_s);
}

#define IDLE_S 0.2

/* Closes a connection on which nothing was requested for IDLE_S; the first ones get `held` first, if there is any. */
static void on_idle(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    if (bench->requests == 0 && bench->peer >= 0 && clock_now() - bench->connected_at > IDLE_S) {
        hang_up(bench);
        if (bench->held > 0)
            bench->held--;
    }
}

static void close_idle(struct bench *bench)
{
    ev_timer_init(&bench->slow_answer, on_idle, 0.01, 0.01);
    bench->slow_answer.data = bench;
    ev_timer_start(bench->loop, &bench->slow_answer);
}

/* Some servers do so long before half a second is over: connections on which nothing came count together. */
LINE_TEST(asks_a_server_that_closes_idle_connections)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    close_idle(bench);
    await_published(bench, 3);
    assert_in_range(bench->connections, 2, 4);
}

/* The stored answers may not have been the last ones. */
LINE_TEST(listens_anew_after_a_connection_with_stored_answers)
{
    struct bench *bench = begin(*state, &toy, answer_never);
    bench->held = 2;
    bench->wanted = 1;
    close_idle(bench);
    await(bench, asked_often, "asked");
    /* Two with something stored, and two or three that are silent. */
    assert_in_range(bench->connections, 4, 6);
}

static void on_refusal(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    if (bench->connections < 3)
        hang_up(bench);
}

/* A server that is in use closes each connection at once: it has not passed on anything yet. */
LINE_TEST(listens_after_a_server_was_busy)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    bench->wanted = 1;
    ev_timer_init(&bench->slow_answer, on_refusal, 0.001, 0.001);
    bench->slow_answer.data = bench;
    ev_timer_start(bench->loop, &bench->slow_answer);
    await(bench, asked_often, "asked");
    assert_in_range(bench->connections, 3, 3);
    const double waited_s = clock_now() - bench->connected_at;
    if (waited_s < 0.4)
        fail_msg("asked %.2f s after the connection", waited_s);
}

LINE_TEST(asks_on_when_silent)
{
    struct bench *bench = *state;
    add_pack(bench, &hasty, 1);
    bench->wanted = 9;
    start(bench, answer_never);
    await(bench, asked_often, "requests");
    assert_int_equal(bench->published, 0);
    assert_in_range(bench->pollers[0]->counters.timeouts, 2, 9);
    bench->answer = answer_well;
    await_published(bench, 3);
}

static bool is_connected(struct bench *bench)
{
    return bench->peer >= 0;
}

/* Other devices on the bus talk all the time, a frame each 5 ms; the pack itself never answers. */
static void on_chatter(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    bench->chatter++;
    say(bench, NOBODY, VOLTAGE, 77);
}

static void note_chatter(struct bench *bench, const uint8_t *request)
{
    bench->chatter_before[bench->requests % 2] = bench->chatter;
}

LINE_TEST(gives_no_more_time_for_the_chatter_of_others)
{
    struct bench *bench = *state;
    add_pack(bench, &hasty, 1);
    bench->wanted = 2;
    start(bench, note_chatter);
    await(bench, is_connected, "connected");
    ev_timer_init(&bench->slow_answer, on_chatter, 0.005, 0.005);
    bench->slow_answer.data = bench;
    ev_timer_start(bench->loop, &bench->slow_answer);
    await(bench, asked_often, "requests");
    /* 20 ms are four frames; the longest reply would be 75. */
    assert_in_range(bench->chatter_before[0] - bench->chatter_before[1], 0, 30);
}

/* Sends as many bytes as are read. The child keeps only its socket open. */
static void send_without_end(int connection)
{
    uint8_t bytes[65536];
    const int fd = dup2(connection, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0u, 0);
    signal(SIGPIPE, SIG_DFL);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i % 251 == 33 ? 0 : i % 251); /* no '!' */
    fcntl(fd, F_SETFL, 0);
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    _exit(0);
}

static void on_accept_and_flood(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *bench = io->data;
    int fd = accept(io->fd, NULL, NULL);
    if (fd < 0)
        return;
    bench->connections++;
    if (fork() == 0)
        send_without_end(fd);
    close(fd);
}

static bool missed_often(struct bench *bench)
{
    return bench->missed >= bench->wanted;
}

/* The loop continues, the request is sent, and its time-out expires. */
LINE_TEST(survives_a_flood)
{
    struct bench *bench = *state;
    add_pack(bench, &hasty, 1);
    ev_set_cb(&bench->accepting, on_accept_and_flood);
    bench->wanted = 2;
    bench->line_config.baud = 1000000;
    start(bench, answer_never);
    await(bench, missed_often, "missed");
    assert_true(bench->pollers[0]->counters.timeouts >= 1);
    line_free(bench->line);
    bench->line = NULL;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

/* The reply had arrived in time, but the loop was late. */
static void answer_and_stall(struct bench *bench, const uint8_t *request)
{
    answer_well(bench, request);
    turned_clock_at += 0.05;
}

LINE_TEST(takes_a_reply_that_a_late_loop_finds)
{
    struct bench *bench = begin(*state, &hasty, answer_and_stall);
    await_published(bench, 3);
    assert_int_equal(bench->pollers[0]->counters.timeouts + bench->pollers[0]->counters.repeats, 0);
}

LINE_TEST(keeps_packs_apart)
{
    struct bench *bench = *state;
    for (int address = 1; address <= 5; address++)
        add_pack(bench, &toy, address);
    start(bench, answer_well);
    await_published(bench, 100);
    for (int address = 1; address <= 5; address++)
        assert_in_range(bench->asked[address], 2 * 17, 2 * 23);
}

static void on_slow_answer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct bench *bench = timer->data;
    answer_well(bench, bench->slow_request);
}

static void answer_slowly(struct bench *bench, const uint8_t *request)
{
    memcpy(bench->slow_request, request, REQUEST_SIZE);
    ev_timer_stop(bench->loop, &bench->slow_answer);
    ev_timer_init(&bench->slow_answer, on_slow_answer, 0.1, 0);
    bench->slow_answer.data = bench;
    ev_timer_start(bench->loop, &bench->slow_answer);
}

/* An answer to the voltage is lost, and then one to the cell. */
static void answer_after_losses(struct bench *bench, const uint8_t *request)
{
    const bool lost = bench->chatter == (request[2] == VOLTAGE ? 0 : 1);
    bench->chatter += lost;
    if (!lost)
        answer_slowly(bench, request);
}

/* From then on each answer counts for the request before its own, and the parts of a cycle may be from two cycles: only a
 * rest settles that. */
LINE_TEST(publishes_again_after_losses)
{
    struct bench *bench = *state;
    bench->line_config.tries = 1;
    add_pack(bench, &patient, 1)->poll_s = 1;
    start(bench, answer_well);
    await_published(bench, 3);
    bench->answer = answer_after_losses;
    await_published(bench, 10);
    assert_int_equal(bench->chatter, 2);
}

/* The second pack answers long after the time-out of the first one's protocol. */
static void answer_the_second_slowly(struct bench *bench, const uint8_t *request)
{
    if (request[1] == 1)
        answer_well(bench, request);
    else
        answer_slowly(bench, request);
}

static bool second_published(struct bench *bench)
{
    return bench->pollers[1]->counters.polls >= 2;
}

LINE_TEST(gives_each_protocol_its_time)
{
    struct bench *bench = *state;
    add_pack(bench, &hasty, 1);
    add_pack(bench, &toy, 2);
    start(bench, answer_the_second_slowly);
    await(bench, second_published, "second pack");
    assert_int_equal(bench->pollers[1]->counters.repeats, 0);
}

/* Address 1 answers, all others never do: counts the requests to them between two to the first. */
static void answer_as_the_first_only(struct bench *bench, const uint8_t *request)
{
    unsigned others = bench->requests - bench->asked[1];
    if (request[1] != 1)
        return;
    if (bench->published >= 2 && others - bench->wanted > 3)
        bench->note = (int) (others - bench->wanted);
    bench->wanted = others;
    answer_well(bench, request);
}

static bool ten_published(struct bench *bench)
{
    return bench->published >= 10 && bench->missed >= 20;
}

LINE_TEST(is_not_starved_by_silent_neighbours)
{
    struct bench *bench = *state;
    for (int address = 1; address <= PACKS_MOST; address++)
        add_pack(bench, &hasty, address);
    start(bench, answer_as_the_first_only);
    await(bench, ten_published, "published");
    /* They are still asked now and then. */
    for (int address = 2; address <= PACKS_MOST; address++)
        assert_true(bench->asked[address] >= 3);
}

static bool talker_missed(struct bench *bench)
{
    return bench->missed >= bench->wanted;
}

/* What a server passes on at once may have been stored for long. */
static bool is_heard(struct bench *bench)
{
    return bench->peer >= 0 && clock_now() - bench->connected_at > 0.3;
}

static bool is_heard_again(struct bench *bench)
{
    return bench->connections >= 2 && is_heard(bench);
}

LINE_TEST(hears_nothing_that_a_server_held_back)
{
    struct bench *bench = begin(*state, &talker, answer_never);
    await(bench, is_connected, "connected");
    say(bench, 1, VOLTAGE, 50);
    say(bench, 1, CELL, 51);
    await(bench, is_heard, "heard");
    say(bench, 1, VOLTAGE, 70);
    say(bench, 1, CELL, 71);
    await_published(bench, 1);
    assert_int_equal(bench->published, 1);
    assert_true(bench->voltage == 70 && bench->cell == 71);
}

/* Half a set, a silence, and the other half of a later set are not a set. */
LINE_TEST(puts_no_old_half_to_a_new_one)
{
    struct bench *bench = *state;
    add_pack(bench, &talker, 1)->stale_after_s = 0.2;
    start(bench, answer_never);
    await(bench, is_heard, "heard");
    say(bench, 1, VOLTAGE, 50);
    bench->wanted = bench->missed + 1;
    await(bench, talker_missed, "missed");
    say(bench, 1, CELL, 61);
    await_published(bench, 1);
    assert_true(isnan(bench->voltage));
    assert_true(bench->cell == 61);
    say(bench, 1, VOLTAGE, 70);
    say(bench, 1, CELL, 71);
    await_published(bench, 1);
    assert_true(bench->voltage == 70 && bench->cell == 71);
}

LINE_TEST(listens_again_after_a_loss)
{
    struct bench *bench = begin(*state, &talker, answer_never);
    await(bench, is_connected, "connected");
    hang_up(bench);
    await(bench, is_heard_again, "heard again");
    say(bench, 1, VOLTAGE, 70);
    say(bench, 1, CELL, 71);
    await_published(bench, 1);
    assert_true(bench->voltage == 70 && bench->cell == 71);
}

static void on_order_over(void *data, enum order_result result)
{
    struct bench *bench = data;
    bench->orders_over++;
    bench->result = result;
}

static bool order(struct bench *bench)
{
    bench->control = (struct order){.poller = bench->pollers[0],
                                    .switches = {.wanted = {true, true}, .on = {true, false}},
                                    .done = on_order_over,
                                    .data = bench};
    return line_order(bench->line, &bench->control);
}

static bool order_is_over(struct bench *bench)
{
    return bench->orders_over > 0;
}

static void expect_order(struct bench *bench, enum order_result result)
{
    bench->orders_over = 0;
    assert_true(order(bench));
    await(bench, order_is_over, "order");
    assert_int_equal(bench->result, result);
}

LINE_TEST(carries_out_an_order)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    await_published(bench, 1);
    expect_order(bench, ORDER_DONE);
    await_published(bench, 2);
}

/* Both switches, each on a new connection, while the same happens to polls. */
LINE_TEST(carries_out_orders_on_a_server_that_closes)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1)->poll_s = 0.001;
    start(bench, answer_and_close);
    for (int i = 0; i < 20; i++) {
        await_published(bench, 1);
        expect_order(bench, ORDER_DONE);
    }
}

/* The same, but an order may be sent between the two values of the other pack. */
static void answer_whenever(struct bench *bench, const uint8_t *request)
{
    answer_well(bench, request);
}

/* Gives the next order as soon as the previous one has ended. */
static bool both_polled_between_orders(struct bench *bench)
{
    if (order_is_over(bench)) {
        assert_int_equal(bench->result, ORDER_DONE);
        bench->orders_over = 0;
        bench->chatter++;
        assert_true(order(bench));
    }
    return bench->pollers[0]->counters.polls >= bench->wanted &&
           bench->pollers[1]->counters.polls >= bench->wanted;
}

LINE_TEST(polls_between_orders_without_end)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    add_pack(bench, &toy, 2);
    start(bench, answer_whenever);
    await_published(bench, 2);
    bench->wanted = 6;
    assert_true(order(bench));
    await(bench, both_polled_between_orders, "values of both packs");
    assert_true(bench->chatter >= 3);
}

static void answer_polls_only(struct bench *bench, const uint8_t *request)
{
    if (request[0] == 'S')
        hang_up(bench);
    else
        answer_well(bench, request);
}

LINE_TEST(tells_when_an_order_was_lost)
{
    struct bench *bench = begin(*state, &toy, answer_polls_only);
    await_published(bench, 1);
    expect_order(bench, ORDER_UNANSWERED);
    await_published(bench, 2);
}

LINE_TEST(gives_up_an_order_that_waited_too_long)
{
    struct bench *bench = begin(*state, &toy, answer_well);
    await_published(bench, 1);
    assert_true(order(bench));
    bench->control.queued_at -= 6;
    await(bench, order_is_over, "order");
    assert_int_equal(bench->result, ORDER_TOO_LATE);
    await_published(bench, 1);
}

LINE_TEST(takes_no_order_while_down)
{
    struct bench *bench = *state;
    add_pack(bench, &toy, 1);
    stop_listening(bench);
    bench->wanted = 1;
    start(bench, answer_well);
    await(bench, refused_often, "down");
    assert_false(order(bench));
    assert_int_equal(bench->orders_over, 0);
}

static void stall(double seconds)
{
    turned_clock_at += seconds;
}

/* The process is stopped while a device talks: the age of the bytes that have arrived, and of those that the far end
 * still holds, is unknown. */
LINE_TEST(publishes_nothing_that_a_stopped_process_finds)
{
    struct bench *bench = begin(*state, &talker, answer_never);
    await(bench, is_heard, "heard");
    say(bench, 1, VOLTAGE, 70);
    say(bench, 1, CELL, 71);
    await_published(bench, 1);
    say(bench, 1, VOLTAGE, 72);
    say(bench, 1, CELL, 73);
    stall(3);
    await(bench, is_heard_again, "heard again");
    assert_int_equal(bench->published, 1);
    say(bench, 1, VOLTAGE, 74);
    say(bench, 1, CELL, 75);
    await_published(bench, 1);
    assert_true(bench->voltage == 74 && bench->cell == 75);
    assert_int_equal(bench->downs, 0);
}

static void answer_and_stop(struct bench *bench, const uint8_t *request)
{
    answer_well(bench, request);
    if (bench->requests == STEPS + 1) {
        assert_true(order(bench));
        stall(6);
    }
}

static bool is_fresh(struct bench *bench)
{
    return clock_now() - bench->pollers[0]->published_at < 2;
}

/* A request was in flight, and an order is too old by now. Answers that arrived meanwhile are as old as their
 * request. */
LINE_TEST(carries_out_nothing_that_a_stopped_process_finds)
{
    struct bench *bench = begin(*state, &patient, answer_and_stop);
    await_published(bench, 1);
    await(bench, order_is_over, "order");
    assert_int_equal(bench->result, ORDER_TOO_LATE);
    await(bench, is_fresh, "fresh again");
    assert_int_equal(bench->connections, 1);
    assert_int_equal(bench->downs, 0);
}

/* The line had nothing in flight, and the order arrives before the loop has read the clock. */
LINE_TEST(carries_out_nothing_of_a_late_turn)
{
    struct bench *bench = *state;
    add_pack(bench, &patient, 1)->poll_s = 0.3;
    start(bench, answer_well);
    await_published(bench, 1);
    stall(4);
    expect_order(bench, ORDER_TOO_LATE);
    await_published(bench, 1);
    assert_int_equal(bench->connections, 1);
}

static bool is_down(struct bench *bench)
{
    return bench->downs >= bench->wanted;
}

/* A pty in place of a USB adapter, behind a link as udev creates them. */
LINE_TEST(comes_back_after_the_adapter)
{
    struct bench *bench = *state;
    char folder[] = "/tmp/packgate-test-XXXXXX", link[64], name[PTY_NAME];
    turned_clock_has_ptys = true;
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/tty", folder);
    snprintf(bench->line_config.port, sizeof bench->line_config.port, "serial:%s", link);
    add_pack(bench, &toy, 1);
    unsigned descriptors = 0;
    for (int i = 0; i < 4; i++) {
        int master = pty_open(name);
        assert_true(master >= 0);
        /* Held open, or the far end would be woken all the time until the line opens it. */
        int held = open(name, O_RDWR | O_NOCTTY);
        assert_true(held >= 0);
        assert_int_equal(symlink(name, link), 0);
        attach(bench, master);
        if (i == 0)
            start(bench, answer_well);
        await_published(bench, 3);
        if (i == 0)
            descriptors = open_descriptors();
        assert_int_equal(open_descriptors(), descriptors);
        bench->wanted = bench->downs + 1;
        assert_int_equal(unlink(link), 0);
        hang_up(bench);
        await(bench, is_down, "down");
        close(held);
    }
    assert_int_equal(bench->pollers[0]->counters.reconnects, 3);
    assert_int_equal(rmdir(folder), 0);
    turned_clock_has_ptys = false;
}

/* Freed at any moment: while it looks up a name, connects, waits for a reply, for its turn or to open again. */
LINE_TEST(ends_at_any_moment)
{
    struct bench *bench = *state;
    char *host = strstr(bench->line_config.port, "127.0.0.1");
    char port[8];
    snprintf(port, sizeof port, "%s", strrchr(host, ':') + 1);
    add_pack(bench, &toy, 1);
    unsigned descriptors = open_descriptors();
    for (int turns = 0; turns < 60; turns++) {
        snprintf(host, 32, "%s:%s", turns % 2 ? "127.0.0.1" : "localhost", port);
        start(bench, turns % 3 ? answer_well : answer_and_close);
        for (int i = 0; i < turns / 2; i++)
            ev_run(bench->loop, EVRUN_NOWAIT);
        line_free(bench->line);
        bench->line = NULL;
        poller_reset(bench->pollers[0], clock_now());
        while (ev_run(bench->loop, EVRUN_NOWAIT), bench->peer >= 0)
            continue;
        assert_int_equal(open_descriptors(), descriptors);
    }
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_IGN);
    turned_clock_patience_ms = 1;
}
