// SPDX-License-Identifier: MIT
/* The port of a [present] section on a CAN interface, here a pair of sockets: the kernel need not
 * support CAN. */
#include "outlets/present/bus.h"

#include "base/slcan.h"

#include <errno.h>
#include <linux/can.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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
    return 0;
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
    struct ev_loop *loop = ev_default_loop(0);
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
    bus_free(bus);
    close(far);
}
