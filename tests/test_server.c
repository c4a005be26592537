// SPDX-License-Identifier: MIT
/* The server over real sockets: framing, good and bad clients, limits. */
#include "server_bench.h"

#include <malloc.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* accept4, recv and send are replaced in this program, to count the system calls of the server. */
static struct {
    unsigned accepts, receives, sends;
} calls;
static int accept_error, receive_error, send_error; /* what these answer with; 0: as usual */
static size_t send_at_most;                         /* 0: no limit */

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    calls.accepts++;
    if (accept_error) {
        errno = accept_error;
        return -1;
    }
    return (int) syscall(SYS_accept4, fd, address, size, flags);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    calls.receives++;
    if (receive_error) {
        errno = receive_error;
        return -1;
    }
    return syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    calls.sends++;
    if (send_error) {
        errno = send_error;
        return -1;
    }
    size = send_at_most && size > send_at_most ? send_at_most : size;
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

static struct bench bench;

static int set_up(void **state)
{
    bench_prepare(&bench);
    accept_error = receive_error = send_error = 0;
    send_at_most = 0;
    return 0;
}

static int start(void **state)
{
    set_up(state);
    bench_start(&bench);
    return 0;
}

static int tear_down(void **state)
{
    bench_close(&bench);
    return 0;
}

#define OWN_START(name) TEST_WITH(name, set_up, tear_down)

#define SERVER_TEST(name) TEST_WITH(name, start, tear_down)

/* Exists with the address sanitizer, which replaces the heap that mallinfo2 reports about. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap_in_use(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

/* From one request to many more than the buffer holds in one segment: all are answered in order. */
SERVER_TEST(merged)
{
    static uint8_t stream[400 * BENCH_REQUEST];
    const int fd = bench_connect(&bench);
    for (unsigned count = 1; count <= 400; count += count < 100 ? 1 : 37) {
        for (unsigned i = 0; i < count; i++)
            bench_put_request(stream + i * BENCH_REQUEST, (uint16_t) (count * 1000 + i), 1, 3,
                              (uint16_t) (290 + i % 58), 1);
        bench_send(&bench, fd, stream, count * BENCH_REQUEST);
        for (unsigned i = 0; i < count; i++)
            bench_expect_one(&bench, fd, (uint16_t) (count * 1000 + i), 1,
                             (uint16_t) (290 + i % 58));
    }
    close(fd);
}

/* Valid requests, invalid ones and frames of another protocol in one segment: each is handled in order. */
SERVER_TEST(mixture)
{
    uint8_t stream[6 * BENCH_REQUEST];
    const int fd = bench_connect(&bench);
    bench_put_request(stream, 1, 1, 3, 290, 1);
    bench_put_request(stream + BENCH_REQUEST, 2, 1, 3, 290, 0);
    bench_put_request(stream + 2 * BENCH_REQUEST, 3, 9, 3, 290, 1);
    bench_put_request(stream + 3 * BENCH_REQUEST, 4, 1, 3, 290, 1);
    stream[3 * BENCH_REQUEST + 3] = 1; /* protocol id */
    bench_put_request(stream + 4 * BENCH_REQUEST, 5, 1, 99, 290, 1);
    bench_put_request(stream + 5 * BENCH_REQUEST, 6, 1, 3, 291, 1);
    bench_send(&bench, fd, stream, sizeof stream);
    bench_expect_one(&bench, fd, 1, 1, 290);
    bench_expect_refusal(&bench, fd, 2, 1, 3, 3);
    bench_expect_refusal(&bench, fd, 3, 9, 3, 0x0A);
    bench_expect_refusal(&bench, fd, 5, 1, 99, 1);
    bench_expect_one(&bench, fd, 6, 1, 291);
    const struct server_counters counters = server_counters(bench.server);
    assert_int_equal(counters.requests, 5);
    assert_int_equal(counters.exceptions, 3);
    assert_int_equal(counters.discarded, 1);
    close(fd);
}

/* An impossible length ends the connection. Earlier requests are answered, other clients are not affected. */
SERVER_TEST(broken)
{
    static const uint16_t lengths[] = {0, 1, 255, 256, 0x0600, 0xFFFF};
    const int other = bench_connect(&bench);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const int fd = bench_connect(&bench);
        uint8_t stream[3 * BENCH_REQUEST];
        bench_put_request(stream, 1, 1, 3, 290, 1);
        bench_put_request(stream + BENCH_REQUEST, 2, 1, 3, 290, 1);
        stream[BENCH_REQUEST + 4] = (uint8_t) (lengths[i] >> 8);
        stream[BENCH_REQUEST + 5] = (uint8_t) lengths[i];
        bench_put_request(stream + 2 * BENCH_REQUEST, 3, 1, 3, 290, 1);
        bench_send(&bench, fd, stream, sizeof stream);
        bench_expect_one(&bench, fd, 1, 1, 290);
        uint8_t more;
        assert_int_equal(bench_receive(&bench, fd, &more, 1), 0);
        close(fd);
        bench_expect_served(&bench, other, (uint16_t) i);
    }
    assert_int_equal(server_counters(bench.server).dropped, COUNT(lengths));
    assert_int_equal(server_clients(bench.server), 1);
    close(other);
}

SERVER_TEST(half_close)
{
    const int fd = bench_connect(&bench);
    uint8_t stream[2 * BENCH_REQUEST], more;
    bench_put_request(stream, 1, 1, 3, 290, 1);
    bench_put_request(stream + BENCH_REQUEST, 2, 1, 3, 291, 1);
    bench_send(&bench, fd, stream, sizeof stream);
    shutdown(fd, SHUT_WR);
    bench_expect_one(&bench, fd, 1, 1, 290);
    bench_expect_one(&bench, fd, 2, 1, 291);
    assert_int_equal(bench_receive(&bench, fd, &more, 1), 0);
    assert_int_equal(server_clients(bench.server), 0);
    close(fd);
}

/* One request: one receive, one send. So it is for several in a segment. */
SERVER_TEST(system_calls)
{
    uint8_t stream[10 * BENCH_REQUEST], replies[10 * BENCH_ONE];
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    for (unsigned i = 0; i < 10; i++)
        bench_put_request(stream + i * BENCH_REQUEST, (uint16_t) i, 1, 3, 290, 1);

    bench_send(&bench, fd, stream, BENCH_REQUEST);
    memset(&calls, 0, sizeof calls);
    bench_await(&bench, fd);
    assert_int_equal(calls.receives, 1);
    assert_int_equal(calls.sends, 1);
    bench_expect_one(&bench, fd, 0, 1, 290);

    bench_send(&bench, fd, stream, sizeof stream);
    memset(&calls, 0, sizeof calls);
    bench_await(&bench, fd);
    assert_int_equal(calls.receives, 1);
    assert_int_equal(recv(fd, replies, sizeof replies, 0), sizeof replies);
    assert_int_equal(calls.sends, 1);
    close(fd);
}

/* A client whose socket takes only a part of an answer is disconnected, and so is one that is lost. */
SERVER_TEST(socket_full_or_gone)
{
    uint8_t request[BENCH_REQUEST], reply[64];
    bench_put_request(request, 1, 1, 3, 290, 1);
    for (int gone = 0; gone < 2; gone++) {
        const int fd = bench_connect(&bench);
        bench_expect_served(&bench, fd, 1);
        send_at_most = gone ? 0 : 5;
        send_error = gone ? EPIPE : 0;
        assert_int_equal(write(fd, request, sizeof request), sizeof request);
        while (server_clients(bench.server) > 0)
            bench_turn(&bench);
        assert_int_equal(recv(fd, reply, sizeof reply, MSG_WAITALL), gone ? 0 : 5);
        send_at_most = 0;
        send_error = 0;
        assert_int_equal(server_counters(bench.server).dropped, 1);
        close(fd);
    }
}

/* More answers than the server collects at a time: all of them come, in order. */
SERVER_TEST(many_long_answers)
{
    uint8_t stream[60 * BENCH_REQUEST], reply[9 + 2 * 125];
    const int fd = bench_connect(&bench);
    for (unsigned i = 0; i < 60; i++)
        bench_put_request(stream + i * BENCH_REQUEST, (uint16_t) i, 1, 3, 500, 125);
    bench_send(&bench, fd, stream, sizeof stream);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(bench_receive(&bench, fd, reply, sizeof reply), sizeof reply);
        assert_int_equal(reply[1], i);
        assert_int_equal(reply[8], 250);
    }
    close(fd);
}

/* The descriptor of the server's end of a connection. */
static int server_end(int client)
{
    struct sockaddr_in here, peer;
    socklen_t size = sizeof here;
    assert_int_equal(getsockname(client, (struct sockaddr *) &here, &size), 0);
    for (int fd = 0; fd < 4096; fd++) {
        size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *) &peer, &size) == 0 && peer.sin_family == AF_INET &&
            peer.sin_port == here.sin_port)
            return fd;
    }
    fail_msg("the server has not accepted the client");
    return -1;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

SERVER_TEST(socket_options)
{
    const int client = bench_connect(&bench);
    bench_expect_served(&bench, client, 1);
    const int fd = server_end(client);
    assert_int_not_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_in_range(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 1, 600);
    assert_in_range(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 1, 600000);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_SNDBUF), 2 * 128 * 1024); /* as Linux counts */
    assert_int_not_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(client);
}

/* Redirects standard error, where the log goes, into a file. */
static FILE *catch_log(int *saved)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    *saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    return file;
}

/* The number of log lines that contain a word. */
static unsigned release_log(FILE *file, int saved, const char *word)
{
    char line[512];
    unsigned count = 0;
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    while (fgets(line, sizeof line, file))
        count += strstr(line, word) != NULL;
    fclose(file);
    return count;
}

/* A client that sends requests and never reads is disconnected after a bounded amount, and does not affect the
 * other. */
SERVER_TEST(never_reads)
{
    const int deaf = bench_connect_with(&bench, 4096), other = bench_connect(&bench);
    uint8_t request[BENCH_REQUEST];
    unsigned asked = 0;
    int saved;
    bench_put_request(request, 1, 1, 3, 400, 125);
    bench_expect_served(&bench, other, 1);
    FILE *log = catch_log(&saved);
    while (server_clients(bench.server) == 2) {
        if (send(deaf, request, sizeof request, MSG_NOSIGNAL) == (ssize_t) sizeof request)
            asked++;
        bench_expect_served(&bench, other, (uint16_t) asked);
        assert_true(asked < 20000);
    }
    assert_int_equal(release_log(log, saved, "does not read its answers, disconnected"), 1);
    assert_int_equal(server_counters(bench.server).dropped, 1);
    bench_expect_served(&bench, other, 3);
    close(deaf);
    close(other);
}

/* A client that reads late gets all of its answers, unless there are too many. */
SERVER_TEST(reads_late)
{
    uint8_t requests[200 * BENCH_REQUEST], reply[9 + 250];
    const int fd = bench_connect(&bench);
    for (unsigned i = 0; i < 200; i++)
        bench_put_request(requests + i * BENCH_REQUEST, (uint16_t) i, 1, 3, 400, 125);
    bench_send(&bench, fd, requests, sizeof requests);
    const int other = bench_connect(&bench);
    bench_expect_served(&bench, other, 1);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(bench_receive(&bench, fd, reply, sizeof reply), sizeof reply);
        assert_int_equal(reply[1], i);
    }
    close(fd);
    close(other);
}

/* Connections reset after any number of bytes, also while answers are being sent. */
SERVER_TEST(resets)
{
    uint8_t stream[4 * BENCH_REQUEST];
    const int other = bench_connect(&bench);
    for (unsigned i = 0; i < 4; i++)
        bench_put_request(stream + i * BENCH_REQUEST, (uint16_t) i, 1, 3, 290, 1);
    bench_expect_served(&bench, other, 1);
    const unsigned before = bench_descriptors();
    for (size_t size = 0; size <= sizeof stream; size++) {
        const int fd = bench_connect(&bench);
        bench_send(&bench, fd, stream, size);
        if (size % 2)
            bench_expect_served(&bench, other, 2);
        bench_reset(fd);
        bench_expect_served(&bench, other, (uint16_t) size);
    }
    while (server_clients(bench.server) > 1)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(bench_descriptors(), before);
    close(other);
}

SERVER_TEST(many_connects)
{
    const int other = bench_connect(&bench);
    unsigned descriptors = 0;
    size_t heap = 0;
    for (unsigned i = 0; i < 2100; i++) {
        if (i == 100) {
            descriptors = bench_descriptors();
            heap = heap_in_use();
        }
        const int fd = bench_connect(&bench);
        if (i % 3 == 0)
            bench_expect_served(&bench, fd, (uint16_t) i);
        if (i % 5 == 0)
            bench_send(&bench, fd, "\0\1\0", 3);
        close(fd);
        bench_expect_served(&bench, other, (uint16_t) i);
        while (server_clients(bench.server) > 1 || server_counters(bench.server).accepted < i + 2)
            ev_run(bench.loop, EVRUN_ONCE);
    }
    assert_int_equal(bench_descriptors(), descriptors);
    assert_int_equal(heap_in_use(), heap);
    close(other);
}

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < count)
        fail_msg("this test needs %u open files, `ulimit -Hn` is %u", (unsigned) count,
                 (unsigned) limit.rlim_max);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Both ends are in this process, so the last descriptors are far above 1023, the limit of select(). */
OWN_START(thousand_idle)
{
    static int idle[1000];
    allow_descriptors(4096);
    bench.config.max_clients = 1001;
    bench_start(&bench);
    const int working = bench_connect(&bench);
    bench_expect_served(&bench, working, 1);
    for (unsigned i = 0; i < COUNT(idle); i++) {
        idle[i] = bench_connect(&bench);
        bench_turn(&bench);
    }
    while (server_clients(bench.server) < 1001)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_true(server_end(idle[999]) > 1023);
    for (unsigned i = 0; i < COUNT(idle); i++)
        bench_expect_served(&bench, working, (uint16_t) i);
    for (unsigned i = 0; i < COUNT(idle); i++)
        bench_expect_served(&bench, idle[i], (uint16_t) i);
    assert_int_equal(server_counters(bench.server).dropped, 0);
    for (unsigned i = 0; i < COUNT(idle); i++)
        close(idle[i]);
    close(working);
}

/* Few places: the longest idle client is displaced by the new one. */
OWN_START(limit)
{
    int fd[7], saved;
    bench.config.max_clients = 4;
    bench_start(&bench);
    for (unsigned i = 0; i < 4; i++) {
        fd[i] = bench_connect(&bench);
        bench_expect_served(&bench, fd[i], (uint16_t) i);
    }
    bench_expect_served(&bench, fd[0], 9); /* the longest idle ones are 1, 2, 3 now */
    FILE *log = catch_log(&saved);
    for (unsigned i = 4; i < 7; i++) {
        fd[i] = bench_connect(&bench);
        bench_expect_served(&bench, fd[i], (uint16_t) i);
        bench_await_close(&bench, fd[i - 3]);
        assert_int_equal(server_clients(bench.server), 4);
    }
    assert_int_equal(release_log(log, saved, "longest idle of max_clients"), 1);
    bench_expect_served(&bench, fd[0], 10);
    assert_int_equal(server_counters(bench.server).dropped, 3);
    for (unsigned i = 4; i < 7; i++)
        close(fd[i]);
    close(fd[0]);
}

/* While clients that never sent a request are few, they are treated like others: the longest idle one is
 * displaced. */
OWN_START(oldest_of_both)
{
    bench.config.max_clients = 4;
    bench_start(&bench);
    int fd[4];
    for (uint16_t silent = 0; silent < 2;
         silent++) { /* the first or the second of them is silent */
        for (uint16_t i = 0; i < 4; i++) {
            fd[i] = bench_connect(&bench);
            while (server_clients(bench.server) < i + 1u)
                ev_run(bench.loop, EVRUN_ONCE);
            if (i != silent)
                bench_expect_served(&bench, fd[i], i);
        }
        const int next = bench_connect(&bench);
        bench_await_close(&bench, fd[0]);
        for (uint16_t i = 1; i < 4; i++) {
            bench_expect_served(&bench, fd[i], i);
            close(fd[i]);
        }
        close(next);
        while (server_clients(bench.server) > 0)
            ev_run(bench.loop, EVRUN_ONCE);
    }
}

/* A place keeps nothing of its previous client. */
OWN_START(place_used_again)
{
    bench.config.max_clients = 4;
    bench_start(&bench);
    int fd[12];
    for (uint16_t i = 0; i < 4; i++) {
        fd[i] = bench_connect(&bench);
        bench_expect_served(&bench, fd[i], i);
    }
    for (unsigned i = 0; i < 4; i++)
        close(fd[i]);
    while (server_clients(bench.server) > 0)
        ev_run(bench.loop, EVRUN_ONCE);
    const int working = bench_connect(&bench);
    bench_expect_served(&bench, working, 1);
    for (unsigned i = 0; i < COUNT(fd); i++)
        fd[i] = bench_connect(&bench);
    while (server_counters(bench.server).accepted < 4 + 1 + COUNT(fd))
        ev_run(bench.loop, EVRUN_ONCE);
    bench_expect_served(&bench, working, 2);
    for (unsigned i = 0; i < COUNT(fd); i++)
        close(fd[i]);
    close(working);
}

/* With a single place each new client gets it. */
OWN_START(one_place)
{
    bench.config.max_clients = 1;
    bench_start(&bench);
    int before = bench_connect(&bench);
    bench_expect_served(&bench, before, 1);
    for (uint16_t i = 0; i < 10; i++) {
        const int next = bench_connect(&bench);
        if (i % 2)
            bench_expect_served(&bench, next, i);
        bench_await_close(&bench, before);
        before = next;
    }
    bench_expect_served(&bench, before, 2);
    assert_int_equal(server_clients(bench.server), 1);
    close(before);
}

/* Active clients whose connections were lost: half of all places and one more can reconnect at once, before any of
 * them has sent a request. */
OWN_START(come_back)
{
    int lost[8], again[5];
    bench.config.max_clients = COUNT(lost);
    bench_start(&bench);
    for (unsigned i = 0; i < COUNT(lost); i++) {
        lost[i] = bench_connect(&bench);
        bench_expect_served(&bench, lost[i], (uint16_t) i);
    }
    for (unsigned i = 0; i < COUNT(again); i++)
        again[i] = bench_connect(&bench);
    for (unsigned i = 0; i < COUNT(again); i++)
        bench_await_close(&bench, lost[i]);
    for (unsigned i = 0; i < COUNT(again); i++) {
        bench_expect_served(&bench, again[i], (uint16_t) i);
        close(again[i]);
    }
    for (unsigned i = COUNT(again); i < COUNT(lost); i++)
        close(lost[i]);
}

/* Far more clients that only connect than there are places: the active client stays, even if it sends no request
 * meanwhile. */
OWN_START(crowd)
{
    static int silent[300];
    allow_descriptors(4096);
    bench_start(&bench);
    const int working = bench_connect(&bench);
    bench_expect_served(&bench, working, 1);
    for (unsigned i = 0; i < COUNT(silent); i++) {
        silent[i] = bench_connect(&bench);
        bench_turn(&bench);
    }
    while (server_counters(bench.server).accepted < 1 + COUNT(silent))
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(server_clients(bench.server), 16);
    bench_expect_served(&bench, working, 2);
    bench_expect_served(&bench, silent[299], 3);
    for (unsigned i = 0; i < COUNT(silent); i++)
        close(silent[i]);
    close(working);
}

OWN_START(idle)
{
    bench.config.idle_timeout_s = 0.02;
    bench_start(&bench);
    const int silent = bench_connect(&bench), half = bench_connect(&bench),
              foreign = bench_connect(&bench);
    bench_send(&bench, half, "\0\1\0\0\0", 5);
    bench_send(&bench, foreign, "\0\1\0\7\0\2\1\3", 8);
    bench_await_close(&bench, silent);
    bench_await_close(&bench, half);
    bench_await_close(&bench, foreign);
    assert_int_equal(server_counters(bench.server).dropped, 3);
    assert_int_equal(server_clients(bench.server), 0);
}

/* Sending frames of other protocols does not count as a request: such a client is idle. */
OWN_START(idle_talker)
{
    static const uint8_t foreign[] = {0, 1, 0, 7, 0, 2, 1, 3};
    bench.config.idle_timeout_s = 0.02;
    bench_start(&bench);
    const int talker = bench_connect(&bench);
    while (server_clients(bench.server) == 0)
        ev_run(bench.loop, EVRUN_ONCE);
    while (server_clients(bench.server) == 1) {
        if (send(talker, foreign, sizeof foreign, MSG_NOSIGNAL) < 0)
            break;
        bench_turn(&bench);
    }
    bench_await_close(&bench, talker);
    assert_true(server_counters(bench.server).discarded > 0);
    assert_int_equal(server_counters(bench.server).dropped, 1);
}

/* The same misbehaviour is not logged again within a minute. */
SERVER_TEST(logged_once)
{
    int saved;
    FILE *log = catch_log(&saved);
    for (unsigned i = 0; i < 5; i++) {
        const int fd = bench_connect(&bench);
        bench_send(&bench, fd, "\0\1\0\0\0\0", 6);
        bench_await_close(&bench, fd);
    }
    assert_int_equal(release_log(log, saved, "not Modbus TCP"), 1);
    assert_int_equal(server_counters(bench.server).dropped, 5);
}

OWN_START(refused)
{
    int saved;
    bench.config.allow = (struct allow_list){.count = 0};
    assert_true(allow_add(&bench.config.allow, "10.0.0.0/8"));
    bench_start(&bench);
    const unsigned before = bench_descriptors();
    FILE *log = catch_log(&saved);
    for (unsigned i = 0; i < 5; i++) {
        const int fd = bench_connect(&bench);
        uint8_t byte;
        const bool answered = bench_receive(&bench, fd, &byte, 1) > 0;
        close(fd);
        assert_false(answered);
    }
    assert_int_equal(release_log(log, saved, "127.0.0.1 refused"), 1);
    assert_int_equal(server_counters(bench.server).refused, 5);
    assert_int_equal(server_counters(bench.server).accepted, 0);
    assert_int_equal(bench_descriptors(), before);
}

/* Without free descriptors the server neither spins nor gives up: waiting clients are accepted as soon as one is
 * free. */
SERVER_TEST(no_descriptors)
{
    struct rlimit usual, none;
    int saved;
    const int first = bench_connect(&bench), second = bench_connect(&bench);
    uint8_t request[BENCH_REQUEST];
    bench_put_request(request, 1, 1, 3, 290, 1);
    bench_send(&bench, second, request, sizeof request);
    FILE *log = catch_log(&saved);
    getrlimit(RLIMIT_NOFILE, &usual);
    none = usual;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    memset(&calls, 0, sizeof calls);
    for (unsigned i = 0; i < 1000; i++)
        bench_turn(&bench);
    setrlimit(RLIMIT_NOFILE, &usual);
    assert_in_range(calls.accepts, 1, 100);
    assert_int_equal(server_clients(bench.server), 0);
    bench_expect_one(&bench, second, 1, 1, 290);
    bench_expect_served(&bench, first, 2);
    assert_int_equal(release_log(log, saved, "clients cannot be accepted"), 1);
    close(first);
    close(second);
}

/* A client that leaves frees a descriptor, and the next one is accepted at once rather than at the end of the
 * pause. */
SERVER_TEST(descriptor_comes_free)
{
    const int first = bench_connect(&bench);
    bench_expect_served(&bench, first, 1);
    const int second = bench_connect(&bench);
    accept_error = EMFILE;
    bench_turn(&bench);
    accept_error = 0;
    memset(&calls, 0, sizeof calls);
    bench_turn(&bench);
    assert_int_equal(calls.accepts, 0);
    close(first);
    for (unsigned i = 0; i < 5; i++)
        bench_turn(&bench);
    assert_int_not_equal(calls.accepts, 0);
    bench_expect_served(&bench, second, 2);
    close(second);
}

/* However often it fails, it is logged once, and once when it is over. */
SERVER_TEST(want_is_logged_once)
{
    int fd[5], saved;
    for (uint16_t i = 0; i < COUNT(fd); i++) {
        fd[i] = bench_connect(&bench);
        bench_expect_served(&bench, fd[i], i);
    }
    FILE *log = catch_log(&saved);
    const int waiting = bench_connect(&bench);
    accept_error = EMFILE;
    memset(&calls, 0, sizeof calls);
    for (unsigned i = 1; i < COUNT(fd); i++) {
        close(fd[i]); /* each time it is tried at once */
        while (server_clients(bench.server) > COUNT(fd) - i)
            ev_run(bench.loop, EVRUN_ONCE);
    }
    bench_turn(&bench);
    assert_in_range(calls.accepts, 2, 2 * COUNT(fd));
    accept_error = 0;
    close(fd[0]);
    bench_expect_served(&bench, waiting, 1);
    assert_int_equal(release_log(log, saved, "accepted"), 2);
    close(waiting);
}

/* An interrupted receive does not affect the client; any other error does. */
SERVER_TEST(receive_errors)
{
    static const struct {
        int error;
        bool stays;
    } rows[] = {{EINTR, true}, {EAGAIN, true}, {ECONNRESET, false}, {ETIMEDOUT, false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t request[BENCH_REQUEST];
        const int fd = bench_connect(&bench);
        bench_expect_served(&bench, fd, 1);
        bench_put_request(request, 2, 1, 3, 290, 1);
        bench_send(&bench, fd, request, sizeof request);
        receive_error = rows[i].error;
        bench_turn(&bench);
        receive_error = 0;
        assert_int_equal(server_clients(bench.server), rows[i].stays);
        if (rows[i].stays)
            bench_expect_one(&bench, fd, 2, 1, 290);
        close(fd);
        while (server_clients(bench.server) > 0)
            ev_run(bench.loop, EVRUN_ONCE);
    }
    assert_int_equal(server_counters(bench.server).dropped, 0);
}

/* A connection that is gone before it is accepted does not delay the next one. */
SERVER_TEST(accept_errors)
{
    static const int passing[] = {ECONNABORTED, EPROTO, EINTR, ENETDOWN, EHOSTUNREACH, EPERM};
    for (size_t i = 0; i < COUNT(passing); i++) {
        const int fd = bench_connect(&bench);
        accept_error = passing[i];
        memset(&calls, 0, sizeof calls);
        bench_turn(&bench);
        assert_in_range(calls.accepts, 1, 100);
        accept_error = 0;
        memset(&calls, 0, sizeof calls);
        bench_turn(&bench);
        assert_int_not_equal(calls.accepts, 0);
        bench_expect_served(&bench, fd, 1);
        close(fd);
    }
}

/* Whatever bytes arrive, the server continues, and the other client is not affected. */
SERVER_TEST(random_bytes)
{
    const int other = bench_connect(&bench);
    uint32_t seed = 20240229;
    for (unsigned round = 0; round < 300; round++) {
        uint8_t bytes[1500];
        const int fd = bench_connect(&bench);
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (uint8_t) (seed >> 24);
        }
        /* Every other one has valid headers, so that the bytes after them are parsed. */
        for (size_t at = 0; round % 2 && at + 260 < sizeof bytes; at += 6u + bytes[at + 5]) {
            memset(bytes + at + 2, 0, 3);
            bytes[at + 5] = (uint8_t) (2 + bytes[at + 5] % 30);
            bytes[at + 6] = 1;
            bytes[at + 7] %= 24;
        }
        const ssize_t n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        assert_true(n > 0);
        bench_expect_served(&bench, other, (uint16_t) round);
        close(fd);
    }
    for (unsigned i = 0; i < map_size(&bench.config.map); i++)
        assert_int_equal(bench.unit[0].registers[i], bench_register(i));
    close(other);
}

/* Clients do not notice when other units are served. */
SERVER_TEST(other_units)
{
    uint8_t request[BENCH_REQUEST];
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    bench.unit[0].id = 77;
    bench.units = (struct units){{0}};
    assert_true(units_add(&bench.units, &bench.unit[0]));
    bench_put_request(request, 2, 77, 3, 290, 1);
    bench_send(&bench, fd, request, sizeof request);
    bench_expect_one(&bench, fd, 2, 77, 290);
    bench_put_request(request, 3, 1, 3, 290, 1);
    bench_send(&bench, fd, request, sizeof request);
    bench_expect_refusal(&bench, fd, 3, 1, 3, 0x0A);
    close(fd);
}

/* Another configuration: clients that are no longer allowed are disconnected, the others are not affected. Rejecting
 * the same address is logged again. */
SERVER_TEST(other_policy)
{
    int saved;
    struct gateway_config config = bench.config;
    const int asking = bench_connect(&bench), silent = bench_connect(&bench);
    bench_expect_served(&bench, asking, 1);
    bench_send(&bench, silent, "\0\1\0", 3);
    bench_turn(&bench);
    server_set_policy(bench.server, &config);
    bench_expect_served(&bench, asking, 2);
    assert_int_equal(server_clients(bench.server), 2);

    config.allow = (struct allow_list){.count = 0};
    assert_true(allow_add(&config.allow, "10.0.0.0/8"));
    for (unsigned round = 0; round < 2; round++) {
        FILE *log = catch_log(&saved);
        server_set_policy(bench.server, &config);
        const int refused = bench_connect(&bench);
        bench_await_close(&bench, refused);
        assert_int_equal(release_log(log, saved, "127.0.0.1 refused"), 1);
        assert_int_equal(server_clients(bench.server), 0);
    }
    assert_int_equal(server_counters(bench.server).dropped, 2);
    bench_await_close(&bench, asking);
    bench_await_close(&bench, silent);

    server_set_policy(bench.server, &bench.config);
    const int again = bench_connect(&bench);
    bench_expect_served(&bench, again, 3);
    close(again);
}

/* A new idle time-out applies from a client's next request on. */
SERVER_TEST(other_idle_timeout)
{
    struct gateway_config config = bench.config;
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    config.idle_timeout_s = 0.02;
    server_set_policy(bench.server, &config);
    bench_expect_served(&bench, fd, 2);
    bench_await_close(&bench, fd);
    assert_int_equal(server_clients(bench.server), 0);
}

/* A child process has copies of all descriptors for a while. A client that is disconnected meanwhile still
 * notices. */
SERVER_TEST(copies_in_child)
{
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    const uint8_t broken[] = {0, 1, 0, 0, 0, 0};
    bench_send(&bench, fd, broken, sizeof broken);
    uint8_t byte;
    const size_t n = bench_receive(&bench, fd, &byte, 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(n, 0);
    close(fd);
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);
    const bool has = fd >= 0 && bind(fd, (const struct sockaddr *) &address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static int connect_ipv6(unsigned port)
{
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                         .sin6_port = htons((uint16_t) port)};
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Several addresses, and the same port for IPv6 and IPv4. On a host without IPv6 that is an error at the start, and
 * no socket stays open. */
OWN_START(several_addresses)
{
    const unsigned before = bench_descriptors();
    bench.config.listen.count = 2;
    strcpy(bench.config.listen.at[1], "127.0.0.1:0");
    bench_start(&bench);
    assert_int_not_equal(server_port(bench.server, 0), server_port(bench.server, 1));
    assert_int_equal(server_port(bench.server, 2), 0);
    const unsigned port = server_port(bench.server, 0);
    server_free(bench.server);
    snprintf(bench.config.listen.at[0], sizeof bench.config.listen.at[0], "0.0.0.0:%u", port);
    snprintf(bench.config.listen.at[1], sizeof bench.config.listen.at[1], "[::]:%u", port);
    bench.server = server_new(bench.loop, &bench.config, &bench.units);
    if (!has_ipv6()) {
        assert_null(bench.server);
        assert_int_equal(bench_descriptors(), before);
        return;
    }
    assert_non_null(bench.server);
    assert_int_equal(server_port(bench.server, 0), server_port(bench.server, 1));
    const int four = bench_connect(&bench), six = connect_ipv6(server_port(bench.server, 1));
    bench_expect_served(&bench, four, 1);
    bench_expect_served(&bench, six, 2);
    close(four);
    close(six);
}

/* A network of one address family allows no client of the other. */
OWN_START(refused_family)
{
    static const struct {
        const char *network;
        bool four;
    } rows[] = {{"127.0.0.0/8", true}, {"::1", false}, {"0.0.0.0/0", true}, {"::/0", false}};
    if (!has_ipv6())
        return; /* then there are no such clients; test_several_addresses has shown that */
    for (size_t i = 0; i < COUNT(rows); i++) {
        bench.config.allow = (struct allow_list){.count = 0};
        assert_true(allow_add(&bench.config.allow, rows[i].network));
        bench.config.listen.count = 2;
        strcpy(bench.config.listen.at[1], "[::1]:0");
        bench_start(&bench);
        const int four = bench_connect(&bench), six = connect_ipv6(server_port(bench.server, 1));
        bench_expect_served(&bench, rows[i].four ? four : six, 1);
        bench_await_close(&bench, rows[i].four ? six : four);
        assert_int_equal(server_counters(bench.server).accepted, 1);
        assert_int_equal(server_counters(bench.server).refused, 1);
        close(rows[i].four ? four : six);
        server_free(bench.server);
        bench.server = NULL;
    }
}

/* The port of connections that were just closed can be reused: a restart does not take a minute. */
OWN_START(restart)
{
    bench_start(&bench);
    const int fd = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    snprintf(bench.config.listen.at[0], sizeof bench.config.listen.at[0], "127.0.0.1:%u",
             server_port(bench.server, 0));
    server_free(bench.server);
    close(fd);
    bench.server = server_new(bench.loop, &bench.config, &bench.units);
    assert_non_null(bench.server);
    const int again = bench_connect(&bench);
    bench_expect_served(&bench, again, 2);
    close(again);
}

static const char *const bad_addresses[] = {
    "",      "127.0.0.1", "127.0.0.1:",  "127.0.0.1:65536", "localhost:0",
    "::1:0", "[::1]",     "127.0.0.1:x", "192.0.2.1:0"};

OWN_START(cannot_listen)
{
    int saved;
    bench_start(&bench);
    const unsigned before = bench_descriptors();
    struct gateway_config config = bench.config;
    config.listen.count = 2;
    snprintf(config.listen.at[1], sizeof config.listen.at[1], "127.0.0.1:%u",
             server_port(bench.server, 0));
    assert_null(server_new(bench.loop, &config, &bench.units));
    for (size_t i = 0; i < COUNT(bad_addresses); i++) {
        snprintf(config.listen.at[1], sizeof config.listen.at[1], "%s", bad_addresses[i]);
        FILE *log = catch_log(&saved);
        struct server *server = server_new(bench.loop, &config, &bench.units);
        const unsigned logged = release_log(log, saved, "listen");
        assert_null(server);
        assert_int_equal(logged, 1);
    }
    assert_int_equal(bench_descriptors(), before);
}

/* The server can be freed while clients are in the middle of a request. */
OWN_START(end)
{
    const unsigned before = bench_descriptors();
    bench_start(&bench);
    const int fd = bench_connect(&bench), half = bench_connect(&bench);
    bench_expect_served(&bench, fd, 1);
    bench_send(&bench, half, "\0\1\0", 3);
    bench_turn(&bench);
    server_free(bench.server);
    bench.server = NULL;
    uint8_t byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    close(half);
    assert_int_equal(bench_descriptors(), before);
}

BEFORE_ALL
{
    signal(SIGPIPE, SIG_DFL);
    alarm(120); /* a hang is a failure, not a wait for ever */
}
