// SPDX-License-Identifier: MIT
/* Connecting without blocking: addresses, names, refusal, and stopping at any time. */
#include "base/dial.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loopback.h"

/* Replaces the C library's connect, to control what the system does at random. */
static bool own_end_is_target;

int connect(int fd, const struct sockaddr *to, socklen_t size)
{
    if (own_end_is_target)
        assert_int_equal(bind(fd, to, size), 0);
    return (int) syscall(SYS_connect, fd, to, size);
}

struct outcome {
    struct ev_loop *loop;
    int fd; /* -1: not opened */
    char why[300];
};

static void on_opened(void *data, int fd)
{
    struct outcome *outcome = data;
    outcome->fd = fd;
    ev_break(outcome->loop, EVBREAK_ALL);
}

static void on_failed(void *data, const char *why)
{
    struct outcome *outcome = data;
    snprintf(outcome->why, sizeof outcome->why, "%s", why);
    ev_break(outcome->loop, EVBREAK_ALL);
}

static const struct dial_events events = {.opened = on_opened, .failed = on_failed};

static void dial_to(struct dial *dial, struct outcome *outcome, const char *host, unsigned port)
{
    char address[64];
    snprintf(address, sizeof address, "%s:%u", host, port);
    *outcome = (struct outcome){.loop = ev_default_loop(0), .fd = -1};
    assert_true(dial_init(dial, outcome->loop, address, &events, outcome));
    dial_start(dial);
}

/* Bytes pass, and the peer sees the end when the connection is stopped. */
static void check_connection(const char *host)
{
    unsigned port = 0;
    int listener = listen_on_loopback(&port);
    struct dial dial;
    struct outcome outcome;
    char byte = 0;
    dial_to(&dial, &outcome, host, port);
    ev_run(outcome.loop, 0);
    assert_string_equal(outcome.why, "");
    assert_true(outcome.fd >= 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(outcome.fd, "x", 1), 1);
    assert_int_equal(read(peer, &byte, 1), 1);
    dial_stop(&dial);
    assert_int_equal(read(peer, &byte, 1), 0);
    close(peer);
    close(listener);
}

TEST(address)
{
    check_connection("127.0.0.1");
}

/* "localhost" may resolve to ::1 first, where nobody listens: the next address is tried. */
TEST(name)
{
    check_connection("localhost");
}

TEST(refused)
{
    unsigned port = 0;
    close(listen_on_loopback(&port));
    struct dial dial;
    struct outcome outcome;
    dial_to(&dial, &outcome, "127.0.0.1", port);
    if (!outcome.why[0])
        ev_run(outcome.loop, 0);
    assert_int_equal(outcome.fd, -1);
    assert_string_equal(outcome.why, "Connection refused");
    dial_stop(&dial);
}

/* Nobody listens on the port, and the system has chosen it as the local port of the connection. */
TEST(never_itself)
{
    unsigned port = 0;
    close(listen_on_loopback(&port));
    struct dial dial;
    struct outcome outcome;
    own_end_is_target = true;
    dial_to(&dial, &outcome, "127.0.0.1", port);
    ev_run(outcome.loop, 0);
    own_end_is_target = false;
    dial_stop(&dial);
    assert_int_equal(outcome.fd, -1);
    assert_string_equal(outcome.why, "Connection refused");
}

/* Without anything to wait for, the loop ends: no watcher was left behind. */
TEST(stopped)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        unsigned port = 0;
        int listener = listen_on_loopback(&port);
        struct dial dial;
        struct outcome outcome;
        dial_to(&dial, &outcome, hosts[i], port);
        dial_stop(&dial);
        ev_run(outcome.loop, 0);
        assert_int_equal(outcome.fd, -1);
        assert_string_equal(outcome.why, "");
        dial_start(&dial);
        ev_run(outcome.loop, 0);
        assert_true(outcome.fd >= 0);
        dial_stop(&dial);
        close(listener);
    }
}

TEST(forms)
{
    static const char *const bad[] = {"", "host", "host:", ":502", "::1:502", "host:65536"};
    struct dial dial;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (dial_init(&dial, ev_default_loop(0), bad[i], &events, NULL))
            fail_msg("'%s' was accepted", bad[i]);
    assert_true(dial_init(&dial, ev_default_loop(0), "[2001:db8::1]:502", &events, NULL));
    assert_string_equal(dial.to.host, "2001:db8::1");
    assert_string_equal(dial.service, "502");
}
