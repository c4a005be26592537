// SPDX-License-Identifier: MIT
/*
 * Resolving names in a child process. The test has its own getaddrinfo, so that names can take for
 * ever, be unknown, or report the state of the child.
 */
#include "base/dial.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define MANY 20 /* more than RESOLVER_MAX */

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    closedir(folder);
    return count - 3; /* ".", ".." and that of the folder */
}

/* An address list of this length, all 127.0.0.1 with the port. */
static struct addrinfo *make_list(unsigned count, unsigned port)
{
    struct addrinfo *list = NULL;
    while (count-- > 0) {
        struct addrinfo *info = calloc(1, sizeof *info);
        struct sockaddr_in *address = calloc(1, sizeof *address);
        *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
        address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *info = (struct addrinfo){.ai_family = AF_INET,
                                  .ai_addr = (struct sockaddr *) address,
                                  .ai_addrlen = sizeof *address,
                                  .ai_next = list};
        list = info;
    }
    return list;
}

/* Replaces the C library's function. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **list)
{
    if (hints->ai_flags & AI_NUMERICHOST)
        return EAI_NONAME;
    while (strcmp(host, "forever") == 0)
        pause();
    if (strcmp(host, "unknown") == 0)
        return EAI_NONAME;
    if (strcmp(host, "crash") == 0)
        raise(SIGKILL);
    bool tell = strcmp(host, "descriptors") == 0;
    *list = make_list(strcmp(host, "many") == 0 ? MANY : 1,
                      tell ? open_descriptors() : (unsigned) atoi(port));
    return 0;
}

struct outcome {
    struct ev_loop *loop;
    bool done;
    unsigned count, port;
};

static void on_done(void *data, const struct resolver_address *addresses, unsigned count)
{
    struct outcome *outcome = data;
    outcome->done = true;
    outcome->count = count;
    if (count > 0)
        outcome->port =
            ntohs(((const struct sockaddr_in *) &addresses[count - 1].address)->sin_port);
    ev_break(outcome->loop, EVBREAK_ALL);
}

static void look_up(struct resolver *resolver, struct outcome *outcome, const char *host)
{
    *outcome = (struct outcome){.loop = ev_default_loop(0)};
    resolver_init(resolver, outcome->loop, on_done, outcome);
    assert_int_equal(resolver_start(resolver, host, "4001"), 0);
}

/* All children have exited, and none is left as a zombie. */
static void assert_no_child(struct ev_loop *loop)
{
    /* The loop reaps all children; without events to run, waitpid does the same. */
    ev_run(loop, EVRUN_NOWAIT);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    assert_int_equal(errno, ECHILD);
}

TEST(found)
{
    static const struct {
        const char *host;
        unsigned count;
    } rows[] = {{"one", 1}, {"many", RESOLVER_MAX}, {"unknown", 0}, {"crash", 0}};
    struct resolver resolver;
    struct outcome outcome;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        look_up(&resolver, &outcome, rows[i].host);
        ev_run(outcome.loop, 0);
        if (!outcome.done || outcome.count != rows[i].count ||
            (outcome.count && outcome.port != 4001))
            fail_msg("%s: %u addresses, port %u", rows[i].host, outcome.count, outcome.port);
    }
    assert_no_child(ev_default_loop(0));
}

/* A slow look-up does not keep the gateway's sockets and ports open: the child has only 0, 1, 2 and its pipe. */
TEST(holds_nothing_open)
{
    struct resolver resolver;
    struct outcome outcome;
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    look_up(&resolver, &outcome, "descriptors");
    ev_run(outcome.loop, 0);
    assert_true(outcome.done);
    assert_int_equal(outcome.port, 4);
    close(sockets[0]);
    close(sockets[1]);
}

TEST(stopped)
{
    struct resolver resolver;
    struct outcome outcome;
    unsigned descriptors = open_descriptors();
    for (int i = 0; i < 20; i++) {
        look_up(&resolver, &outcome, "forever");
        if (i % 2)
            ev_run(outcome.loop, EVRUN_NOWAIT);
        resolver_stop(&resolver);
        assert_int_equal(open_descriptors(), descriptors);
    }
    assert_no_child(outcome.loop);
    assert_false(outcome.done);
}

static void on_opened(void *data, int fd)
{
    struct outcome *outcome = data;
    outcome->done = true;
    ev_break(outcome->loop, EVBREAK_ALL);
}

static void on_failed(void *data, const char *why)
{
    struct outcome *outcome = data;
    ev_break(outcome->loop, EVBREAK_ALL);
}

/* A name that led to a connection is not looked up each time; after a failure it is. */
TEST(known_names)
{
    static const struct dial_events events = {.opened = on_opened, .failed = on_failed};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *) &address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *) &address, &size), 0);
    char text[32];
    snprintf(text, sizeof text, "one:%u", ntohs(address.sin_port));
    struct dial dial;
    struct outcome outcome = {.loop = ev_default_loop(0)};
    assert_true(dial_init(&dial, outcome.loop, text, &events, &outcome));
    for (int i = 0; i < 3; i++) {
        outcome.done = false;
        dial_start(&dial);
        assert_int_equal(dial.resolver.child.fd >= 0, i == 0);
        if (!outcome.done)
            ev_run(outcome.loop, 0);
        assert_true(outcome.done);
    }
    close(listener);
    outcome.done = false;
    dial_start(&dial);
    ev_run(outcome.loop, 0);
    assert_false(outcome.done);
    dial_start(&dial);
    assert_true(dial.resolver.child.fd >= 0);
    dial_stop(&dial);
    assert_no_child(outcome.loop);
}
