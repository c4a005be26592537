// SPDX-License-Identifier: MIT
/*
 * A clock that a test turns, under the real loop: include it in one file of a test program. Both clock_gettime and
 * the wait of libev are this program's own then. When nothing is left to be done at this moment, the clock goes to
 * the next timer at once instead of waiting for it, so that an hour takes as long as its events do. Everything
 * in the process sees this time.
 *
 * Socket pairs deliver in the call that writes. A worker of the kernel passes on the bytes in a pty: it may run much later,
 * while the clock is turned by seconds. But to poll a terminal waits for this worker: with turned_clock_has_ptys all
 * descriptors are polled before. TCP may take a moment, too: turned_clock_patience_ms is how long is really waited before
 * the clock is turned.
 */
#pragma once

#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double turned_clock_at = 1000;
static int turned_clock_patience_ms;
static bool turned_clock_has_ptys;

int clock_gettime(clockid_t which, struct timespec *at)
{
    at->tv_sec = (time_t) turned_clock_at;
    at->tv_nsec = (long) ((turned_clock_at - (double) at->tv_sec) * 1e9);
    return 0;
}

/* With 64-bit times on a 32-bit architecture the function above has another name; libev calls this one. */
#if __SIZEOF_POINTER__ == 4
struct short_time {
    long seconds, nanoseconds;
};
int clock_gettime_of_libev(clockid_t which, struct short_time *at) __asm__("clock_gettime");

int clock_gettime_of_libev(clockid_t which, struct short_time *at)
{
    struct timespec whole;
    clock_gettime(which, &whole);
    at->seconds = (long) whole.tv_sec;
    at->nanoseconds = whole.tv_nsec;
    return 0;
}
#endif

/* Afterwards all bytes that were written to ptys can be read. */
static void turned_clock_await_terminals(void)
{
    struct pollfd all[64]; /* those that are not open do no harm */
    for (int fd = 0; fd < 64; fd++)
        all[fd] = (struct pollfd){.fd = fd, .events = POLLIN};
    poll(all, 64, 0);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
    if (turned_clock_has_ptys)
        turned_clock_await_terminals();
    long ready = syscall(SYS_epoll_pwait, fd, events, most, 0, NULL, 0);
    if (ready == 0 && timeout_ms != 0 && turned_clock_patience_ms > 0)
        ready = syscall(SYS_epoll_pwait, fd, events, most, turned_clock_patience_ms, NULL, 0);
    /* libev requires that the time of a timer has passed: the clock never stops completely. */
    turned_clock_at += ready == 0 && timeout_ms > 0 ? timeout_ms / 1e3 : 1e-6;
    return (int) ready;
}
