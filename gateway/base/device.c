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

static bool fail(char *why, size_t size, const char *reason)
{
    snprintf(why, size, "%s", reason);
    return false;
}

static bool check_rate(int fd, unsigned baud, char *why, size_t size)
{
    struct termios2 before;
    if (ioctl(fd, TCGETS2, &before) < 0)
        return fail(why, size, errno == ENOTTY ? "it is not a serial port" : strerror(errno));
    if (baud == 0 || before.c_ospeed == baud)
        return true;
    struct termios2 settings = before, after;
    settings.c_cflag &= ~(tcflag_t) (CBAUD | CBAUD << IBSHIFT);
    settings.c_cflag |= BOTHER | BOTHER << IBSHIFT;
    settings.c_ispeed = settings.c_ospeed = baud;
    const bool set = ioctl(fd, TCSETS2, &settings) == 0 && ioctl(fd, TCGETS2, &after) == 0;
    const unsigned got = set ? after.c_ospeed : 0; /* 0: the driver refused */
    ioctl(fd, TCSETS2, &before);
    if (got == 0)
        snprintf(why, size, "it does not support %u baud", baud);
    else if (!device_rate_fits(baud, got))
        snprintf(why, size, "it does not support %u baud, it would run at %u", baud, got);
    return got > 0 && device_rate_fits(baud, got);
}

static const char *explain(int error)
{
    return error == ENOENT ? "it does not exist"
           : error == EACCES
               ? "this user may not open it; add the user to its group, usually dialout"
               : strerror(error);
}

bool device_check(const char *path, unsigned baud, bool rs485, char *why, size_t size)
{
    struct stat found;
    if (stat(path, &found) < 0)
        return fail(why, size, explain(errno));
    if (!S_ISCHR(found.st_mode))
        return fail(why, size, "it is not a serial port");
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) /* EBUSY: another program has opened it exclusively */
        return errno == EBUSY || fail(why, size, explain(errno));
    struct serial_rs485 mode;
    const bool used = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    bool good = used || check_rate(fd, baud, why, size);
    if (good && !used && rs485 && ioctl(fd, TIOCGRS485, &mode) < 0)
        good = fail(why, size, "its driver cannot switch RTS around each transmission");
    close(fd);
    return good;
}
