// SPDX-License-Identifier: MIT
/* The port of a [present] section on a CAN interface, here a pair of sockets: the kernel need not
 * support CAN. */
#include "outlets/present/present.h"

#include "base/slcan.h"
#include "bms/bytes.h"
#include "bms/inverter/can.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/can.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "unit.h"

static int far = -1; /* the other end of the interface; -1: not open */

int socket(int family, int type, int protocol)
{
    int pair[2];
    if (family == AF_CAN && far < 0 &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0) {
        far = pair[1];
        return pair[0];
    }
    errno = ENODEV;
    return -1;
}

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    return request == SIOCGIFINDEX ? 0 : (int) syscall(SYS_ioctl, fd, request, argument);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    return 0;
}

static unsigned dropped; /* times that the output of a serial port was discarded */

int tcflush(int fd, int queue)
{
    dropped += queue == TCOFLUSH;
    return 0;
}

/* Whether what is received was sent through the same socket, as the kernel marks it. */
static bool confirms;

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    const ssize_t size = recv(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags);
    message->msg_flags = confirms ? MSG_CONFIRM : 0;
    return size;
}

unsigned if_nametoindex(const char *name)
{
    return strcmp(name, "can0") == 0;
}

static struct {
    unsigned opened, gone;
    size_t size;
    uint8_t bytes[512];
} heard;

static size_t on_heard(void *data, struct bus_link *link, const uint8_t *bytes, size_t size,
                       bool quiet, double now)
{
    assert_true(bus_is_shared(link) && !quiet);
    assert_null(bus_client(link));
    assert_true(heard.size + size <= sizeof heard.bytes);
    memcpy(heard.bytes + heard.size, bytes, size);
    heard.size += size;
    return size;
}

static void on_opened(void *data, struct bus_link *link)
{
    heard.opened++;
    bus_send(link, (const uint8_t *) SLCAN_OPEN,
             strlen(SLCAN_OPEN)); /* a command to an adapter, not a frame */
}

static void on_gone(void *data, const struct bus_link *link)
{
    heard.gone++;
}

/* A bus is never freed. Each test has a loop of its own, so that those before it do nothing any more. */
static struct {
    struct ev_loop *loop;
    struct bus *bus;
} kept[8];
static unsigned kept_count;

static struct ev_loop *begin(void)
{
    return kept[kept_count].loop = ev_loop_new(0);
}

static void end(struct bus *bus)
{
    kept[kept_count++].bus = bus;
}

static const struct bus_events events = {.heard = on_heard, .opened = on_opened, .gone = on_gone};

static void send_frame(uint32_t id, uint8_t size)
{
    const struct can_frame frame = {
        .can_id = id, .can_dlc = size, .data = {1, 2, 3, 4, 5, 6, 7, 8}};
    assert_int_equal(send(far, &frame, sizeof frame, 0), sizeof frame);
}

TEST(can)
{
    static const struct present_config config = {.port = "can:can0"};
    struct ev_loop *loop = begin();
    struct can_frame frame;
    struct bus *bus = bus_new(loop, &config, "present x", &events, NULL);
    assert_non_null(bus);
    assert_true(bus_is_open(bus));
    assert_int_equal(heard.opened, 1);
    assert_int_equal(recv(far, &frame, sizeof frame, MSG_DONTWAIT), -1);

    send_frame(0x305, 8);
    send_frame(0x305 | CAN_EFF_FLAG, 8); /* 29-bit identifier: not for us */
    send_frame(0x307, 2);
    while (heard.size < 22 + 10)
        ev_run(loop, EVRUN_ONCE);
    assert_memory_equal(heard.bytes, "t30580102030405060708\rt30720102\r", 22 + 10);
    heard.size = 0;

    static const char lines[] = "t35180102030405060708\rt35C1C0\r";
    assert_true(bus_send_all(bus, (const uint8_t *) lines, strlen(lines)));
    assert_int_equal(recv(far, &frame, sizeof frame, MSG_DONTWAIT), sizeof frame);
    assert_int_equal(frame.can_id, 0x351);
    assert_memory_equal(frame.data, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(recv(far, &frame, sizeof frame, MSG_DONTWAIT), sizeof frame);
    assert_true(frame.can_id == 0x35C && frame.can_dlc == 1 && frame.data[0] == 0xC0);

    /* A full queue, as on a bus without a device that acknowledges, loses frames but keeps the interface open. */
    for (int i = 0; i < 10000; i++)
        assert_true(bus_send_all(bus, (const uint8_t *) lines, strlen(lines)));
    assert_int_equal(heard.gone, 0);

    /* The interface is brought down, and up again. */
    close(far);
    while (heard.gone == 0)
        ev_run(loop, EVRUN_ONCE);
    assert_false(bus_is_open(bus));
    assert_false(bus_send_all(bus, (const uint8_t *) lines, strlen(lines)));
    far = -1;
    while (heard.opened == 1)
        ev_run(loop, EVRUN_ONCE);
    assert_true(bus_is_open(bus));
    end(bus);
    close(far);
}

/* The identifier of the next frame on the bus; its first two bytes are a number. 0: there is none. */
static unsigned next_frame(unsigned *number)
{
    struct can_frame frame;
    if (recv(far, &frame, sizeof frame, MSG_DONTWAIT) != sizeof frame)
        return 0;
    *number = le16(frame.data);
    return frame.can_id;
}

/* Nobody acknowledges frames for a while. What waits in the interface then is sent later, so it must have no limits. Nor does
 * more than a frame wait on a bus that works: the queue of an interface holds fewer than a set. */
TEST(a_dead_bus_collects_no_limits)
{
    static const struct present_config config = {.port = "can:can0", .protocol = "pylon-1.3"};
    struct pack values;
    pack_clear(&values);
    pack_set(&values, SOC_PERCENT, 50);
    pack_set(&values, VOLTAGE_V, 53);
    struct outlet_pack pack = {.source = {.name = "x",
                                          .values = &values,
                                          .good_until = INFINITY,
                                          .status = {.state = MAP_STATE_FRESH,
                                                     .allowed = {.configured = true,
                                                                 .charge_voltage_v = 54,
                                                                 .charge_current_a = 100,
                                                                 .discharge_current_a = 100}}}};
    double until = INFINITY;
    struct present present = {.config = &config,
                              .pack = &pack,
                              .speaker = &can_speaker,
                              .until = &until,
                              .duplicate_at = NAN};
    struct ev_loop *loop = begin();
    unsigned number, limits = 0;
    far = -1;
    present.self = can_speaker.start(&present, 0);
    struct bus *bus = bus_new(loop, &config, "present x", &can_speaker.events, present.self);
    assert_true(bus_is_open(bus));
    for (int second = 0; second < 3; second++)
        can_speaker.second(present.self, bus, second);
    for (int second = 0; second < 3; second++)
        assert_int_equal(next_frame(&number), CAN_BATTERY_NAME);
    assert_int_equal(next_frame(&number), 0);

    /* The limits fall, and the bus works again: the names leave, and after each frame the next one may. */
    pack.source.status.allowed.charge_voltage_v = 52;
    confirms = true;
    for (unsigned left = 3, id; left > 0; left--) {
        send_frame(CAN_BATTERY_NAME, 8);
        ev_run(loop, EVRUN_ONCE);
        id = next_frame(&number);
        assert_int_not_equal(id, CAN_BATTERY_NAME);
        assert_int_equal(id == 0x351 ? number : 520, 520);
        limits += id == 0x351;
        left += id != 0;
        assert_int_equal(next_frame(&number), 0);
    }
    assert_int_equal(limits, 1);
    confirms = false;
    end(bus);
    free(present.self);
    close(far);
}

/* What an adapter has not accepted when the next set of frames is due is discarded. A pseudo terminal does not show it,
 * because it passes bytes on at once. */
TEST(a_stuck_adapter_keeps_no_frames)
{
    struct present_config config = {.baud = 115200, .framing = "8N1"};
    struct ev_loop *loop = begin();
    const int adapter = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(adapter >= 0 && grantpt(adapter) == 0 && unlockpt(adapter) == 0);
    snprintf(config.port, sizeof config.port, "serial:%s", ptsname(adapter));
    struct bus *bus = bus_new(loop, &config, "present x", &events, NULL);
    while (!bus_is_open(bus))
        ev_run(loop, EVRUN_ONCE);
    dropped = 0;
    bus_drop_unsent(bus);
    assert_int_equal(dropped, 1);
    end(bus);
    close(adapter);
}
