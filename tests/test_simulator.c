// SPDX-License-Identifier: MIT
/*
 * The simulated bus: its options, what is heard and said on it, what the options let go wrong, and
 * `packgate simulate` around it. Besides the real protocols there are small ones of our own, which
 * show what the bus does without anything that a protocol does.
 * tests/run: 15 s, waits
 */
#include "base/clock.h"
#include "commands/command.h"
#include "lines/reply.h"
#include "simulator/pty.h"
#include "simulator/simulator.h"
#include "simulator/options.h"

#include "bms/prng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pack_test.h"

#define PATIENCE_S 60 /* s until an awaited event counts as missing */
#define LONG_REPLY 400

/* "[1x]" asks address 1 and gets "<1x>"; "[1L]" gets 400 bytes, and "[1S]" opens the charge MOS. "(" begins a frame
 * of 50 bytes that nothing answers. */
static size_t parrot_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                             struct bms_output *out)
{
    out->size = 0;
    if (bytes[0] == '(')
        return size < 50 ? 0 : 50;
    if (bytes[0] != '[')
        return 1;
    if (size < 4)
        return 0;
    if (bytes[3] != ']')
        return 1;
    if (bytes[1] != '0' + bms_address(bms))
        return 4;
    memcpy(out->bytes, (const uint8_t[]){'<', bytes[1], bytes[2], '>'}, 4);
    out->size = 4;
    if (bytes[2] == 'S')
        pack_set(pack, CHARGE_MOS, 0);
    if (bytes[2] == 'L') {
        memset(out->bytes, 'L', LONG_REPLY);
        out->size = LONG_REPLY;
    }
    return 4;
}

static const struct bms_step one_step[] = {{.name = "all"}};
static const struct bms_driver parrot = {.name = "parrot",
                                         .address = {.min = 0, .max = 9, .usual = 1},
                                         .plan = one_step,
                                         .steps = 1,
                                         .emulate = parrot_emulate};

/* Talks each second. */
static size_t talker_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                             struct bms_output *out)
{
    memcpy(out->bytes, "tick", 4);
    out->size = size == 0 ? 4 : 0;
    return size;
}

static const struct bms_driver talker = {.name = "talker", .emulate = talker_emulate};

/* Always waits for more bytes. */
static size_t greedy_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                             struct bms_output *out)
{
    out->size = 0;
    return 0;
}

static const struct bms_driver greedy = {
    .name = "greedy", .plan = one_step, .steps = 1, .emulate = greedy_emulate};

static struct bench {
    struct ev_loop *loop; /* NULL: not set up */
    struct simulator *simulator;
    int fd; /* the host's end */
    ev_timer patience;
} bench;

static void on_patience(struct ev_loop *loop, ev_timer *timer, int revents)
{
    fail_msg("an awaited event has not come");
}

static int attach(void)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_true(simulator_attach(bench.simulator, ends[1]));
    return ends[0];
}

/* Once more does nothing. */
static int tear_down(void **state)
{
    if (!bench.loop)
        return 0;
    close(bench.fd);
    simulator_free(bench.simulator);
    ev_timer_stop(bench.loop, &bench.patience);
    ev_loop_destroy(bench.loop);
    bench.loop = NULL;
    return 0;
}

static void set_up(const struct bms *bms, unsigned count, const char *options)
{
    tear_down(NULL);
    bench.loop = ev_loop_new(0);
    assert_non_null(bench.loop);
    bench.simulator = simulator_new(bench.loop, bms, count, options);
    assert_non_null(bench.simulator);
    ev_timer_init(&bench.patience, on_patience, PATIENCE_S, 0);
    ev_timer_start(bench.loop, &bench.patience);
    bench.fd = attach();
}

static void set_up_one(struct bms *bms, const struct bms_driver *driver, const char *options)
{
    bms_init(bms, driver);
    set_up(bms, 1, options);
}

static void set_up_parrot(const char *options)
{
    struct bms bms;
    set_up_one(&bms, &parrot, options);
}

/* At the addresses 1 to 3. */
static void set_up_parrots(const char *options)
{
    struct bms bms[3];
    for (int i = 0; i < 3; i++) {
        bms_init(&bms[i], &parrot);
        bms[i].options.address = i + 1;
    }
    set_up(bms, 3, options);
}

#define SIMULATOR_TEST(name) TEST_WITH(name, NULL, tear_down)

static void send_all(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static void ask(const char *request)
{
    send_all(bench.fd, request, strlen(request));
}

/* The next bytes from the bus; 0: it has closed the connection. */
static size_t receive(int fd, void *bytes, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, bytes, size);
        if (got >= 0)
            return (size_t) got;
        assert_int_equal(errno, EAGAIN);
        ev_run(bench.loop, EVRUN_ONCE);
    }
}

static void await_bytes(int fd, const char *expected, size_t size)
{
    char got[2 * LONG_REPLY];
    for (size_t have = 0; have < size;) {
        size_t more = receive(fd, got + have, size - have);
        assert_true(more > 0);
        assert_memory_equal(got + have, expected + have, more);
        have += more;
    }
}

static void await(const char *expected)
{
    await_bytes(bench.fd, expected, strlen(expected));
}

/* Everything that was sent has been received, and all immediate replies have been sent. */
static void settle(int fd)
{
    int unheard;
    while (ioctl(fd, TIOCOUTQ, &unheard) == 0 && unheard > 0)
        ev_run(bench.loop, EVRUN_ONCE);
    for (int i = 0; i < 5; i++)
        ev_run(bench.loop, EVRUN_NOWAIT);
}

static void assert_nothing(void)
{
    char byte;
    settle(bench.fd);
    assert_int_equal(read(bench.fd, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
}

TEST(options)
{
    static const struct {
        const char *options;
        const char *error; /* part of the message; NULL: valid */
    } cases[] = {
        {"", NULL},
        {"cells=48, temps=0 ,capacity=280,soc=100,profile=idle,speed=0.5", NULL},
        {"voltage_v=53.2,current_a=-3,cell_mv.3=3410,temp_c.1=-4,alarm.soc_low=1,charge_mos=0",
         NULL},
        {"alarm.soc_low=warning,alarm.short_circuit=protection,alarm.soc_high=0", NULL},
        {"serial=ABC 1,model=,firmware=1.0,voltage_v=none,cell_mv.48=0,temp_c.16=0,", NULL},
        {"echo=1,noise=0.5,cut=1,flip=0,drop=0.25,late=1,late_ms=0,split=1,first_lost=1,silent=0,"
         "close=1",
         NULL},
        {"soc=50,@3:soc=20, @0:alarm.soc_low=1,@255:serial=X,@1:profile=idle,@2:silent=1", NULL},
        {"@3:soc=120", "'soc' is '120'"},
        {"@3:cels=4", "did you mean 'cells'"},
        {"@3:baud=9600", "'baud' applies to the whole bus"},
        {"@3:first_lost=1", "'first_lost' applies to the whole bus"},
        {"@3", "expected @ADDRESS:KEY=VALUE"},
        {"@:soc=3", "expected @ADDRESS:KEY=VALUE"},
        {"@x:soc=3", "expected @ADDRESS:KEY=VALUE"},
        {"@-1:soc=3", "expected @ADDRESS:KEY=VALUE"},
        {"@256:soc=3", "expected @ADDRESS:KEY=VALUE"},
        {"@3:soc", "expected KEY=VALUE"},
        {"@3:@2:soc=3", "unknown option"},
        {"ambient=20,+1:ambient=-5,+2.5:@3:silent=1,+60:alarm.soc_low=1,lag=20,rate=0.3,every=90",
         NULL},
        {"+30:cells=4", "'cells' is only read at the start"},
        {"+30:every=4", "'every' is only read at the start"},
        {"+30:ambient=200", "'ambient' is '200'"},
        {"+30:@3:ambent=2", "did you mean 'ambient'"},
        {"+30:@3:echo=1", "'echo' applies to the whole bus"},
        {"+30", "expected +SECONDS:KEY=VALUE"},
        {"+-3:soc=3", "expected +SECONDS:KEY=VALUE"},
        {"+x:soc=3", "expected +SECONDS:KEY=VALUE"},
        {"+1e9:ambient=3", "expected +SECONDS:KEY=VALUE"},
        {"@3:+30:ambient=2", "unknown option"},
        {"@1.5:soc=3", "expected @ADDRESS:KEY=VALUE"},
        {"rate=0", "from 0.001 to 3"},
        {"cells=49", "'cells' is '49', expected a whole number from 1 to 48"},
        {"cells=0", "from 1 to 48"},
        {"cells=1.5", "whole number"},
        {"cells=", "'cells' is ''"},
        {"cells=8x", "'8x'"},
        {"cells=nan", "from 1"},
        {"capacity=inf", "from 1"},
        {"cells", "expected KEY=VALUE"},
        {"=3", "expected KEY=VALUE"},
        {"soc=50,cels=3", "did you mean 'cells'"},
        {"profil=idle", "did you mean 'profile'"},
        {"voltage_w=1", "did you mean 'voltage_v'"},
        {"zzzzzzzzzz=1", "unknown option 'zzzzzzzzzz'"},
        {"cell_mv.49=3300", "unknown option"},
        {"cell_mv.0=3300", "unknown option"},
        {"cell_mv=3300", "unknown option"},
        {"temp_c.17=1", "unknown option"},
        {"profile=quick", "expected cycle"},
        {"noise=1.1", "from 0 to 1"},
        {"echo=0.5", "whole number"},
        {"soc_percent=101", "from 0 to 100"},
        {"voltage_v=-1", "'voltage_v' is '-1'"},
        {"alarm.soc_low=2", "expected 0, 1, warning or protection"},
        {"alarm.soc_lo=1", "did you mean 'alarm.soc_low'"},
        {"serial=123456789012345678901234567890123", "at most 32"},
        {"model=\xC3\xA4", "ASCII"},
        {"model=0123456789012345678901234567890123456789012345678901234567890123456789"
         "012345678901234567890123456789",
         "too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[200] = "";
        bool good = simulator_check(cases[i].options, error, sizeof error);
        if (good != !cases[i].error || (cases[i].error && !strstr(error, cases[i].error)))
            fail_msg("'%s': %s, '%s'", cases[i].options, good ? "accepted" : "refused", error);
    }
}

/* The help names each option of the parser; a default must be a valid value. */
TEST(options_help)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    simulator_options_print(out);
    fclose(out);
    char *rest = text;
    unsigned checked = 0;
    for (char *line; (line = strsep(&rest, "\n")) && !strstr(line, "Names of values");) {
        char key[20], range[20], usual[20], option[60], error[200];
        if (sscanf(line, "%19s %19s %19s", key, range, usual) != 3)
            continue;
        snprintf(option, sizeof option, "%s=%s", key, strcmp(key, "profile") ? usual : range);
        if (!simulator_check(option, error, sizeof error))
            fail_msg("%s: %s", option, error);
        checked++;
    }
    assert_true(checked > 20);
    free(text);
}

/* Values that depend on a fixed value follow it; fixed values stay. */
SIMULATOR_TEST(fixed)
{
    static const struct {
        const char *options;
        enum pack_value id;
        double expected;
    } cases[] = {
        {"voltage_v=53.2", VOLTAGE_V, 53.2},
        {"voltage_v=50,current_a=-3", POWER_W, -150},
        {"current_a=-3", FLOW, FLOW_DISCHARGING},
        {"current_a=3", FLOW, FLOW_CHARGING},
        {"power_w=7", POWER_W, 7},
        {"cell_mv.1=3000,cell_mv.2=3100", VOLTAGE_V, 6.1},
        {"cell_mv.1=3000,cell_mv.2=3100,voltage_v=6.2", VOLTAGE_V, 6.2},
        {"cell_mv.2=4100", CELL_MAX_MV, 4100},
        {"cell_mv.2=4100", CELL_MAX_INDEX, 2},
        {"cell_mv.1=4000,cell_mv.2=4100", CELL_DELTA_MV, 100},
        {"cell_mv.1=4000,cell_mv.2=4100", CELL_AVG_MV, 4050},
        {"soc_percent=25,full_ah=200", REMAINING_AH, 50},
        {"remaining_ah=50,full_ah=200", SOC_PERCENT, 25},
        {"remaining_ah=50,full_ah=200,soc_percent=30", SOC_PERCENT, 30},
        {"temp_c.1=-4,temp_c.2=6", TEMP_AVG_C, 1},
        {"balance_mask=2", BALANCING, 1},
        {"voltage_v=none", VOLTAGE_V, NAN},
        {"voltage_v=none", POWER_W, NAN},
        {"cell_max_mv=none", CELL_MAX_MV, NAN},
        {"cell_mv.2=none", CELL_MV + 1, NAN},
        {"charge_mos=0", CHARGE_MOS, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char options[100];
        snprintf(options, sizeof options, "profile=fixed,cells=2,temps=2,%s", cases[i].options);
        set_up_parrot(options);
        double got = simulator_pack(bench.simulator, 0)->value[cases[i].id];
        bool same = isnan(cases[i].expected) ? isnan(got) : fabs(got - cases[i].expected) < 1e-9;
        if (!same)
            fail_msg("%s: %g instead of %g", cases[i].options, got, cases[i].expected);
    }
}

SIMULATOR_TEST(fixed_alarms_and_texts)
{
    set_up_parrot("soc=1,profile=fixed,alarm.soc_low=0,alarm.short_circuit=warning,"
                  "alarm.hardware_fault=protection,alarm.soc_high=1,serial=A B,model=");
    const struct pack *pack = simulator_pack(bench.simulator, 0);
    const uint32_t soc_low = UINT32_C(1) << SOC_LOW, both = UINT32_C(1) << SOC_HIGH;
    const uint32_t warning = UINT32_C(1) << SHORT_CIRCUIT, fault = UINT32_C(1) << HARDWARE_FAULT;
    assert_int_equal(pack->alarms_warning & (soc_low | both | warning | fault), both | warning);
    assert_int_equal(pack->alarms_protection & (soc_low | both | warning | fault), both | fault);
    assert_string_equal(pack->text[SERIAL], "A B");
    assert_string_equal(pack->text[MODEL], "");
    assert_string_equal(pack->text[FIRMWARE], "1.08");
}

SIMULATOR_TEST(addresses)
{
    set_up_parrots("delay=0");
    ask("[2a]");
    await("<2a>");
    ask("[4b]");
    assert_nothing();
    ask("junk[3c]");
    await("<3c>");
    ask("[1d][2e][3f][1g]");
    await("<1d><1g><2e><3f>");
    assert_string_not_equal(simulator_pack(bench.simulator, 0)->text[SERIAL],
                            simulator_pack(bench.simulator, 1)->text[SERIAL]);
}

/* Options of one BMS do not affect others; options for all that follow apply to it, too. */
SIMULATOR_TEST(own_options)
{
    set_up_parrots(
        "@1:soc=90,delay=0,profile=fixed,soc=60,@2:soc=40,@2:cells=8,@3:silent=1,@3:serial=LAST,"
        "@4:soc=1");
    static const struct {
        double soc_percent, cells;
    } expected[] = {{60, 16}, {40, 8}, {60, 16}};
    for (unsigned i = 0; i < 3; i++) {
        const struct pack *pack = simulator_pack(bench.simulator, i);
        assert_true(fabs(pack->value[SOC_PERCENT] - expected[i].soc_percent) < 1);
        assert_values(pack, {CELL_COUNT, expected[i].cells});
        assert_int_equal(strcmp(pack->text[SERIAL], "LAST") == 0, i == 2);
    }
    ask("[3a][1b][2c]");
    await("<1b><2c>");
    assert_nothing();
}

SIMULATOR_TEST(byte_by_byte)
{
    set_up_parrot("delay=0");
    for (const char *byte = "[[1x]"; *byte; byte++) {
        send_all(bench.fd, byte, 1);
        settle(bench.fd);
    }
    await("<1x>");
}

/* A BMS that waits for the rest of a frame neither blocks others nor itself for ever: bytes after a false start are
 * parsed again once the line is quiet. */
SIMULATOR_TEST(false_start)
{
    struct bms bms[2];
    bms_init(&bms[0], &greedy);
    bms_init(&bms[1], &parrot);
    set_up(bms, 2, "delay=0");
    for (int i = 0; i < 2000; i++) {
        ask("[1x]");
        await("<1x>");
    }
    ask("([1y]");
    await("<1y>");
}

SIMULATOR_TEST(connections)
{
    set_up_parrot("delay=0");
    int fds[15];
    for (int i = 0; i < 15; i++)
        fds[i] = attach();
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_false(simulator_attach(bench.simulator, ends[1]));
    assert_int_equal(receive(ends[0], &byte, 1), 0);
    close(ends[0]);

    /* Each receives half of a request, and then gets its own reply. */
    for (int i = 0; i < 15; i++)
        send_all(fds[i], "[1", 2);
    for (int i = 0; i < 15; i++) {
        char expected[] = {'<', '1', (char) ('a' + i), '>'};
        send_all(fds[i], (char[]){(char) ('a' + i), ']'}, 2);
        await_bytes(fds[i], expected, 4);
    }
    for (int i = 0; i < 15; i++)
        close(fds[i]);
    /* Places are free again as soon as the bus has noticed that clients have left. */
    ask("[1x]");
    await("<1x>");
    settle(bench.fd);
    int fd = attach();
    send_all(fd, "[1y]", 4);
    await_bytes(fd, "<1y>", 4);
    close(fd);
}

SIMULATOR_TEST(talker)
{
    struct bms bms;
    set_up_one(&bms, &talker, "");
    int second = attach();
    await("ticktick");
    await_bytes(second, "ticktick", 8); /* both hear the same */
    close(second);
}

/* Random bytes of all lengths, to every protocol; afterwards a valid request is still answered. */
SIMULATOR_TEST(random_bytes)
{
    uint64_t seed = 3;
    for (size_t d = 0; bms_drivers[d]; d++) {
        struct bms bms;
        set_up_one(&bms, bms_drivers[d], "delay=0");
        for (int i = 0; i < 200; i++) {
            uint8_t bytes[300];
            size_t size = (size_t) prng_range(&seed, 1, sizeof bytes);
            for (size_t j = 0; j < size; j++)
                bytes[j] = (uint8_t) prng_next(&seed);
            send_all(bench.fd, bytes, size);
            settle(bench.fd);
            while (read(bench.fd, bytes, sizeof bytes) > 0)
                continue;
        }
    }
    set_up_parrot("delay=0");
    for (int i = 0; i < 1000; i++) {
        uint8_t bytes[1000];
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (uint8_t) prng_next(&seed) & 0x7F;
        send_all(bench.fd, bytes, sizeof bytes);
        settle(bench.fd);
        while (read(bench.fd, bytes, sizeof bytes) > 0)
            continue;
    }
    ask("....[1z]");
    await("<1z>");
}

/* A client that sends requests and never reads is disconnected; the others are not affected. */
SIMULATOR_TEST(unread)
{
    set_up_parrot("delay=0");
    int other = attach();
    struct pollfd query = {.fd = other};
    while (!(query.revents & POLLHUP)) {
        if (send(other, "[1L]", 4, MSG_NOSIGNAL) != 4)
            assert_true(errno == EPIPE || errno == EAGAIN);
        ev_run(bench.loop, EVRUN_NOWAIT);
        assert_true(poll(&query, 1, 0) >= 0);
    }
    close(other);
    ask("[1x]");
    await("<1x>");
}

SIMULATOR_TEST(delays)
{
    static const struct {
        const char *options;
        const char *request;
        size_t reply;
        double at_least_s;
    } cases[] = {
        {"delay=30", "[1x]", 4, 0.03},
        {"delay=0,late=1,late_ms=40", "[1x]", 4, 0.04},
        {"delay=0,baud=9600", "[1x]", 4, 4 * 10 / 9600.0},
        {"delay=10,baud=38400", "[1L]", LONG_REPLY, 0.01 + (4 + 0.9 * LONG_REPLY) * 10 / 38400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_up_parrot(cases[i].options);
        char reply[LONG_REPLY];
        double start = clock_now();
        ask(cases[i].request);
        for (size_t have = 0; have < cases[i].reply;)
            have += receive(bench.fd, reply, cases[i].reply - have);
        double took_s = clock_now() - start;
        if (took_s < cases[i].at_least_s)
            fail_msg("%s: answered after %g s", cases[i].options, took_s);
    }
}

/* A late reply does not delay the next one. */
SIMULATOR_TEST(overtaking)
{
    unsigned overtaken = 0;
    set_up_parrot("delay=0,late=0.5,late_ms=50,seed=5");
    for (char c = 'a'; c <= 'z'; c += 2) {
        char request[] = {'[', '1', c, ']', '[', '1', (char) (c + 1), ']', 0};
        char reply[8];
        ask(request);
        for (size_t have = 0; have < sizeof reply;)
            have += receive(bench.fd, reply + have, sizeof reply - have);
        assert_int_equal(reply[2] + reply[6], 2 * c + 1);
        overtaken += reply[2] == c + 1;
    }
    assert_in_range(overtaken, 1, 12);
}

SIMULATOR_TEST(split)
{
    set_up_parrot("delay=0,split=1");
    ask("[1L]");
    char reply[LONG_REPLY];
    unsigned pieces = 0;
    for (size_t have = 0; have < sizeof reply; pieces++)
        have += receive(bench.fd, reply + have, sizeof reply - have);
    for (size_t i = 0; i < sizeof reply; i++)
        assert_int_equal(reply[i], 'L');
    assert_true(pieces > 3);
}

SIMULATOR_TEST(echo)
{
    set_up_parrot("delay=0,echo=1");
    ask("[1x]");
    await("[1x]<1x>");
    ask("nothing");
    await("nothing");
}

SIMULATOR_TEST(silence)
{
    static const char *const options[] = {"delay=0,silent=1", "delay=0,drop=1"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        set_up_parrot(options[i]);
        for (int n = 0; n < 10; n++) {
            ask("[1x]");
            assert_nothing();
        }
    }
}

static size_t bits_apart(const uint8_t *a, const uint8_t *b, size_t size)
{
    size_t apart = 0;
    for (size_t i = 0; i < size; i++)
        apart += (size_t) __builtin_popcount(a[i] ^ b[i]);
    return apart;
}

static size_t ask_at_once(uint8_t *reply, size_t size)
{
    ask("[1x]");
    settle(bench.fd);
    ssize_t got = read(bench.fd, reply, size);
    assert_true(got > 0);
    return (size_t) got;
}

SIMULATOR_TEST(spoilt)
{
    const uint8_t *right = (const uint8_t *) "<1x>";
    uint8_t reply[100];

    set_up_parrot("delay=0,flip=1");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask_at_once(reply, sizeof reply), 4);
        assert_int_equal(bits_apart(reply, right, 4), 1);
    }

    set_up_parrot("delay=0,cut=1");
    for (int i = 0; i < 100; i++) {
        size_t size = ask_at_once(reply, sizeof reply);
        assert_in_range(size, 1, 3);
        assert_memory_equal(reply, right, size);
    }

    set_up_parrot("delay=0,noise=1");
    for (int i = 0; i < 100; i++) {
        size_t size = ask_at_once(reply, sizeof reply);
        assert_in_range(size, 5, 36);
        assert_memory_equal(reply + size - 4, right, 4);
    }
}

SIMULATOR_TEST(probability)
{
    unsigned wrong = 0;
    uint8_t reply[100];
    set_up_parrot("delay=0,flip=0.3,seed=11");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(ask_at_once(reply, sizeof reply), 4);
        wrong += memcmp(reply, "<1x>", 4) != 0;
    }
    assert_in_range(wrong, 200, 400); /* 300 expected, seven standard deviations either way */
}

SIMULATOR_TEST(first_lost)
{
    set_up_parrot("delay=0,first_lost=1");
    ask("[1a]");
    assert_nothing();
    char reply[4];
    do {
        poll(NULL, 0, 25); /* bytes that follow at once still belong to the lost request */
        ask("[1b]");
        settle(bench.fd);
    } while (read(bench.fd, reply, sizeof reply) < 0);
    assert_memory_equal(reply, "<1b>", 4);
}

SIMULATOR_TEST(close)
{
    set_up_parrot("delay=0,close=1,echo=1");
    for (int i = 0; i < 20; i++) {
        char byte;
        int fd = attach();
        send_all(fd, "[1x]", 4);
        await_bytes(fd, "[1x]<1x>", 8);
        assert_int_equal(receive(fd, &byte, 1), 0);
        close(fd);
    }
}

/* Reads the immediate answer to a request. */
static enum reply_state exchange(struct bms *bms, const struct bms_request *request,
                                 struct pack *pack)
{
    static struct reply feed;
    uint8_t bytes[512];
    reply_clear(&feed);
    send_all(bench.fd, request->bytes, request->size);
    settle(bench.fd);
    for (ssize_t size; (size = read(bench.fd, bytes, sizeof bytes)) > 0;)
        assert_int_equal(reply_append(&feed, bytes, (size_t) size), size);
    return reply_decode(&feed, bms, request, true, pack);
}

static void poll_pack(struct bms *bms, struct pack *pack)
{
    pack_clear(pack);
    for (unsigned step = 0; step < bms->driver->steps; step++) {
        struct bms_request request;
        struct pack part = cleared_pack();
        if (!bms->driver->build(bms, step, &request))
            continue;
        if (exchange(bms, &request, &part) == REPLY_DONE)
            pack_merge(pack, &part);
        else if (bms->driver->plan[step].vital)
            fail_msg("%s: no answer to '%s'", bms->driver->name, bms->driver->plan[step].name);
    }
    if (bms->driver->finish)
        bms->driver->finish(bms, pack);
    pack_derive(pack);
}

/* The driver decodes the values that the test has set. */
SIMULATOR_TEST(values_on_the_wire)
{
    struct bms bms;
    set_up_one(
        &bms, bms_driver_find("daly"),
        "cells=14,temps=2,voltage_v=53.2,current_a=-3,soc_percent=42.5,cell_mv.3=3410,"
        "cell_mv.14=3111,temp_c.1=-4,temp_c.2=33,alarm.soc_low=1,alarm.cell_over_voltage=warning,"
        "charge_mos=0,discharge_mos=1,rated_ah=280,remaining_ah=119,cycles=77,balance_mask=5,"
        "model=BOARD,firmware=2.34,delay=0");
    struct pack pack;
    poll_pack(&bms, &pack);
    static const struct {
        enum pack_value id;
        double expected;
    } cases[] = {{VOLTAGE_V, 53.2},   {CURRENT_A, -3},     {SOC_PERCENT, 42.5},  {CELL_COUNT, 14},
                 {TEMP_COUNT, 2},     {CELL_MV + 2, 3410}, {CELL_MV + 13, 3111}, {TEMP_C, -4},
                 {TEMP_C + 1, 33},    {CHARGE_MOS, 0},     {DISCHARGE_MOS, 1},   {RATED_AH, 280},
                 {REMAINING_AH, 119}, {CYCLES, 77},        {BALANCE_MASK, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (!(fabs(pack.value[cases[i].id] - cases[i].expected) < 1e-6))
            fail_msg("value %d is %g, not %g", cases[i].id, pack.value[cases[i].id],
                     cases[i].expected);
    assert_true(pack.alarms_warning >> SOC_LOW & pack.alarms_protection >> SOC_LOW & 1);
    assert_true(pack.alarms_warning >> CELL_OVER_VOLTAGE & 1);
    assert_false(pack.alarms_protection >> CELL_OVER_VOLTAGE & 1);
    assert_string_equal(pack.text[MODEL], "BOARD");
    assert_string_equal(pack.text[FIRMWARE], "2.34");
}

static void switch_mos(struct bms *bms, enum bms_switch which, bool on)
{
    struct bms_request request;
    struct pack ignored = cleared_pack();
    assert_true(bms->driver->control(bms, which, on, &request));
    assert_int_equal(exchange(bms, &request, &ignored), REPLY_DONE);
}

/* A command takes effect in the model at once, even if an option held the switch. */
SIMULATOR_TEST(control)
{
    static const char *const options[] = {"delay=0,profile=discharge",
                                          "delay=0,profile=discharge,discharge_mos=1"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct bms bms;
        set_up_one(&bms, bms_driver_find("daly"), options[i]);
        const struct pack *pack = simulator_pack(bench.simulator, 0);
        assert_values(pack, {CURRENT_A, -20}, {DISCHARGE_MOS, 1});
        switch_mos(&bms, BMS_CHARGE_MOS, false);
        assert_values(pack, {CHARGE_MOS, 0}, {CURRENT_A, -20});
        switch_mos(&bms, BMS_DISCHARGE_MOS, false);
        assert_values(pack, {DISCHARGE_MOS, 0}, {CURRENT_A, 0});
        switch_mos(&bms, BMS_DISCHARGE_MOS, true);
        assert_values(pack, {DISCHARGE_MOS, 1}, {CURRENT_A, -20});
    }
    /* Held off from the start: no current flows until a command switches it on. */
    struct bms bms;
    set_up_one(&bms, bms_driver_find("daly"), "delay=0,profile=discharge,discharge_mos=0");
    const struct pack *pack = simulator_pack(bench.simulator, 0);
    assert_values(pack, {DISCHARGE_MOS, 0}, {CURRENT_A, 0});
    switch_mos(&bms, BMS_DISCHARGE_MOS, true);
    assert_values(pack, {DISCHARGE_MOS, 1}, {CURRENT_A, -20});
}

/* A device that talks unasked is received until it has sent a whole set. */
static void hear_pack(struct bms *bms, struct pack *pack)
{
    static struct reply feed;
    const struct bms_request none = {.size = 0};
    uint8_t bytes[512];
    reply_clear(&feed);
    pack_clear(pack);
    do
        reply_append(&feed, bytes, receive(bench.fd, bytes, sizeof bytes));
    while (reply_decode(&feed, bms, &none, false, pack) != REPLY_DONE);
    if (bms->driver->finish)
        bms->driver->finish(bms, pack);
    pack_derive(pack);
}

static void assert_same(const char *driver, const struct pack *got, const struct pack *expected,
                        enum pack_value id, double tolerance)
{
    double difference = fabs(got->value[id] - expected->value[id]);
    if (difference > tolerance)
        fail_msg("%s: value %d is %g instead of %g", driver, id, got->value[id],
                 expected->value[id]);
}

/* Every protocol, from the model to the decoded value. All report the voltage, all except balancers the current. */
SIMULATOR_TEST(every_driver)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        struct bms bms;
        struct pack pack;
        set_up_one(&bms, driver, "delay=0,profile=fixed,cells=4,temps=2,current_a=-3,soc=60");
        if (bms_talks(driver))
            hear_pack(&bms, &pack);
        else
            poll_pack(&bms, &pack);
        const struct pack *expected = simulator_pack(bench.simulator, 0);
        const bool balancer = strcmp(driver->name, "jk-balancer") == 0;
        assert_true(pack_known(&pack, VOLTAGE_V) && pack_known(&pack, CURRENT_A) == !balancer);
        assert_same(driver->name, &pack, expected, VOLTAGE_V, 0.051);
        if (!balancer) {
            assert_same(driver->name, &pack, expected, CURRENT_A, 0.051);
            assert_same(driver->name, &pack, expected, SOC_PERCENT, 0.51);
        }
        for (unsigned n = 0; n < 4; n++)
            assert_same(driver->name, &pack, expected, (enum pack_value)(CELL_MV + n),
                        strcmp(driver->name, "renogy") == 0 ? 100 : 0.5);
    }
}

/* The time of the model passes faster on request. */
SIMULATOR_TEST(speed)
{
    set_up_parrot("profile=discharge,speed=3600");
    const struct pack *pack = simulator_pack(bench.simulator, 0);
    double soc = pack->value[SOC_PERCENT];
    while (pack->value[SOC_PERCENT] > soc - 15) /* a second is an hour: 20 % */
        ev_run(bench.loop, EVRUN_ONCE);
}

/* Options with a time are set at that time, for their pack, and again when the script repeats. */
SIMULATOR_TEST(script)
{
    set_up_parrot(
        "profile=idle,ambient=20,+1:@1:ambient=-9,+1:@2:ambient=60,+2:ambient=30,every=3");
    const struct pack *pack = simulator_pack(bench.simulator, 0);
    assert_true(pack->value[TEMP_AVG_C] > 20 && pack->value[TEMP_AVG_C] < 24);
    for (int turn = 0; turn < 2; turn++) {
        while (pack->value[TEMP_AVG_C] > 19) {
            assert_true(pack->value[TEMP_AVG_C] < 40);
            ev_run(bench.loop, EVRUN_ONCE);
        }
        assert_true(pack->alarms_protection >> CHARGE_UNDER_TEMPERATURE & 1);
        while (pack->value[TEMP_AVG_C] < 29)
            ev_run(bench.loop, EVRUN_ONCE);
    }
}

/* A cell with less charge has the lowest voltage. */
SIMULATOR_TEST(lag)
{
    set_up_parrot("profile=idle,cells=8,soc=30,lag=25");
    const struct pack *pack = simulator_pack(bench.simulator, 0);
    assert_int_equal(pack->value[CELL_MIN_INDEX], 5);
    assert_true(pack->value[CELL_DELTA_MV] > 150);
}

static int open_slave(const char *name)
{
    int fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

static void write_all(int fd, const void *bytes, size_t size)
{
    assert_int_equal(write(fd, bytes, size), size);
}

SIMULATOR_TEST(pty)
{
    char name[PTY_NAME];
    set_up_parrot("delay=0,echo=1");
    int master = pty_open(name);
    assert_true(master >= 0);
    assert_true(simulator_attach(bench.simulator, master));

    /* Raw: every byte passes unchanged, once. */
    for (int round = 0; round < 3; round++) {
        int slave = open_slave(name);
        char bytes[256];
        for (int i = 0; i < 256; i++)
            bytes[i] = (char) (i + round);
        write_all(slave, bytes, sizeof bytes);
        await_bytes(slave, bytes, sizeof bytes);
        write_all(slave, "[1x]", 4);
        await_bytes(slave, "[1x]<1x>", 8);

        /* Bytes that one client has not read are not sent to the next. */
        int waiting = 0;
        write_all(slave, "[1y]", 4);
        while (ioctl(slave, FIONREAD, &waiting) == 0 && waiting < 8)
            ev_run(bench.loop, EVRUN_ONCE);
        write_all(slave, "[1", 2);
        close(slave);
        ev_run(bench.loop, EVRUN_NOWAIT); /* the bus sees that the client has gone */
        ev_run(bench.loop, EVRUN_NOWAIT);
    }
}

/* A talker whose pty nobody reads continues; a program that opens it gets current bytes. */
SIMULATOR_TEST(pty_talker)
{
    struct bms bms;
    char name[PTY_NAME];
    set_up_one(&bms, &talker, "");
    int master = pty_open(name);
    assert_true(simulator_attach(bench.simulator, master));
    await("tick"); /* on the socket; the pty is closed meanwhile */
    int slave = open_slave(name);
    await_bytes(slave, "tick", 4);
    close(slave);
}

struct child {
    pid_t pid;
    FILE *out;
};

/* Ends the test program if the command never does what the test waits for. */
static void start_command(struct child *child, char **argv)
{
    int ends[2], argc = 0;
    alarm(PATIENCE_S);
    while (argv[argc])
        argc++;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        optind = 1;
        int status = command_simulate(argc, argv);
        fflush(stdout);
        _exit(status);
    }
    close(ends[1]);
    child->out = fdopen(ends[0], "r");
    assert_non_null(child->out);
}

static int end_command(struct child *child)
{
    int status;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    fclose(child->out);
    alarm(0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void read_line(struct child *child, char *line, size_t size)
{
    assert_non_null(fgets(line, (int) size, child->out));
    line[strcspn(line, "\n")] = '\0';
}

static const uint8_t daly_request[] = {0xA5, 0x40, 0x90, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x7D};

/* 53.2 V, -3 A, 42.5 %, from the sheet `daly`, section 6: A5 01 90 08, 0.1 V, 0, 30000 - 0.1 A
 * discharging upwards. */
static void ask_daly(int fd)
{
    uint8_t reply[13];
    write_all(fd, daly_request, sizeof daly_request);
    for (size_t have = 0; have < sizeof reply;) {
        ssize_t got = read(fd, reply + have, sizeof reply - have);
        assert_true(got > 0);
        have += (size_t) got;
    }
    assert_int_equal(reply[0] << 16 | reply[1] << 8 | reply[2], 0xA50190);
    assert_int_equal(reply[4] << 8 | reply[5], 532);
    assert_int_equal(reply[10] << 8 | reply[11], 425);
}

TEST(command)
{
    char folder[] = "/tmp/packgate-test-XXXXXX", link[60], line[200], target[PTY_NAME] = "";
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/tty", folder);
    assert_int_equal(symlink("/nowhere", link), 0); /* left behind by another run */
    char *argv[] = {"simulate",
                    "--protocol",
                    "daly",
                    "--tcp",
                    "0",
                    "--pty",
                    link,
                    "--count",
                    "2",
                    "-o",
                    "voltage_v=53.2,soc_percent=42.5",
                    NULL};
    struct child child;
    start_command(&child, argv);

    unsigned port;
    read_line(&child, line, sizeof line);
    assert_int_equal(sscanf(line, "listening on tcp://127.0.0.1:%u", &port), 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    ask_daly(fd);

    read_line(&child, line, sizeof line);
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_memory_equal(line, "pty ", 4);
    assert_string_equal(line + 4, target);
    for (int i = 0; i < 3; i++) {
        int slave = open(link, O_RDWR | O_NOCTTY);
        assert_true(slave >= 0);
        ask_daly(slave);
        close(slave);
    }
    close(fd);
    kill(child.pid, SIGTERM);
    assert_int_equal(end_command(&child), 0);
    assert_int_equal(access(link, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

TEST(command_calls)
{
    static struct {
        char *argv[12];
        int status;
        const char *first_line; /* part of it; NULL: no output */
    } cases[] = {
        {{"simulate", "--help"}, EXIT_DONE, "usage: packgate simulate"},
        {{"simulate"}, EXIT_USAGE, NULL},
        {{"simulate", "--tcp", "0"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "dalai", "--tcp", "0"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "70000"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "host.lan:1"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "0", "--address", "17"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "0", "--address", "16", "--count", "2"},
         EXIT_USAGE,
         NULL},
        {{"simulate", "-p", "daly", "--tcp", "0", "--count", "0"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "jbd", "--tcp", "0", "--count", "2"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "0", "--variant", "red"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "0", "-o", "cells=99"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--tcp", "0", "stray"}, EXIT_USAGE, NULL},
        {{"simulate", "-p", "daly", "--print-values", "--variant", "bluetooth", "-o",
          "voltage_v=53.5"},
         EXIT_DONE,
         "\"voltage_v\":53.5,"},
        {{"simulate", "-p", "daly", "--tcp", "192.0.2.1:0"},
         EXIT_FAILED,
         NULL}, /* an unused address */
        {{"simulate", "-p", "daly", "--pty", "/nowhere/tty"}, EXIT_FAILED, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct child child;
        char line[8000] = "";
        start_command(&child, cases[i].argv);
        bool said = fgets(line, sizeof line, child.out);
        while (fgetc(child.out) != EOF)
            continue;
        int status = end_command(&child);
        bool right = cases[i].first_line ? said && strstr(line, cases[i].first_line) : !said;
        if (status != cases[i].status || !right)
            fail_msg("call %zu: status %d, '%s'", i, status, line);
    }
}
