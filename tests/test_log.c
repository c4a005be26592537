// SPDX-License-Identifier: MIT
/*
 * The log: levels, one line per message whatever the text contains, the journal's priorities,
 * frames; and a daemon whose messages are not read.
 */
#include "base/log.h"

#include "bms/count.h"
#include "bms/driver.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "unit.h"

#define OUTPUT_SIZE 32768

/* Runs `work` in a process whose standard error is a pipe, and collects its output. `journal`: as started by systemd,
 * or with the name of another stream. */
enum journal { NO_JOURNAL, THIS_STREAM, OTHER_STREAM };

static void set_journal(enum journal journal)
{
    struct stat pipe_end;
    char name[80];
    unsetenv("JOURNAL_STREAM");
    if (journal == NO_JOURNAL || fstat(STDERR_FILENO, &pipe_end) < 0)
        return;
    snprintf(name, sizeof name, "%llu:%llu", (unsigned long long) pipe_end.st_dev,
             (unsigned long long) pipe_end.st_ino + (journal == OTHER_STREAM));
    setenv("JOURNAL_STREAM", name, 1);
}

static void say(void (*work)(void), enum journal journal, char output[OUTPUT_SIZE])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        set_journal(journal);
        work();
        _exit(0);
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t got;
    while ((got = read(ends[0], output + size, OUTPUT_SIZE - 1 - size)) > 0)
        size += (size_t) got;
    output[size] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void say_all(void)
{
    log_error("e %d", 1);
    log_warn("w %s", "2");
    log_info("i");
    log_debug("d");
}

static void say_errors(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    say_all();
}

static void say_debug(void)
{
    log_set_level(LOG_LEVEL_DEBUG);
    say_all();
}

static void say_with_time(void)
{
    log_with_time();
    log_warn("w");
}

static void say_dirty(void)
{
    log_info("a\nb\r\x1B[31m\tc\x7F %s", "25 °C");
}

static void say_frames(void)
{
    static const uint8_t bytes[BMS_FRAME_MAX] = {0xA5, 0x01};
    log_frame("dropped", bytes, 2);
    log_set_level(LOG_LEVEL_DEBUG);
    log_frame("shed >", bytes, 3);
    log_frame("shed <", bytes, 0);
}

TEST(time)
{
    char output[OUTPUT_SIZE];
    int year, month, day, hour, minute, second, end = 0;
    say(say_with_time, NO_JOURNAL, output);
    sscanf(output, "%4d-%2d-%2d %2d:%2d:%2d warning: w\n%n", &year, &month, &day, &hour, &minute,
           &second, &end);
    if (end == 0 || output[end])
        fail_msg("got %s", output);
    assert_true(year >= 2024 && month >= 1 && month <= 12 && hour <= 23 && second <= 60);
    say(say_with_time, THIS_STREAM, output);
    assert_string_equal(output, "<4>w\n");
    say(say_with_time, OTHER_STREAM, output);
    assert_non_null(strstr(output, " warning: w\n"));
}

TEST(output)
{
    static const struct {
        const char *name;
        void (*work)(void);
        enum journal journal;
        const char *expected;
    } cases[] = {
        {"info by default", say_all, NO_JOURNAL, "error: e 1\nwarning: w 2\ni\n"},
        {"errors only", say_errors, NO_JOURNAL, "error: e 1\n"},
        {"debug", say_debug, NO_JOURNAL, "error: e 1\nwarning: w 2\ni\ndebug: d\n"},
        {"journal", say_debug, THIS_STREAM, "<3>e 1\n<4>w 2\n<6>i\n<7>d\n"},
        {"redirected away from the journal", say_all, OTHER_STREAM,
         "error: e 1\nwarning: w 2\ni\n"},
        {"control characters", say_dirty, NO_JOURNAL, "a?b??[31m?c? 25 °C\n"},
        {"frames", say_frames, NO_JOURNAL, "debug: shed > A5 01 00\ndebug: shed <\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char output[OUTPUT_SIZE];
        say(cases[i].work, cases[i].journal, output);
        if (strcmp(output, cases[i].expected) != 0)
            fail_msg("%s: expected\n%sgot\n%s", cases[i].name, cases[i].expected, output);
    }
}

static void say_long(void)
{
    static char text[5000];
    static uint8_t bytes[BMS_FRAME_MAX + 1];
    memset(text, 'x', sizeof text - 1);
    log_info("%s", text);
    log_set_level(LOG_LEVEL_DEBUG);
    log_frame("f", bytes, BMS_FRAME_MAX);
    log_frame("f", bytes, BMS_FRAME_MAX + 1);
}

/* Long messages end with dots; the longest frame is logged as a whole; a longer one is marked as cut. */
TEST(long)
{
    char output[OUTPUT_SIZE], *line = output;
    say(say_long, NO_JOURNAL, output);
    char *end = strchr(line, '\n');
    assert_non_null(end);
    assert_int_equal(end - line, 1023);
    assert_memory_equal(end - 4, "x...", 4);
    line = end + 1;
    end = strchr(line, '\n');
    assert_non_null(end);
    assert_int_equal(end - line, strlen("debug: f") + 3 * BMS_FRAME_MAX);
    line = end + 1;
    end = strchr(line, '\n');
    assert_non_null(end);
    assert_string_equal(end - strlen(" 00 ... (4353 bytes)"), " 00 ... (4353 bytes)\n");
}

TEST(keeps_errno)
{
    errno = EXDEV;
    log_debug("not written");
    assert_int_equal(errno, EXDEV);
    assert_true(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
}

#define MANY 20000 /* messages; more bytes than any of these outputs can hold */

/* The ends of something that can be standard error: bytes written to [1] can be read from [0]. */
typedef void open_ends(int ends[2]);

static void open_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void open_socket(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static void open_terminal(int ends[2])
{
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(ends[1] >= 0);
    struct termios settings;
    assert_int_equal(tcgetattr(ends[1], &settings), 0);
    cfmakeraw(&settings);
    assert_int_equal(tcsetattr(ends[1], TCSANOW, &settings), 0);
}

/* An output of another user, which cannot be opened a second time. */
static void become_somebody_else(void)
{
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        _exit(3);
}

/* Writes many messages, reports that at `told`, and continues on request; the loop reports the number of lost
 * messages. */
static void say_many(int standard_error, int told, bool as_another)
{
    alarm(120); /* a blocking message would block for ever */
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    if (as_another)
        become_somebody_else();
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    log_never_wait(loop);
    log_set_level(LOG_LEVEL_DEBUG);
    uint8_t frame[2000] = {0};
    for (int i = 0; i < MANY; i++) {
        errno = EXDEV;
        log_info("message %d", i);
        if (i % 100 == 0)
            log_frame("frame", frame, sizeof frame);
        if (errno != EXDEV)
            _exit(4);
    }
    if (write(told, "", 1) != 1)
        _exit(5);
    ev_run(loop, 0); /* runs until the lost messages are reported: then nothing is left to do */
    log_info("the end");
    _exit(0);
}

struct account {
    unsigned said, lost, last, torn;
    bool ended;
};

static void count_line(struct account *account, const char *line)
{
    unsigned long lost;
    unsigned number;
    int end = 0;
    if (sscanf(line, "message %u%n", &number, &end) == 1 && !line[end]) {
        account->torn += account->said > 0 && number <= account->last;
        account->last = number;
        account->said++;
    } else if (sscanf(line, "warning: %lu line", &lost) == 1 && strstr(line, "of the log w")) {
        account->lost += (unsigned) lost;
    } else if (strncmp(line, "debug: frame 00", 15) == 0) {
        account->torn += strlen(line) != strlen("debug: frame") + 3 * 2000;
        account->said++;
    } else if (strcmp(line, "the end") == 0) {
        account->ended = true;
    } else {
        account->torn++;
    }
}

static struct account read_lines(int fd)
{
    struct account account = {0};
    char line[OUTPUT_SIZE];
    FILE *file = fdopen(fd, "r");
    assert_non_null(file);
    while (!account.ended && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        count_line(&account, line);
    }
    fclose(file);
    return account;
}

/* Every line is either whole or counted as lost, none is torn, nothing blocks. */
static void expect_no_wait(const char *name, open_ends *open_them, bool as_another)
{
    int ends[2], told[2];
    char byte;
    open_them(ends);
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(told[0]);
        say_many(ends[1], told[1], as_another);
    }
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        fail_msg("%s: waits for its reader", name);
    close(told[0]);
    /* Other programs that share the output are not affected. */
    if (fcntl(ends[1], F_GETFL) & O_NONBLOCK)
        fail_msg("%s: does not wait for others either", name);
    struct account account = read_lines(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[1]);
    if (status != 0 || !account.ended || account.torn > 0 || account.lost == 0 ||
        account.said + account.lost != MANY + MANY / 100)
        fail_msg("%s: status %d, %u lines came, %u lost, %u torn", name, status, account.said,
                 account.lost, account.torn);
}

TEST(nobody_reads)
{
    expect_no_wait("pipe", open_pipe, false);
    expect_no_wait("pipe of another user", open_pipe, true);
    expect_no_wait("socket", open_socket, false);
    expect_no_wait("terminal", open_terminal, false);
    expect_no_wait("terminal of another user", open_terminal, true);
}

/* A file that is not opened for appending is continued at its position. */
TEST(file)
{
    char path[] = "/tmp/test_log.XXXXXX", text[200] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && unlink(path) == 0);
    assert_int_equal(write(fd, "before\n", 7), 7);
    pid_t child = fork();
    if (child == 0) {
        dup2(fd, STDERR_FILENO);
        log_never_wait(ev_loop_new(EVFLAG_AUTO));
        log_info("one");
        log_info("two");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    close(fd);
    assert_string_equal(text, "before\none\ntwo\n");
}

/* The reader is gone for good. */
TEST(reader_gone)
{
    int ends[2], status;
    open_pipe(ends);
    close(ends[0]);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        dup2(ends[1], STDERR_FILENO);
        struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
        log_never_wait(loop);
        for (int i = 0; i < 100; i++)
            log_info("nobody");
        ev_run(loop, EVRUN_NOWAIT);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The reader leaves while a message waits for it: the message is dropped. */
TEST(reader_goes)
{
    int ends[2], status;
    open_pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        dup2(ends[1], STDERR_FILENO);
        struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
        log_never_wait(loop);
        for (int i = 0; i < MANY; i++)
            log_info("message %d", i);
        if (!ev_run(loop, EVRUN_NOWAIT))
            _exit(2); /* nothing waited: the pipe was not full */
        close(ends[0]);
        ev_run(loop, EVRUN_NOWAIT);
        _exit(ev_run(loop, EVRUN_NOWAIT) ? 3 : 0);
    }
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
