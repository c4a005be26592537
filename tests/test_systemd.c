// SPDX-License-Identifier: MIT
/* Messages to a service manager, here a datagram socket. */
#include "daemon/systemd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit.h"

/* The socket of the manager. `name` is the value of NOTIFY_SOCKET. */
static int open_manager(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    assert_true(length < sizeof address.sun_path);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    socklen_t size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, size), 0);
    return fd;
}

static void expect_message(int fd, const char *expected)
{
    char text[100];
    ssize_t size = recv(fd, text, sizeof text, 0);
    assert_int_equal(size, (ssize_t) strlen(expected));
    assert_memory_equal(text, expected, (size_t) size);
}

static void expect_silence(int fd)
{
    char text[100];
    assert_true(recv(fd, text, sizeof text, 0) < 0);
    assert_int_equal(errno, EAGAIN);
}

static void expect_all(const char *name)
{
    int fd = open_manager(name);
    setenv("NOTIFY_SOCKET", name, 1);
    systemd_notify("READY=1");
    systemd_notify("STATUS=3 of 4 packs fresh, 1 stale, 2 clients");
    expect_message(fd, "READY=1");
    expect_message(fd, "STATUS=3 of 4 packs fresh, 1 stale, 2 clients");
    expect_silence(fd);
    close(fd);
}

TEST(path)
{
    char folder[] = "/tmp/packgate-notify-XXXXXX", name[64];
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/socket", folder);
    expect_all(name);
    unlink(name);
    rmdir(folder);
}

TEST(abstract_name)
{
    char name[64];
    snprintf(name, sizeof name, "@packgate-notify-%d", (int) getpid());
    expect_all(name);
}

/* Nothing is sent, and nothing else happens. */
TEST(no_manager)
{
    char too_long[200];
    memset(too_long, '/', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const char *const names[] = {"",      "/", "@", "relative", "vsock:2:1234", "/nowhere/at/all",
                                 too_long};
    char name[64];
    snprintf(name, sizeof name, "@packgate-notify-none-%d", (int) getpid());
    int fd = open_manager(name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        systemd_notify("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    systemd_notify("READY=1");
    expect_silence(fd);
    close(fd);
}

/* A manager that does not read: the call does not block. */
TEST(full_queue)
{
    char name[64];
    snprintf(name, sizeof name, "@packgate-notify-full-%d", (int) getpid());
    int fd = open_manager(name);
    setenv("NOTIFY_SOCKET", name, 1);
    for (int i = 0; i < 10000; i++)
        systemd_notify("WATCHDOG=1");
    expect_message(fd, "WATCHDOG=1");
    close(fd);
}

TEST(watchdog_interval)
{
    char own[32], other[32];
    snprintf(own, sizeof own, "%d", (int) getpid());
    snprintf(other, sizeof other, "%d", (int) getppid());
    const struct {
        const char *usec, *pid;
        double expected;
    } cases[] = {
        {NULL, NULL, 0},      {"30000000", NULL, 15}, {"30000000", own, 15}, {"30000000", other, 0},
        {"30000000", "x", 0}, {"1000000", own, 0.5},  {"0", own, 0},         {"", own, 0},
        {"-5", own, 0},       {"5s", own, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        if (cases[i].usec)
            setenv("WATCHDOG_USEC", cases[i].usec, 1);
        if (cases[i].pid)
            setenv("WATCHDOG_PID", cases[i].pid, 1);
        double interval = systemd_watchdog_interval();
        if (interval < cases[i].expected || interval > cases[i].expected)
            fail_msg("case %zu: expected %g s, got %g s", i, cases[i].expected, interval);
    }
}
