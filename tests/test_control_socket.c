// SPDX-License-Identifier: MIT
/*
 * The control socket with all kinds of clients in one loop: responses are complete and in order,
 * and no client can block it.
 */
#include "control/socket.h"

#include "base/child.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define PATIENCE_S 60
#define BIG (2 * 1024 * 1024)

struct bench {
    struct ev_loop *loop;
    struct control_socket *socket;
    char folder[40], path[60];
    unsigned asked, left;
    struct control_client *waiting, *watching;
};

/* The test itself answers "wait"; "big" gets BIG bytes, "watch" starts listening, everything else is echoed. */
static void on_asked(void *data, struct control_client *client, char *line, size_t size)
{
    struct bench *bench = data;
    assert_int_equal(strlen(line), size);
    bench->asked++;
    if (strcmp(line, "wait") == 0) {
        bench->waiting = client;
    } else if (strcmp(line, "watch") == 0) {
        assert_true(control_watch(client));
        bench->watching = client;
    } else if (strcmp(line, "big") == 0) {
        char *text = malloc(BIG + 1);
        memset(text, 'x', BIG);
        text[BIG] = '\0';
        control_answer(client, text);
    } else {
        control_answer(client, strdup(line));
    }
}

static void on_left(void *data, struct control_client *client)
{
    struct bench *bench = data;
    bench->left++;
    if (bench->watching == client)
        bench->watching = NULL;
}

static const struct control_events events = {.asked = on_asked, .left = on_left};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bench->loop = ev_loop_new(0);
    strcpy(bench->folder, "/tmp/packgate-test-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    snprintf(bench->path, sizeof bench->path, "%s/control", bench->folder);
    bench->socket = control_socket_new(bench->loop, &events, bench);
    assert_non_null(bench->socket);
    assert_true(control_socket_open(bench->socket, bench->path, true));
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    control_socket_free(bench->socket);
    ev_loop_destroy(bench->loop);
    unlink(bench->path);
    assert_int_equal(rmdir(bench->folder), 0);
    free(bench);
    return 0;
}

#define CONTROL_SOCKET_TEST(name) TEST_WITH(name, set_up, tear_down)

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

static void turn(struct bench *bench)
{
    ev_run(bench->loop, EVRUN_NOWAIT);
    usleep(200);
}

/* Reads until the socket is closed, or `size` bytes have arrived. */
static size_t hear(struct bench *bench, int fd, char *out, size_t size)
{
    size_t heard = 0;
    const double until = clock_now() + PATIENCE_S;
    while (heard < size) {
        assert_true(clock_now() < until);
        ssize_t n = recv(fd, out + heard, size - heard, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            break;
        if (n > 0)
            heard += (size_t) n;
        else
            turn(bench);
    }
    return heard;
}

static void expect(struct bench *bench, int fd, const char *text)
{
    char heard[5000] = "";
    size_t size = hear(bench, fd, heard, strlen(text));
    assert_int_equal(size, strlen(text));
    assert_string_equal(heard, text);
}

static void expect_end(struct bench *bench, int fd)
{
    char byte;
    assert_int_equal(hear(bench, fd, &byte, 1), 0);
    close(fd);
}

/* Requests as a whole, in pieces, several at once, and with other line ends. */
CONTROL_SOCKET_TEST(lines)
{
    struct bench *bench = *state;
    int fd = connect_to(bench->path);
    say(fd, "one\n");
    expect(bench, fd, "one\n");
    say(fd, "two\r\nthree\nfo");
    expect(bench, fd, "two\nthree\n");
    for (int i = 0; i < 20; i++)
        turn(bench);
    say(fd, "ur\n\n");
    expect(bench, fd, "four\n\n");
    say(fd, "last\nand half");
    shutdown(fd, SHUT_WR);
    expect(bench, fd, "last\n");
    expect_end(bench, fd);
    assert_int_equal(bench->asked, 6);
    assert_int_equal(bench->left, 1);
}

CONTROL_SOCKET_TEST(too_long)
{
    struct bench *bench = *state;
    int fd = connect_to(bench->path), other = connect_to(bench->path);
    char text[CONTROL_REQUEST_MAX + 1];
    memset(text, 'x', sizeof text);
    text[CONTROL_REQUEST_MAX - 1] = '\n';
    text[CONTROL_REQUEST_MAX] = '\0';
    say(fd, text); /* the longest that fits */
    expect(bench, fd, text);
    text[CONTROL_REQUEST_MAX - 1] = 'x';
    say(fd, text);
    char heard[200] = "";
    hear(bench, fd, heard, sizeof heard - 1);
    assert_non_null(strstr(heard, "4096 bytes"));
    close(fd);
    say(other, "here\n");
    expect(bench, other, "here\n");
    close(other);
}

/* Further requests wait meanwhile; a client that leaves is noticed at the latest when it is answered. */
CONTROL_SOCKET_TEST(answer_later)
{
    struct bench *bench = *state;
    int fd = connect_to(bench->path);
    say(fd, "wait\nnext\n");
    while (!bench->waiting)
        turn(bench);
    for (int i = 0; i < 20; i++)
        turn(bench);
    assert_int_equal(bench->asked, 1);
    control_answer(bench->waiting, strdup("now"));
    expect(bench, fd, "now\nnext\n");
    bench->waiting = NULL;
    say(fd, "wait\n");
    while (!bench->waiting)
        turn(bench);
    close(fd);
    control_answer(bench->waiting, strdup("nobody hears"));
    while (bench->left == 0)
        turn(bench);
    assert_int_equal(control_clients(bench->socket), 0);
}

/* A client that does not read its answers gets no more of them; the others do. */
CONTROL_SOCKET_TEST(unread)
{
    struct bench *bench = *state;
    int deaf = connect_to(bench->path), fd = connect_to(bench->path);
    say(deaf, "big\nbig\nbig\n");
    say(fd, "here\n");
    expect(bench, fd, "here\n");
    for (int i = 0; i < 50; i++)
        turn(bench);
    assert_int_equal(bench->asked, 2);
    char *heard = malloc(BIG + 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hear(bench, deaf, heard, BIG + 1), BIG + 1);
    free(heard);
    close(deaf);
    close(fd);
}

/* One client too many replaces the longest idle one; if all have requests in progress, it gets an error. */
CONTROL_SOCKET_TEST(crowd)
{
    struct bench *bench = *state;
    int fds[CONTROL_CLIENTS];
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        fds[i] = connect_to(bench->path);
        say(fds[i], "here\n");
        expect(bench, fds[i], "here\n");
    }
    assert_int_equal(control_clients(bench->socket), CONTROL_CLIENTS);
    int fd = connect_to(bench->path);
    say(fd, "one more\n");
    expect(bench, fd, "one more\n");
    char told[200] = "";
    hear(bench, fds[0], told, sizeof told - 1);
    assert_non_null(strstr(told, "idle for the longest time"));
    close(fds[0]);
    fds[0] = fd;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        bench->waiting = NULL;
        say(fds[i], "wait\n");
        while (!bench->waiting)
            turn(bench);
    }
    fd = connect_to(bench->path);
    char heard[200] = "";
    hear(bench, fd, heard, sizeof heard - 1);
    assert_non_null(strstr(heard, "too many"));
    close(fd);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        close(fds[i]);
}

/* A listening client gets lines until its buffer is full. */
CONTROL_SOCKET_TEST(watch)
{
    struct bench *bench = *state;
    int fd = connect_to(bench->path);
    say(fd, "watch\n");
    while (!bench->watching)
        turn(bench);
    assert_true(control_tell(bench->watching, "one"));
    assert_true(control_tell(bench->watching, "two"));
    expect(bench, fd, "one\ntwo\n");
    char text[1000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    unsigned told = 0;
    while (control_tell(bench->watching, text)) {
        turn(bench);
        assert_true(++told < 10000);
    }
    assert_true(told > 50);
    control_close(bench->watching);
    assert_int_equal(control_clients(bench->socket), 0);
    close(fd);
    fd = connect_to(bench->path);
    say(fd, "watch\n");
    bench->watching = NULL;
    while (!bench->watching)
        turn(bench);
    close(fd);
    while (bench->left == 0)
        turn(bench);
    assert_null(bench->watching);
}

CONTROL_SOCKET_TEST(peer)
{
    struct bench *bench = *state;
    int fd = connect_to(bench->path);
    say(fd, "wait\n");
    while (!bench->waiting)
        turn(bench);
    const struct control_peer *peer = control_peer(bench->waiting);
    assert_int_equal(peer->pid, getpid());
    assert_int_equal(peer->uid, geteuid());
    assert_true(peer->may_read);
    assert_true(peer->may_act);
    close(fd);
}

/* Sends a request as a process that the gateway has started. */
static void wait_as_child(const struct bench *bench)
{
    int fd = connect_to(bench->path);
    if (send(fd, "wait\n", 5, MSG_NOSIGNAL) != 5)
        _exit(1);
    for (;;)
        pause();
}

/* A process that this one has started may read, even after its parent has ended, but not act. */
CONTROL_SOCKET_TEST(own_children)
{
    struct bench *bench = *state;
    for (int orphan = 0; orphan <= 1; orphan++) {
        bench->waiting = NULL;
        pid_t pid = fork();
        if (pid == 0 && orphan && fork() > 0)
            _exit(0);
        if (pid == 0)
            wait_as_child(bench);
        if (orphan)
            assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (!bench->waiting)
            turn(bench);
        const struct control_peer *peer = control_peer(bench->waiting);
        assert_true((peer->pid == pid) == !orphan);
        assert_true(peer->may_read);
        assert_false(peer->may_act);
        pid = peer->pid;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        /* A client that has left needs no answer. */
        assert_true(child_is_ours(pid));
    }
    assert_false(child_is_ours(getpid()));
    assert_false(child_is_ours(getppid()));
    assert_false(child_is_ours(1));
}

/* Replaces the socket of a dead gateway, but neither that of a running one nor any other file. */
CONTROL_SOCKET_TEST(file)
{
    struct bench *bench = *state;
    struct stat found;
    assert_int_equal(stat(bench->path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0660);
    struct control_socket *second = control_socket_new(bench->loop, &events, bench);
    assert_non_null(second);
    assert_false(control_socket_open(second, bench->path, true));
    int fd = connect_to(bench->path);
    say(fd, "still here\n");
    expect(bench, fd, "still here\n");
    close(fd);

    /* The path changes: the file of the first socket is removed, its clients would stay. */
    assert_true(control_socket_open(bench->socket, "", true));
    assert_int_equal(stat(bench->path, &found), -1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", bench->path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    close(fd); /* left behind */
    assert_true(control_socket_open(second, bench->path, true));
    fd = connect_to(bench->path);
    say(fd, "second\n");
    expect(bench, fd, "second\n");
    close(fd);

    /* The file now belongs to another gateway: it is not removed. */
    assert_int_equal(unlink(bench->path), 0);
    assert_true(control_socket_open(bench->socket, bench->path, true));
    control_socket_free(second);
    assert_int_equal(stat(bench->path, &found), 0);

    char other[80];
    snprintf(other, sizeof other, "%s/file", bench->folder);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    assert_false(control_socket_open(bench->socket, other, true));
    assert_int_equal(stat(other, &found), 0);
    assert_true(S_ISREG(found.st_mode));
    unlink(other);
}
