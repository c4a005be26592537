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

TEST(frames)
{
    const struct can_message sent = {
        .id = 0x351, .size = 8, .data = {0x14, 2, 0x74, 0xE, 0x74, 0xE, 0xCC, 1}};
    struct can_message got;
    int pair[2];
    open_pair(pair);
    assert_int_equal(can_socket_receive(pair[1], &got), 0);
    assert_true(can_socket_send(pair[0], &sent));
    assert_int_equal(can_socket_receive(pair[1], &got), 1);
    assert_int_equal(got.id, sent.id);
    assert_int_equal(got.size, sent.size);
    assert_memory_equal(got.data, sent.data, sizeof sent.data);
    assert_int_equal(can_socket_receive(pair[1], &got), 0);
    close(pair[0]);
    assert_int_equal(can_socket_receive(pair[1], &got), -1);
    close(pair[1]);
}

/* In the layout of the kernel: 29-bit identifiers, remote frames, error frames. */
TEST(other_frames)
{
    static const canid_t others[] = {0x305 | CAN_EFF_FLAG, 0x305 | CAN_RTR_FLAG,
                                     0x4 | CAN_ERR_FLAG};
    struct can_frame raw = {.can_dlc = 8};
    struct can_message got;
    int pair[2];
    open_pair(pair);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        raw.can_id = others[i];
        assert_int_equal(send(pair[0], &raw, sizeof raw, 0), sizeof raw);
    }
    raw.can_id = 0x305;
    assert_int_equal(send(pair[0], &raw, sizeof raw, 0), sizeof raw);
    assert_int_equal(can_socket_receive(pair[1], &got), 1);
    assert_int_equal(got.id, 0x305);
    assert_int_equal(can_socket_receive(pair[1], &got), 0);
    close(pair[0]);
    close(pair[1]);
}

/* Without a reader the queue fills up, and sending does not block. */
TEST(full_queue)
{
    const struct can_message frame = {.id = 0x351, .size = 8};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    while (can_socket_send(pair[0], &frame))
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
