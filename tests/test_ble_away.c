// SPDX-License-Identifier: MIT
/*
 * Bluetooth lines whose devices, adapter or bus are absent for hours: real lines above an automatic
 * stand-in for BlueZ, on a test-controlled clock.
 */
#include "ble_stub.h"

#include "ports/ble/port_ble.c" /* in place of the one in the library */

#include "lines/line.h"

#include <malloc.h>
#include <stdlib.h>

#define ADAPTER "/org/bluez/hci0"
#define DEVICE ADAPTER "/dev_AA_BB_CC_DD_EE_0"
#define LINES_MOST 3
#define HOURS 12
#define AGAIN_S 30.0 /* s, longest pause between two attempts */
#define SOON_S 6.0   /* s: here a scan, the connection and the first reply take less */

/* A module, its BMS, and the line that reads it. */
struct far {
    char device[64], receive[96], send[96];
    bool away, known, linked;
    struct bluez *bluez; /* whose port is open; NULL: none */
    bool scanned_for;
    struct bms bms;
    struct pack pack;
    struct line_config line_config;
    struct pack_config pack_config;
    struct poller *poller;
    struct line *line;
};

static struct world {
    struct ev_loop *loop;
    struct far fars[LINES_MOST];
    unsigned count;
    bool powered;
    unsigned attempts;
    double attempted_at, longest_s;
    int log; /* descriptor of the log file */
    int real_stderr;
} world;

static void tell_device(struct far *far, bool heard)
{
    struct bluez_object device = {STUB_UNTOLD, .path = far->device, .interface = BLUEZ_DEVICE,
                                  .address = far->device + strlen(ADAPTER "/dev_")};
    char address[BLUETOOTH_ADDRESS];
    snprintf(address, sizeof address, "%s", device.address);
    for (char *c = address; *c; c++)
        if (*c == '_')
            *c = ':';
    device.address = address;
    device.connected = device.resolved = far->linked;
    device.heard = heard;
    device.signal_dbm = heard ? -70 : 0;
    stub_tell(far->bluez, &device);
}

static void list(struct far *far)
{
    struct bluez_object adapter = {STUB_UNTOLD, .path = ADAPTER, .interface = BLUEZ_ADAPTER};
    adapter.powered = world.powered;
    stub_tell(far->bluez, &adapter);
    if (far->known)
        tell_device(far, false);
    if (!far->linked)
        return;
    stub_tell(far->bluez, &(struct bluez_object){STUB_UNTOLD, .path = far->receive,
                                                 .interface = BLUEZ_CHARACTERISTIC,
                                                 .uuid = "0000ff01-0000-1000-8000-00805f9b34fb",
                                                 .flags = BLUEZ_NOTIFY});
    stub_tell(far->bluez, &(struct bluez_object){STUB_UNTOLD, .path = far->send,
                                                 .interface = BLUEZ_CHARACTERISTIC,
                                                 .uuid = "0000ff02-0000-1000-8000-00805f9b34fb",
                                                 .flags = BLUEZ_WRITE_COMMAND});
}

static void answer(struct far *far, const struct stub_call *call)
{
    struct bms_output out = {.size = 0};
    if (!far->linked)
        return;
    bms_emulate(&far->bms, &far->pack, call->bytes, call->size, &out);
    stub_tell(far->bluez, &(struct bluez_object){STUB_UNTOLD, .path = far->receive,
                                                 .interface = BLUEZ_CHARACTERISTIC,
                                                 .value = out.bytes, .size = out.size});
}

static struct far *far_of(const struct stub_call *call)
{
    const struct ble *ble = call->bluez->data;
    return &world.fars[ble->wanted.address[16] - '1'];
}

static void note_attempt(double at)
{
    world.longest_s = fmax(world.longest_s, at - world.attempted_at);
    world.attempted_at = at;
    world.attempts++;
}

static void serve_call(struct stub_call call)
{
    struct far *far = far_of(&call);
    if (strcmp(call.text, "close ") == 0) {
        far->bluez = NULL;
        far->scanned_for = false;
    } else if (strncmp(call.text, "Disconnect", 10) == 0) {
        far->linked = false;
    } else if (strncmp(call.text, "RemoveDevice", 12) == 0) {
        far->known = false;
    } else {
        far->bluez = call.bluez;
    }
    if (!call.reply && !call.listed)
        return;
    if (strcmp(call.text, "list ") == 0)
        list(far);
    if (strncmp(call.text, "list", 4) == 0 && far == world.fars)
        note_attempt(call.at);
    if (strncmp(call.text, "scan", 4) == 0)
        far->scanned_for = true;
    if (strncmp(call.text, "stop", 4) == 0)
        far->scanned_for = false;
    if (strncmp(call.text, "Connect", 7) == 0)
        far->linked = !far->away;
    stub_answer(
        &call, far->away && strncmp(call.text, "Connect", 7) == 0 ? "org.bluez.Error.Failed" : NULL,
        "le-connection-abort-by-local");
    if (strncmp(call.text, "Connect", 7) == 0 && far->linked)
        tell_device(far, false);
    if (strncmp(call.text, "command", 7) == 0)
        answer(far, &call);
}

static void serve_calls(void)
{
    while (stub_looked < stub_count)
        serve_call(stub_calls[stub_looked++]);
    stub_count = stub_looked = 0;
}

static void serve(void)
{
    serve_calls();
    for (unsigned i = 0; i < world.count; i++) {
        struct far *far = &world.fars[i];
        if (!far->bluez || !far->scanned_for || far->away)
            continue;
        far->known = true;
        tell_device(far, true);
        serve_calls();
    }
}

/* Redirects the log to a file. */
static void run_until(double until)
{
    dup2(world.log, STDERR_FILENO);
    while (turned_clock_at < until) {
        ev_run(world.loop, EVRUN_ONCE);
        serve();
    }
    dup2(world.real_stderr, STDERR_FILENO);
}

static void on_published(void *data, struct poller *poller, double now)
{
}

static void add_line(unsigned n)
{
    static const struct line_events line_events = {.published = on_published};
    struct far *far = &world.fars[n];
    *far = (struct far){.known = true};
    snprintf(far->device, sizeof far->device, DEVICE "%u", n + 1);
    snprintf(far->receive, sizeof far->receive, DEVICE "%u/service0010/char0011", n + 1);
    snprintf(far->send, sizeof far->send, DEVICE "%u/service0010/char0014", n + 1);
    bms_init(&far->bms, bms_driver_find("jbd"));
    pack_clear(&far->pack);
    pack_set(&far->pack, VOLTAGE_V, 52);
    pack_set(&far->pack, SOC_PERCENT, 61);
    pack_set(&far->pack, CELL_COUNT, 16);
    for (unsigned i = 1; i <= 16; i++)
        pack_set_cell(&far->pack, i, 3250);
    far->line_config = (struct line_config){.name = "line"};
    snprintf(far->line_config.port, sizeof far->line_config.port, "ble:AA:BB:CC:DD:EE:0%u", n + 1);
    far->pack_config = (struct pack_config){.name = "pack",
                                            .line = &far->line_config,
                                            .driver = far->bms.driver,
                                            .options = {.adr = -1},
                                            .poll_s = 2,
                                            .stale_after_s = 10};
    far->poller = poller_new(&far->pack_config);
    far->line = line_new(world.loop, &far->line_config, &far->poller, 1, &line_events, NULL);
    assert_non_null(far->line);
    line_start(far->line);
}

static void open_world(unsigned lines)
{
    char path[] = "/tmp/packgate-away-XXXXXX";
    world = (struct world){.loop = ev_default_loop(0), .count = lines, .powered = true};
    stub_begin();
    world.real_stderr = dup(STDERR_FILENO);
    world.log = mkstemp(path);
    unlink(path);
    for (unsigned i = 0; i < lines; i++)
        add_line(i);
}

static unsigned said(void)
{
    char text[8192];
    const ssize_t size = pread(world.log, text, sizeof text, 0);
    unsigned lines = 0;
    for (ssize_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

static void close_world(void)
{
    for (unsigned i = 0; i < world.count; i++) {
        line_free(world.fars[i].line);
        poller_free(world.fars[i].poller);
    }
    close(world.real_stderr);
    close(world.log);
}

/* Seconds from now until fresh values are published. */
static double back_after_s(const struct far *far)
{
    const double since = turned_clock_at;
    while (!(far->poller->published_at > since) && turned_clock_at < since + 600)
        run_until(turned_clock_at + 0.1);
    return turned_clock_at - since;
}

static void cut_link(struct far *far)
{
    far->linked = false;
    if (far->bluez)
        tell_device(far, false);
}

/* Exists with the address sanitizer, which replaces the heap that mallinfo2 reports about. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap_in_use(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

/* Runs for hours without the device. Attempts continue, no more than `apart_s` apart; memory does not grow, and one
 * message is logged. */
static void endure(double apart_s)
{
    run_until(turned_clock_at + 600); /* pauses are at their longest */
    const size_t heap = heap_in_use();
    const unsigned lines = said();
    world.attempts = 0;
    world.longest_s = 0;
    world.attempted_at = turned_clock_at;
    run_until(turned_clock_at + HOURS * 3600);
    print_message("%u attempts in %d hours, at most %.0f s apart\n", world.attempts, HOURS,
                  world.longest_s);
    assert_true(world.longest_s <= apart_s);
    assert_in_range(world.attempts, (unsigned) (HOURS * 3600 / apart_s) - 1, HOURS * 3600 / 25);
    assert_int_equal(heap_in_use(), heap);
    assert_int_equal(said(), lines);
    assert_in_range(lines, 1, 2 * world.count);
}

TEST(device_away)
{
    open_world(1);
    struct far *far = &world.fars[0];
    assert_true(back_after_s(far) < SOON_S);
    far->away = true;
    cut_link(far);
    endure(AGAIN_S + SEEK_S + 1);
    far->away = false;
    assert_true(back_after_s(far) < AGAIN_S + SOON_S);
    assert_int_equal(said(), 2); /* lost, and recovered */
    close_world();
}

TEST(adapter_off)
{
    open_world(1);
    struct far *far = &world.fars[0];
    assert_true(back_after_s(far) < SOON_S);
    world.powered = false;
    cut_link(far);
    endure(AGAIN_S + 1);
    world.powered = true;
    assert_true(back_after_s(far) < AGAIN_S + SOON_S);
    close_world();
}

/* Two devices are away, and each of their attempts occupies the adapter for its turn: the third, whose link is lost
 * now and then, waits for each of them at most once. */
TEST(neighbours_away)
{
    open_world(3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(back_after_s(&world.fars[i]) < 3 * SOON_S);
    for (unsigned i = 1; i < 3; i++) {
        world.fars[i].away = true;
        cut_link(&world.fars[i]);
    }
    double longest = 0;
    run_until(turned_clock_at + 600);
    for (unsigned n = 0; n < 200; n++) {
        run_until(turned_clock_at + 15 + fmod(n * 7.3, 60));
        cut_link(&world.fars[0]);
        longest = fmax(longest, back_after_s(&world.fars[0]));
    }
    print_message("back after %.1f s at most\n", longest);
    assert_true(longest < 2 * SEEK_S + LEAVE_S + SOON_S);
    close_world();
}
