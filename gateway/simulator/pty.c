// SPDX-License-Identifier: MIT
#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* The kernel reports a missing client only after one was there: open the slave once. */
void pty_reset(int master)
{
    char name[PTY_NAME];
    struct termios settings;
    if (ptsname_r(master, name, sizeof name) != 0)
        return;
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return;
    if (tcgetattr(slave, &settings) == 0) {
        cfmakeraw(&settings);
        tcsetattr(slave, TCSANOW, &settings);
    }
    tcflush(slave, TCIFLUSH); /* not the bytes that a connected client has just written */
    close(slave);
}

int pty_open(char name[PTY_NAME])
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0)
        return -1;
    if (grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, PTY_NAME) != 0) {
        int saved = errno;
        close(master);
        errno = saved;
        return -1;
    }
    pty_reset(master);
    return master;
}
