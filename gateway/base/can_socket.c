// SPDX-License-Identifier: MIT
#include "can_socket.h"

#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int can_socket_open(const char *interface)
{
    const int fd = socket(AF_CAN, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, CAN_RAW);
    if (fd < 0)
        return -1;
    struct ifreq request = {0};
    struct sockaddr_can address = {.can_family = AF_CAN};
    const int yes = 1;
    strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
    if (ioctl(fd, SIOCGIFINDEX, &request) == 0) {
        address.can_ifindex = request.ifr_ifindex;
        if (bind(fd, (const struct sockaddr *) &address, sizeof address) == 0 &&
            setsockopt(fd, SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, &yes, sizeof yes) == 0)
            return fd;
    }
    const int err = errno;
    close(fd);
    errno = err;
    return -1;
}

ssize_t can_socket_read(int fd, uint8_t *line, size_t room, bool *own)
{
    struct can_frame raw;
    struct iovec bytes = {.iov_base = &raw, .iov_len = sizeof raw};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t size;
    while ((size = recvmsg(fd, &message, MSG_DONTWAIT)) == (ssize_t) sizeof raw) {
        uint8_t text[SLCAN_LINE];
        struct can_message frame = {.id = (uint16_t) raw.can_id, .size = raw.can_dlc};
        if (raw.can_id & (CAN_EFF_FLAG | CAN_RTR_FLAG | CAN_ERR_FLAG) || raw.can_dlc > 8)
            continue;
        const bool confirms = message.msg_flags & MSG_CONFIRM;
        if (own)
            *own = confirms;
        else if (confirms)
            continue;
        memcpy(frame.data, raw.data, raw.can_dlc);
        const size_t written = slcan_write(&frame, text), taken = written < room ? written : room;
        memcpy(line, text, taken);
        return (ssize_t) taken;
    }
    return size < 0 ? -1 : 0;
}

bool can_socket_write(int fd, const uint8_t *lines, size_t size)
{
    struct can_message frame;
    for (size_t n; (n = slcan_read(lines, size, &frame)) > 0; lines += n, size -= n) {
        struct can_frame raw = {.can_id = frame.id, .can_dlc = frame.size};
        if (frame.size > 8)
            continue;
        memcpy(raw.data, frame.data, frame.size);
        if (send(fd, &raw, sizeof raw, MSG_NOSIGNAL) != (ssize_t) sizeof raw)
            return false;
    }
    return true;
}
