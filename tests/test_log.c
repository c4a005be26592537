// SPDX-License-Identifier: MIT
/* Messages: levels, one line each whatever is in the text, the journal's priorities, frames. */
#include "base/log.h"

#include "bms/driver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof array / sizeof *array)
#define OUTPUT_SIZE 32768

/* Runs `work` in a process of its own, whose standard error is a pipe, and collects what it says.
 * `journal`: as systemd starts it, or with the name of another stream. */
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

static void test_output(void **state)
{
    (void) state;
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

/* Long messages end in dots; the longest frame is whole; one that is longer still says so. */
static void test_long(void **state)
{
    (void) state;
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

static void test_errno(void **state)
{
    (void) state;
    errno = EXDEV;
    log_debug("not written");
    assert_int_equal(errno, EXDEV);
    assert_true(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
