// SPDX-License-Identifier: MIT
/*
 * Checks a serial port. glibc's termios supports only the standard rates, so this file uses the kernel's own struct, which
 * cannot be included together with glibc's.
 */
#include "device.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool device_rate_fits(unsigned wanted, unsigned got)
{
    unsigned apart = wanted > got ? wanted - got : got - wanted;
    return apart <= wanted / 33; /* 3 %: beyond that, the last bits of a byte are sampled wrong */
}

/* Requests `baud` and returns the rate that the driver set; 0 with errno: it refused. */
static unsigned try_rate(int fd, const struct termios2 *before, unsigned baud)
{
    struct termios2 settings = *before, after;
    settings.c_cflag &= ~(tcflag_t) (CBAUD | CBAUD << IBSHIFT);
    settings.c_cflag |= BOTHER | BOTHER << IBSHIFT;
    settings.c_ispeed = settings.c_ospeed = baud;
    if (ioctl(fd, TCSETS2, &settings) < 0 || ioctl(fd, TCGETS2, &after) < 0)
        return 0;
    return after.c_ospeed;
}

static bool check_rate(int fd, unsigned baud, char *why, size_t size)
{
    struct termios2 before;
    if (ioctl(fd, TCGETS2, &before) < 0) {
        snprintf(why, size, "%s", errno == ENOTTY ? "it is not a serial port" : strerror(errno));
        return false;
    }
    if (baud == 0 || before.c_ospeed == baud)
        return true;
    const unsigned got = try_rate(fd, &before, baud);
    ioctl(fd, TCSETS2, &before);
    if (got == 0)
        snprintf(why, size, "it does not support %u baud", baud);
    else if (!device_rate_fits(baud, got))
        snprintf(why, size, "it does not support %u baud, it would run at %u", baud, got);
    return got > 0 && device_rate_fits(baud, got);
}

static bool check_rs485(int fd, char *why, size_t size)
{
    struct serial_rs485 mode;
    if (ioctl(fd, TIOCGRS485, &mode) == 0)
        return true;
    snprintf(why, size, "its driver cannot switch RTS around each transmission");
    return false;
}

static bool check_open(int fd, unsigned baud, bool rs485, char *why, size_t size)
{
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return true;
    return check_rate(fd, baud, why, size) && (!rs485 || check_rs485(fd, why, size));
}

static void explain(int error, char *why, size_t size)
{
    if (error == ENOENT)
        snprintf(why, size, "it does not exist");
    else if (error == EACCES)
        snprintf(why, size,
                 "this user may not open it; add the user to its group, usually dialout");
    else
        snprintf(why, size, "%s", strerror(error));
}

bool device_check(const char *path, unsigned baud, bool rs485, char *why, size_t size)
{
    struct stat found;
    if (stat(path, &found) < 0) {
        explain(errno, why, size);
        return false;
    }
    if (!S_ISCHR(found.st_mode)) {
        snprintf(why, size, "it is not a serial port");
        return false;
    }
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    const int error = errno;
    if (fd < 0) {
        explain(error, why, size);
        return error == EBUSY; /* another program has opened it exclusively */
    }
    bool good = check_open(fd, baud, rs485, why, size);
    close(fd);
    return good;
}
