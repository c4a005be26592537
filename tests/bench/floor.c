// SPDX-License-Identifier: MIT
/*
 * The speed limit of a Modbus TCP server with one thread: one recv, one send with a canned answer
 * to each request in it, right only in its transaction id. Not a server to be used: it looks at
 * nothing else.
 */
#include "fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64 /* requests of one recv */
#define EVENTS 256

struct canned {
    size_t size; /* of one reply */
    uint8_t replies[BATCH * REPLY_MAX];
};

static int open_listener(void)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        fail("listen");
    return fd;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void take_client(int epoll, int listener)
{
    const int on = 1;
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno != EAGAIN)
            fail("accept");
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(epoll, fd);
}

/* Requests come whole on a loopback device: the generator sends them in one piece. */
static void answer(struct canned *canned, int fd)
{
    uint8_t requests[BATCH * REQUEST_SIZE];
    const ssize_t n = recv(fd, requests, sizeof requests, 0);
    const size_t count = n > 0 ? (size_t) n / REQUEST_SIZE : 0;
    if (n <= 0 || n % REQUEST_SIZE != 0) {
        close(fd);
        return;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(canned->replies + i * canned->size, requests + i * REQUEST_SIZE, 2);
    if (send(fd, canned->replies, count * canned->size, MSG_NOSIGNAL) !=
        (ssize_t) (count * canned->size))
        close(fd);
}

int main(int argc, char **argv)
{
    static struct canned canned;
    struct words words;
    words_parse(&words, argv + 1, argc - 1);
    canned.size = words_reply(&words, canned.replies);
    for (size_t i = 1; i < BATCH; i++)
        memcpy(canned.replies + i * canned.size, canned.replies, canned.size);

    const int listener = open_listener();
    const int epoll = epoll_create1(0);
    if (epoll < 0)
        fail("epoll_create1");
    watch(epoll, listener);
    announce(listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        const int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                take_client(epoll, listener);
            else
                answer(&canned, events[i].data.fd);
        }
    }
}
