// SPDX-License-Identifier: MIT
/* The devices that a scan lists, with a stand-in for BlueZ below it. */
#include "ble_stub.h"

#include "ports/ble/scan.c" /* in place of the one in the library */

#define ADAPTER "/org/bluez/hci0"

static struct scan_device listed[SCAN_DEVICES];
static unsigned listed_count;
static char why[160];
static bool ended;

static void on_done(void *data, const struct scan_device *devices, unsigned count, const char *text)
{
    memcpy(listed, devices, count * sizeof *devices);
    listed_count = count;
    snprintf(why, sizeof why, "%s", text ? text : "");
    ended = true;
}

static struct ev_loop *loop;

static void tell_adapter(struct bluez *bluez, int powered)
{
    struct bluez_object adapter = {STUB_UNTOLD, .path = ADAPTER, .interface = BLUEZ_ADAPTER};
    adapter.powered = powered;
    stub_tell(bluez, &adapter);
}

static void tell_device(struct bluez *bluez, unsigned n, const char *name, int signal_dbm)
{
    char path[BLUEZ_PATH], address[BLUETOOTH_ADDRESS];
    snprintf(path, sizeof path, ADAPTER "/dev_66_00_00_00_%02X_%02X", n >> 8 & 255, n & 255);
    snprintf(address, sizeof address, "66:00:00:00:%02X:%02X", n >> 8 & 255, n & 255);
    struct bluez_object device = {STUB_UNTOLD, .path = path, .interface = BLUEZ_DEVICE,
                                  .address = address, .name = name};
    device.heard = signal_dbm != 0;
    device.signal_dbm = signal_dbm;
    stub_tell(bluez, &device);
}

/* Starts a scan. `remembered`: devices that BlueZ has cached. */
static struct scan *begin(unsigned remembered)
{
    loop = ev_default_loop(0);
    stub_begin();
    ended = false;
    struct scan *scan = scan_new(loop, "", on_done, NULL);
    assert_non_null(scan);
    struct stub_call *list = stub_await(loop, "list ");
    tell_adapter(list->bluez, 1);
    for (unsigned n = 0; n < remembered; n++)
        tell_device(list->bluez, 0x4000 + n, "old", 0);
    stub_answer(list, NULL, NULL);
    stub_answer(stub_await(loop, "scan " ADAPTER), NULL, NULL);
    return scan;
}

static void await_end(struct scan *scan)
{
    while (!ended)
        ev_run(loop, EVRUN_ONCE);
    scan_free(scan);
}

/* Of thousands of devices, the list keeps those that may be a BMS, and the nearest others. */
TEST(crowd)
{
    struct scan *scan = begin(3000);
    for (unsigned n = 0; n < 3000; n++)
        tell_device(&scan->bluez, n, "crowd", -90);
    tell_device(&scan->bluez, 5000, "near", -30);
    tell_device(&scan->bluez, 5001, "JK-shed", -95);
    for (unsigned n = 3000; n < 4000; n++)
        tell_device(&scan->bluez, n, "crowd", -91);
    tell_device(&scan->bluez, 0, NULL, -70); /* came nearer */
    await_end(scan);
    assert_string_equal(why, "");
    assert_int_equal(listed_count, SCAN_DEVICES);
    assert_string_equal(listed[0].name, "JK-shed");
    assert_string_equal(listed[1].name, "near");
    assert_string_equal(listed[2].address, "66:00:00:00:00:00");
    assert_int_equal(listed[2].signal_dbm, -70);
}

/* Anybody can choose a name. */
TEST(names)
{
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"\x1b]0;title\x07\r\n", "?]0;title???"},
        {"", ""},
        {"66-00-00-00-00-02", ""}, /* made of the address */
        {"\xe2\x80\xae"
         "evil",
         "???evil"},
    };
    struct scan *scan = begin(0);
    for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++)
        tell_device(&scan->bluez, n, cases[n].name, -40 - (int) n);
    char longest[300];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    tell_device(&scan->bluez, 99, longest, -99);
    await_end(scan);
    assert_int_equal(listed_count, 5);
    for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++)
        assert_string_equal(listed[n].name, cases[n].shown);
    assert_int_equal(strlen(listed[4].name), BLUETOOTH_NAME - 1);
}

TEST(adapter_goes)
{
    struct scan *scan = begin(0);
    tell_device(&scan->bluez, 1, "JK-shed", -60);
    tell_adapter(&scan->bluez, 0);
    assert_true(ended);
    assert_string_equal(why, "the Bluetooth adapter was switched off");
    assert_int_equal(listed_count, 0);
    scan_free(scan);
    scan = begin(0);
    bluez_report_gone(&scan->bluez, ADAPTER);
    scan->bluez.events->settled(scan);
    assert_string_equal(why, "the Bluetooth adapter is gone");
    scan_free(scan);
}
