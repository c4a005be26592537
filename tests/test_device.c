// SPDX-License-Identifier: MIT
/* Checks of serial ports: missing, not a serial port, any rate supported, some rates supported, in
 * use. */
#include "base/device.h"

#include <dlfcn.h>
#include <pty.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "unit.h"

/* The kernel's struct termios2, which cannot be included together with <termios.h>: four words of flags, the line
 * discipline and 19 characters, and the two rates. */
struct kernel_termios {
    uint32_t flags[4];
    uint8_t rest[20];
    uint32_t in_baud, out_baud;
};
#define SET_TERMIOS2 0x402C542Bul

/* A pseudo terminal accepts any rate. This one divides its clock by integers, as the kernel does for a UART, and
 * reports the result in the rate that is read back: uart_get_baud_rate and uart_get_divisor. 0: unchanged. */
static unsigned highest_rate;
static bool refuses;

int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...);
    *(void **) &real = dlsym(RTLD_NEXT, "ioctl");
    va_list list;
    va_start(list, request);
    struct kernel_termios *argument = va_arg(list, void *);
    va_end(list);
    if (request != SET_TERMIOS2 || highest_rate == 0)
        return real(fd, request, argument);
    if (refuses)
        return -1;
    struct kernel_termios made = *argument;
    unsigned divisor = (highest_rate + made.out_baud / 2) / made.out_baud;
    made.in_baud = made.out_baud = highest_rate / (divisor ? divisor : 1);
    return real(fd, request, &made);
}

TEST(rate_of_a_clock)
{
    int master, slave;
    char name[100], why[200] = "";
    assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
    struct termios before, after;
    assert_int_equal(tcgetattr(slave, &before), 0);
    highest_rate = 115200;
    assert_true(device_check(name, 9600, false, why, sizeof why));
    assert_true(device_check(name, 19200, false, why, sizeof why));
    assert_true(device_check(name, 115200, false, why, sizeof why));
    assert_false(device_check(name, 250000, false, why, sizeof why));
    assert_string_equal(why, "it does not support 250000 baud, it would run at 115200");
    assert_false(device_check(name, 100000, false, why, sizeof why));
    assert_string_equal(why, "it does not support 100000 baud, it would run at 115200");
    refuses = true;
    assert_false(device_check(name, 230400, false, why, sizeof why));
    assert_string_equal(why, "it does not support 230400 baud");
    refuses = false;
    highest_rate = 0;
    assert_int_equal(tcgetattr(slave, &after), 0);
    assert_int_equal(cfgetospeed(&after), cfgetospeed(&before));
    close(slave);
    close(master);
}

static void expect_wrong(const char *path, const char *reason)
{
    char why[200] = "";
    if (device_check(path, 9600, false, why, sizeof why) || !strstr(why, reason))
        fail_msg("%s: expected '%s', got '%s'", path, reason, why);
}

TEST(wrong)
{
    expect_wrong("/dev/packgate-has-none", "it does not exist");
    expect_wrong("/dev/null", "it is not a serial port");
    expect_wrong("/etc/passwd", "it is not a serial port");
    expect_wrong("/dev", "it is not a serial port");
}

/* A pseudo terminal accepts any rate. Its settings are preserved. */
TEST(pty)
{
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
    /* A port in use is not touched and counts as good. */
    assert_int_equal(flock(slave, LOCK_EX | LOCK_NB), 0);
    assert_true(device_check(name, 9600, true, why, sizeof why));
    close(slave);
    close(master);
}

TEST(rates)
{
    assert_true(device_rate_fits(9600, 9600));
    assert_true(device_rate_fits(9600, 9615));
    assert_true(device_rate_fits(115200, 115384));
    assert_false(device_rate_fits(115200, 119466));
    assert_false(device_rate_fits(230400, 115200));
    assert_false(device_rate_fits(1200, 9600));
}
