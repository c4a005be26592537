// SPDX-License-Identifier: MIT
/* CAN frames over a kernel socket, here a pair of sockets: what is sent is received, and other
 * kinds of frames are skipped. */
#include "base/can_socket.h"

#include <errno.h>
#include <linux/can.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

static void open_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
}

static void expect_line(int fd, const char *line)
{
    uint8_t got[SLCAN_LINE];
    assert_int_equal(can_socket_read(fd, got, sizeof got, NULL), strlen(line));
    assert_memory_equal(got, line, strlen(line));
}

static void expect_nothing(int fd)
{
    uint8_t got[SLCAN_LINE];
    assert_int_equal(can_socket_read(fd, got, sizeof got, NULL), -1);
    assert_int_equal(errno, EAGAIN);
}

static bool send_lines(int fd, const char *lines)
{
    return can_socket_write(fd, (const uint8_t *) lines, strlen(lines));
}

TEST(frames)
{
    uint8_t got[SLCAN_LINE];
    int pair[2];
    open_pair(pair);
    expect_nothing(pair[1]);
    assert_true(send_lines(pair[0], SLCAN_OPEN "t35181402740E740ECC01\rt3050\rt35"));
    expect_line(pair[1], "t35181402740E740ECC01\r");
    expect_line(pair[1], "t3050\r");
    expect_nothing(pair[1]);
    close(pair[0]);
    assert_int_equal(can_socket_read(pair[1], got, sizeof got, NULL), 0);
    close(pair[1]);
}

/* In the layout of the kernel: 29-bit identifiers, remote frames, error frames. */
TEST(other_frames)
{
    static const canid_t others[] = {0x305 | CAN_EFF_FLAG, 0x305 | CAN_RTR_FLAG,
                                     0x4 | CAN_ERR_FLAG};
    struct can_frame raw = {.can_dlc = 8};
    int pair[2];
    open_pair(pair);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        raw.can_id = others[i];
        assert_int_equal(send(pair[0], &raw, sizeof raw, 0), sizeof raw);
    }
    raw.can_id = 0x305;
    assert_int_equal(send(pair[0], &raw, sizeof raw, 0), sizeof raw);
    expect_line(pair[1], "t30580000000000000000\r");
    expect_nothing(pair[1]);
    close(pair[0]);
    close(pair[1]);
}

/* Without a reader the queue fills up, and sending does not block. */
TEST(full_queue)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    while (send_lines(pair[0], "t35180000000000000000\r"))
        continue;
    assert_true(errno == EAGAIN || errno == ENOBUFS);
    close(pair[0]);
    close(pair[1]);
}

TEST(no_interface)
{
    assert_int_equal(can_socket_open("no-such-can"), -1);
    assert_true(errno == ENODEV || errno == EAFNOSUPPORT); /* the latter on a kernel without CAN */
}
