// SPDX-License-Identifier: MIT
/* A serial port, looked at: what does not exist, what is none, what takes any rate, what is in use. */
#include "lines/device.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_wrong(const char *path, const char *reason)
{
    char why[200] = "";
    if (device_check(path, 9600, false, why, sizeof why) || !strstr(why, reason))
        fail_msg("%s: expected '%s', got '%s'", path, reason, why);
}

static void test_wrong(void **state)
{
    (void) state;
    expect_wrong("/dev/packgate-has-none", "it does not exist");
    expect_wrong("/dev/null", "it is no serial port");
    expect_wrong("/etc/passwd", "it is no serial port");
    expect_wrong("/dev", "it is no serial port");
}

/* A pseudo terminal takes any rate. What was set stays. */
static void test_pty(void **state)
{
    (void) state;
    int master, slave;
    char name[100], why[200] = "";
    assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
    struct termios before, after;
    assert_int_equal(tcgetattr(slave, &before), 0);
    assert_true(device_check(name, 9600, false, why, sizeof why));
    assert_true(device_check(name, 250000, false, why, sizeof why));
    assert_int_equal(tcgetattr(slave, &after), 0);
    assert_int_equal(cfgetospeed(&after), cfgetospeed(&before));
    assert_int_equal(after.c_cflag, before.c_cflag);
    assert_false(device_check(name, 9600, true, why, sizeof why));
    assert_non_null(strstr(why, "RTS"));
    /* In use: nothing is tried, nothing is wrong. */
    assert_int_equal(flock(slave, LOCK_EX | LOCK_NB), 0);
    assert_true(device_check(name, 9600, true, why, sizeof why));
    close(slave);
    close(master);
}

static void test_rates(void **state)
{
    (void) state;
    assert_true(device_rate_fits(9600, 9600));
    assert_true(device_rate_fits(9600, 9615));
    assert_true(device_rate_fits(115200, 115384));
    assert_false(device_rate_fits(115200, 119466));
    assert_false(device_rate_fits(230400, 115200));
    assert_false(device_rate_fits(1200, 9600));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_pty),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
