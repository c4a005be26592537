// SPDX-License-Identifier: MIT
/* A Bluetooth module's serial line step by step, with a stand-in for BlueZ below it: the sheet
 * `ble`, sections 1, 2 and 7. */
#include "ble_stub.h"

#include "ports/ble/port_ble.c" /* in place of the one in the library */

#include "bms/count.h"

#define ADAPTER "/org/bluez/hci0"
#define DEVICE ADAPTER "/dev_AA_BB_CC_DD_EE_01"
#define CHARACTERISTIC DEVICE "/service0010/char00"
#define N BLUEZ_NOTIFY
#define W BLUEZ_WRITE
#define C BLUEZ_WRITE_COMMAND

struct result {
    int fd; /* -1: it is not open */
    unsigned opened, failed;
    char why[160];
};

static void on_opened(void *data, int fd)
{
    struct result *result = data;
    result->fd = fd;
    result->opened++;
}

static void on_failed(void *data, const char *why)
{
    struct result *result = data;
    result->fd = -1;
    result->failed++;
    snprintf(result->why, sizeof result->why, "%s", why);
}

static struct ev_loop *loop;

static struct port *make_port(const char *address, struct result *result)
{
    static const struct port_events port_events = {.opened = on_opened, .failed = on_failed};
    static const struct port_settings settings;
    stub_begin();
    loop = ev_default_loop(0);
    *result = (struct result){.fd = -1};
    struct port *port = port_new(loop, address, &settings, NULL, &port_events, result);
    assert_non_null(port);
    return port;
}

static struct bluez *bluez_of(struct port *port)
{
    return &((struct ble *) port)->bluez;
}

static void tell_adapter(struct bluez *bluez, int powered)
{
    struct bluez_object adapter = {STUB_UNTOLD, .path = ADAPTER, .interface = BLUEZ_ADAPTER};
    adapter.powered = powered;
    stub_tell(bluez, &adapter);
}

static void tell_device(struct bluez *bluez, const char *name, int connected, int resolved)
{
    struct bluez_object device = {STUB_UNTOLD, .path = DEVICE, .interface = BLUEZ_DEVICE,
                                  .address = "AA:BB:CC:DD:EE:01", .name = name};
    device.connected = connected;
    device.resolved = resolved;
    stub_tell(bluez, &device);
}

static void tell_paired(struct bluez *bluez)
{
    struct bluez_object device = {STUB_UNTOLD, .path = DEVICE, .interface = BLUEZ_DEVICE};
    device.paired = 1;
    stub_tell(bluez, &device);
}

static void tell_heard(struct bluez *bluez)
{
    stub_tell(bluez, &(struct bluez_object){STUB_UNTOLD, .path = DEVICE, .interface = BLUEZ_DEVICE,
                                            .address = "AA:BB:CC:DD:EE:01", .name = "JK-shed",
                                            .heard = true, .signal_dbm = -67});
}

/* Each is "fff1" and its properties. */
struct part {
    const char *uuid;
    unsigned flags;
};

static void tell_parts(struct bluez *bluez, const struct part *parts, unsigned count)
{
    char path[BLUEZ_PATH], uuid[40];
    for (unsigned i = 0; i < count; i++) {
        snprintf(path, sizeof path, CHARACTERISTIC "%s", parts[i].uuid);
        snprintf(uuid, sizeof uuid, "0000%s-0000-1000-8000-00805f9b34fb", parts[i].uuid);
        stub_tell(bluez, &(struct bluez_object){STUB_UNTOLD, .path = path,
                                                .interface = BLUEZ_CHARACTERISTIC, .uuid = uuid,
                                                .flags = parts[i].flags});
    }
}

static void tell_value(struct bluez *bluez, const char *uuid, const char *bytes)
{
    char path[BLUEZ_PATH];
    snprintf(path, sizeof path, CHARACTERISTIC "%s", uuid);
    stub_tell(bluez,
              &(struct bluez_object){STUB_UNTOLD, .path = path, .interface = BLUEZ_CHARACTERISTIC,
                                     .value = bytes, .size = strlen(bytes)});
}

/* What BlueZ has: an adapter, and a device that is not connected. */
static void look_around(struct port *port)
{
    struct stub_call *list = stub_await(loop, "list ");
    tell_adapter(bluez_of(port), 1);
    tell_device(bluez_of(port), "JK-shed", 0, 0);
    stub_answer(list, NULL, NULL);
}

/* Closes and opens it again, long after; what was called until then is not looked at. */
static void reopen(struct port *port)
{
    port_close(port);
    turned_clock_at += 10;
    stub_looked = stub_count;
    port_open(port);
    look_around(port);
}

/* From the scan to the characteristics; the next request is the first subscription. */
static void connect_behind(struct stub_call *scan, struct port *port, const struct part *parts,
                           unsigned count)
{
    stub_answer(scan, NULL, NULL);
    assert_int_equal(stub_looked, stub_count); /* not before the device is seen */
    tell_heard(bluez_of(port));
    stub_answer(stub_await(loop, "stop "), NULL, NULL);
    stub_answer(stub_await(loop, "Connect " DEVICE), NULL, NULL);
    tell_device(bluez_of(port), NULL, 1, -1);
    assert_int_equal(stub_looked, stub_count); /* services are not resolved yet */
    tell_device(bluez_of(port), NULL, -1, 1);
    struct stub_call *list = stub_await(loop, "list ");
    tell_parts(bluez_of(port), parts, count);
    stub_answer(list, NULL, NULL);
}

static void connect_it(struct port *port, const struct part *parts, unsigned count)
{
    connect_behind(stub_await(loop, "scan " ADAPTER), port, parts, count);
}

static const struct part daly[] = {{"fff1", N}, {"fff2", W | C}};
static const struct part both[] = {{"fff1", N}, {"fff2", W | C}, {"ff01", N}, {"ff02", C}};

static void open_it(struct port *port, struct result *result)
{
    port_open(port);
    look_around(port);
    connect_it(port, daly, COUNT(daly));
    stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "fff1"), NULL, NULL);
    assert_true(result->fd >= 0);
}

TEST(opens)
{
    struct result result;
    static const char *const addresses[] = {"ble:AA:BB:CC:DD:EE:01", "ble:hci0/aa:bb:cc:dd:ee:01",
                                            "ble:JK-shed"};
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct port *port = make_port(addresses[i], &result);
        open_it(port, &result);
        assert_int_equal(port_signal_dbm(port), -67);
        char bytes[8];
        tell_value(bluez_of(port), "fff1", "abc");
        tell_value(bluez_of(port), "fff2", "not this");
        assert_int_equal(read(result.fd, bytes, sizeof bytes), 3);
        assert_memory_equal(bytes, "abc", 3);
        tell_device(bluez_of(port), NULL, 0, 0);
        assert_int_equal(read(result.fd, bytes, sizeof bytes), 0); /* the link is lost */
        port_free(port);
    }
}

/* Somebody else's name, address or adapter is not it. */
TEST(is_not_mistaken)
{
    struct result result;
    struct port *port = make_port("ble:JK", &result);
    port_open(port);
    look_around(port);
    stub_answer(stub_await(loop, "scan " ADAPTER), NULL, NULL);
    tell_heard(bluez_of(port)); /* JK-shed */
    const double since = turned_clock_at;
    stub_await(loop, "close ");
    assert_string_equal(result.why,
                        "it is not in reach: asleep, too far away, or its app is connected to it");
    assert_in_range((int) (turned_clock_at - since), 11, 13);
    port_free(port);
    port = make_port("ble:hci1/AA:BB:CC:DD:EE:01", &result);
    port_open(port);
    look_around(port);
    stub_await(loop, "close ");
    assert_string_equal(result.why, "this host has no such Bluetooth adapter");
    port_free(port);
}

TEST(pairs_in_turn)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    port_open(port);
    look_around(port);
    connect_it(port, both, COUNT(both));
    stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "fff1"), "org.bluez.Error.Failed",
                "no");
    stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "ff01"), NULL, NULL);
    assert_true(result.fd >= 0);
    reopen(port);
    connect_it(port, both, COUNT(both));
    stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "fff1"), "org.bluez.Error.Failed",
                "no");
    stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "ff01"),
                "org.bluez.Error.NotPermitted", "Not paired");
    stub_await(loop, "Disconnect " DEVICE);
    assert_string_equal(result.why, "it refuses to notify: Not paired");
    port_free(port);
}

/* One port at a time per adapter: the second one scans only when the first is open. */
TEST(one_at_a_time)
{
    struct result results[2];
    struct port *ports[] = {make_port("ble:AA:BB:CC:DD:EE:01", &results[0]),
                            make_port("ble:JK-shed", &results[1])};
    port_open(ports[0]);
    look_around(ports[0]);
    struct stub_call *scan = stub_await(loop, "scan " ADAPTER);
    port_open(ports[1]);
    look_around(ports[1]);
    connect_behind(scan, ports[0], daly, COUNT(daly));
    struct stub_call *subscription = stub_await(loop, "StartNotify " CHARACTERISTIC "fff1");
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(stub_looked, stub_count);
    stub_answer(subscription, NULL, NULL);
    assert_true(results[0].fd >= 0);
    connect_it(ports[1], daly, COUNT(daly));
    port_free(ports[0]);
    port_free(ports[1]);
}

/* 3 s pass between the disconnect and the next scan; the same if the device is found connected, which may be for a
 * moment only. */
TEST(pauses)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    open_it(port, &result);
    port_close(port);
    const double left_at = stub_await(loop, "Disconnect " DEVICE)->at;
    stub_await(loop, "close ");
    port_open(port);
    look_around(port);
    assert_true(stub_await(loop, "list ")->at - left_at >= 3); /* again */
    port_close(port);
    stub_await(loop, "close ");
    turned_clock_at += 10;
    port_open(port);
    struct stub_call *list = stub_await(loop, "list ");
    tell_adapter(bluez_of(port), 1);
    tell_device(bluez_of(port), "JK-shed", 1, 1);
    const double seen_at = turned_clock_at;
    stub_answer(list, NULL, NULL);
    list = stub_await(loop, "list ");
    assert_true(list->at - seen_at >= 3);
    /* It is still connected: it does not advertise, so the port takes over the connection. */
    tell_adapter(bluez_of(port), 1);
    tell_device(bluez_of(port), "JK-shed", 1, 1);
    stub_answer(list, NULL, NULL);
    stub_await(loop, "Connect " DEVICE);
    port_free(port);
}

/* Requests are sent in pieces of 20 bytes, each after BlueZ has accepted the one before. */
TEST(pieces)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    open_it(port, &result);
    assert_int_equal(write(result.fd, "0123456789012345678901234", 25), 25);
    struct stub_call *first = stub_await(loop, "command " CHARACTERISTIC "fff2");
    assert_int_equal(first->size, 20);
    assert_int_equal(stub_looked, stub_count);
    stub_answer(first, NULL, NULL);
    struct stub_call *second = stub_await(loop, "command " CHARACTERISTIC "fff2");
    assert_int_equal(second->size, 5);
    assert_memory_equal(second->bytes, "01234", 5);
    /* BlueZ does not accept it for a while: the remaining pieces are too old by then. */
    turned_clock_at += 2;
    assert_int_equal(write(result.fd, "late", 4), 4);
    ev_run(loop, EVRUN_NOWAIT);
    stub_answer(second, NULL, NULL);
    assert_int_equal(stub_looked, stub_count);
    tell_value(bluez_of(port), "fff1", "an answer");
    /* Another program writes: this request is lost, but the port stays open. */
    assert_int_equal(write(result.fd, "next", 4), 4);
    stub_answer(stub_await(loop, "command " CHARACTERISTIC "fff2"), BLUEZ_IN_PROGRESS,
                "In Progress");
    assert_int_equal(write(result.fd, "next", 4), 4);
    stub_await(loop, "command " CHARACTERISTIC "fff2");
    port_free(port);
}

/* If the device is silent, the port tries the other kind of write, and then its other pair of characteristics. */
TEST(silence)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    port_open(port);
    look_around(port);
    connect_it(port, both, COUNT(both));
    stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "fff1"), NULL, NULL);
    static const char *const kinds[] = {"command", "command", "request", "request"};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char text[BLUEZ_PATH];
        snprintf(text, sizeof text, "%s " CHARACTERISTIC "fff2", kinds[i]);
        turned_clock_at += 2;
        assert_int_equal(write(result.fd, "?", 1), 1);
        stub_answer(stub_await(loop, text), NULL, NULL);
        tell_value(bluez_of(port), "fff1", ""); /* says nothing, either */
    }
    turned_clock_at += 2;
    char end;
    assert_int_equal(write(result.fd, "?", 1), 1);
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(read(result.fd, &end, 1), 0); /* end of file, as the line sees it */
    reopen(port);
    connect_it(port, both, COUNT(both));
    stub_await(loop, "StartNotify " CHARACTERISTIC "ff01");
    port_free(port);
}

/* The characteristic has both kinds of write, and rejects the one that is tried first. */
TEST(refused_kind)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    static const char *const kinds[] = {"command " CHARACTERISTIC "fff2",
                                        "request " CHARACTERISTIC "fff2"};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        open_it(port, &result);
        assert_int_equal(write(result.fd, "?", 1), 1);
        struct stub_call *call = stub_await(loop, kinds[i]);
        char end;
        if (i == 0) {
            stub_answer(call, "org.bluez.Error.NotPermitted", "Write not permitted");
            assert_int_equal(read(result.fd, &end, 1), 0);
            port_close(port);
            turned_clock_at += 10;
            stub_looked = stub_count;
            continue;
        }
        stub_answer(call, NULL, NULL);
        tell_value(bluez_of(port), "fff1", "!");
        /* A kind of write that has worked is kept, whatever later writes result in. */
        assert_int_equal(write(result.fd, "?", 1), 1);
        stub_answer(stub_await(loop, kinds[i]), "org.bluez.Error.Failed", "no");
    }
    port_close(port);
    turned_clock_at += 10;
    stub_looked = stub_count;
    open_it(port, &result);
    assert_int_equal(write(result.fd, "?", 1), 1);
    stub_await(loop, kinds[1]);
    port_free(port);
}

/* Links fail most often while they are established: the port retries once, after the pause that follows a disconnect,
 * before it reports a failure. */
TEST(tries_again)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    for (unsigned time = 0; time < 2; time++) {
        port_open(port);
        for (unsigned attempt = 0; attempt < 2; attempt++) {
            look_around(port);
            if (attempt > 0)
                look_around(port); /* the device may still be leaving */
            stub_answer(stub_await(loop, "scan " ADAPTER), NULL, NULL);
            tell_heard(bluez_of(port));
            stub_answer(stub_await(loop, "stop "), NULL, NULL);
            struct stub_call *call = stub_await(loop, "Connect " DEVICE);
            if (attempt > 0 && time == 0) { /* the retry succeeds */
                stub_answer(call, NULL, NULL);
                tell_device(bluez_of(port), NULL, 1, 1);
                break;
            }
            if (attempt == 0) { /* the link is established, and lost while services are resolved */
                stub_answer(call, NULL, NULL);
                tell_device(bluez_of(port), NULL, 1, -1);
                tell_device(bluez_of(port), NULL, 0, -1);
                assert_int_equal(result.failed, time);
            } else {
                stub_answer(call, "org.bluez.Error.Failed", "le-connection-abort-by-local");
            }
            stub_await(loop, "Disconnect " DEVICE);
            stub_await(loop, "close ");
        }
        if (time == 0) {
            struct stub_call *list = stub_await(loop, "list ");
            tell_parts(bluez_of(port), daly, COUNT(daly));
            stub_answer(list, NULL, NULL);
            stub_answer(stub_await(loop, "StartNotify " CHARACTERISTIC "fff1"), NULL, NULL);
            assert_true(result.fd >= 0);
            result.failed++; /* as often as there are failures */
            port_close(port);
            turned_clock_at += 10;
            stub_begin();
        }
    }
    assert_int_equal(result.failed, 2);
    assert_string_equal(result.why, "it does not let us connect: le-connection-abort-by-local");
    port_free(port);
}

/* If BlueZ remembers services that the device no longer has, the port makes it forget the device, unless it is
 * paired. */
TEST(stale_services)
{
    struct result result;
    for (int paired = 0; paired < 2; paired++) {
        struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
        for (unsigned time = 1; time <= 3; time++) {
            stub_begin();
            turned_clock_at += 10; /* the pause before is over */
            port_open(port);
            look_around(port);
            if (paired)
                tell_paired(bluez_of(port));
            connect_it(port, NULL, 0);
            if (time == 3 && !paired)
                stub_await(loop, "RemoveDevice " DEVICE);
            stub_await(loop, "Disconnect " DEVICE);
            assert_int_equal(result.failed, time);
            assert_non_null(strstr(result.why, "none of the serial lines"));
        }
        port_free(port);
    }
}

/* A scan is ended only after BlueZ has confirmed it; a device that is seen earlier waits for that. */
TEST(scan_that_is_not_answered)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    port_open(port);
    look_around(port);
    struct stub_call *scan = stub_await(loop, "scan " ADAPTER);
    tell_heard(bluez_of(port)); /* seen through the scan of another program */
    assert_int_equal(stub_looked, stub_count);
    stub_answer(scan, "org.freedesktop.DBus.Error.NoReply", "BlueZ does not answer");
    stub_answer(stub_await(loop, "stop "), BLUEZ_IN_PROGRESS, "Operation already in progress");
    assert_int_equal(result.failed, 1);
    assert_string_equal(result.why, "BlueZ is busy with the scan of another program");
    port_free(port);
}

TEST(what_can_be_wrong)
{
    struct result result;
    struct port *port = make_port("ble:AA:BB:CC:DD:EE:01", &result);
    stub_no_bus = true;
    port_open(port);
    ev_run(loop, EVRUN_ONCE);
    assert_string_equal(result.why, "the system bus (D-Bus) does not run");
    stub_no_bus = false;
    port_open(port);
    stub_answer(stub_await(loop, "list "), NULL, NULL);
    assert_string_equal(result.why, "this host has no Bluetooth adapter");
    stub_await(loop, "close ");
    port_open(port);
    struct stub_call *list = stub_await(loop, "list ");
    tell_adapter(bluez_of(port), 0);
    stub_answer(list, NULL, NULL);
    assert_string_equal(result.why, "the Bluetooth adapter is off (bluetoothctl power on)");
    stub_await(loop, "close ");
    port_open(port);
    stub_await(loop, "list "); /* is never answered */
    stub_await(loop, "close ");
    assert_string_equal(result.why, "the system bus (D-Bus) does not answer");
    port_open(port);
    look_around(port);
    stub_answer(stub_await(loop, "scan " ADAPTER), NULL, NULL);
    static const uint8_t record[] = {VICTRON_PRODUCT, 2};
    stub_tell(bluez_of(port), &(struct bluez_object){
                                  STUB_UNTOLD, .path = DEVICE, .interface = BLUEZ_DEVICE,
                                  .heard = true, .victron = record, .victron_size = sizeof record});
    stub_answer(stub_await(loop, "stop "), NULL, NULL);
    assert_non_null(strstr(result.why, "protocol victron-ble"));
    port_free(port);
}
